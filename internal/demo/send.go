package demo

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	browserLanes = 4 // the browsers' calls are too many for one connection
	atOnce       = 6 // lanes under way at the same time
	patience     = 2 * time.Minute
)

// lane is a sequence of calls of one library that travel one after the other, so that what somebody's library said last
// stays last.
type lane struct {
	library library
	calls   []int
}

// lanes shares out the calls, the longest lanes first.
func (m *Month) lanes() []lane {
	all := make([]lane, browserLanes, browserLanes+libraries)
	for l := ios; int(l) < libraries; l++ {
		all = append(all, lane{library: l})
	}
	for i := range m.Calls {
		c := &m.Calls[i]
		to := browserLanes + int(c.library) - 1
		if c.library == browser {
			to = int(throw(uint64(c.visitor[0]), uint64(c.visitor[1])).next() % browserLanes)
		}
		all[to].calls = append(all[to].calls, i)
	}
	return all
}

// sender sends the month to a server.
type sender struct {
	month  *Month
	client *http.Client
	url    string
	key    string
	sent   func(n int) // called after each request, from several goroutines
}

// run sends all calls and returns when all have been acknowledged.
func (s *sender) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, l := range s.month.lanes() {
		g.Go(func() error {
			var buf []byte
			lib := s.month.sdks[l.library]
			size := lib.batch
			for from := 0; from < len(l.calls); from += size {
				calls := l.calls[from:min(from+size, len(l.calls))]
				buf = buf[:0]
				for n, i := range calls {
					if n > 0 {
						buf = append(buf, ',')
					}
					buf = s.month.appendCall(buf, i)
				}
				if err := s.deliver(ctx, lib, buf); err != nil {
					return fmt.Errorf("send %d calls as %s: %w", len(calls), lib.name, err)
				}
				s.sent(len(calls))
			}
			return nil
		})
	}
	return g.Wait()
}

// refusal is an answer other than 200.
type refusal struct {
	status int
	body   []byte
	after  time.Duration // to wait before the next try; 0: not said
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%d %s: %s", r.status, http.StatusText(r.status), bytes.TrimSpace(r.body))
}

// deliver posts a batch until it is acknowledged. As SDKs do, it tries again after a broken connection, 429 and 503, and gives
// up at once on any other refusal.
func (s *sender) deliver(ctx context.Context, lib sdk, calls []byte) error {
	begin := time.Now()
	for try := 0; ; try++ {
		err := s.post(ctx, lib, calls)
		if err == nil {
			return nil
		}
		wait := min(100*time.Millisecond<<min(try, 10), 3*time.Second)
		var r *refusal
		if errors.As(err, &r) {
			if r.status != http.StatusTooManyRequests && r.status != http.StatusServiceUnavailable {
				return err
			}
			if r.after > 0 {
				wait = min(r.after, 5*time.Second)
			}
		}
		if time.Since(begin) > patience {
			return fmt.Errorf("given up after %d tries: %w", try+1, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// post sends a batch once, stamped with the time of this sending.
func (s *sender) post(ctx context.Context, lib sdk, calls []byte) error {
	var body bytes.Buffer
	if err := s.envelope(&body, lib, calls); err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+lib.path, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", lib.contentType)
	req.Header.Set("User-Agent", lib.name+"/"+lib.version)
	if lib.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if lib.basic {
		req.SetBasicAuth(s.key, "")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	r := &refusal{status: resp.StatusCode, body: answer}
	if n, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		r.after = time.Duration(n) * time.Second
	}
	return r
}

// envelope writes the body of a batch.
func (s *sender) envelope(w io.Writer, lib sdk, calls []byte) error {
	key := ""
	if !lib.basic {
		key = `,"writeKey":"` + s.key + `"`
	}
	tail := `],"sentAt":"` + time.Now().UTC().Format(stampLayout) + `"` + key + `}`
	if !lib.gzip {
		_, err := fmt.Fprintf(w, `{"batch":[%s%s`, calls, tail)
		return err
	}
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(z, `{"batch":[%s%s`, calls, tail)
	return errors.Join(err, z.Close())
}
