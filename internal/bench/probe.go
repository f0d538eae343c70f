package bench

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// The marked event, and where its rows are seen: a table of its own, here and in another warehouse, and the view of the lake.
const (
	probeEvent = "Bench Probe"
	probeTyped = "SELECT CAST(max(user_id) AS BIGINT) FROM " + sourceName + ".bench_probe"
	probeLake  = "SELECT CAST(max(user_id) AS BIGINT) FROM lake." + sourceName + " WHERE event = '" + probeEvent + "'"
)

// prober sends marked events, numbered from 1, and looks by SQL for the greatest number that has become a row.
type prober struct {
	server *server
	every  time.Duration // between two events
	look   time.Duration // between two looks at the typed table
	lake   time.Duration // between two looks at the lake
	// remote asks another warehouse for the greatest number; nil: there is none.
	remote func(ctx context.Context, sql string) (int64, error)

	mu     sync.Mutex
	probes []probe // number i+1
	looks  [placeCount]histogram
}

// probe is one marked event: when it was called, answered, and first seen as a row.
type probe struct {
	called, answered time.Time
	seen             [placeCount]time.Time
}

// The places where a probe is looked for.
const (
	inTyped = iota
	inLake
	inRemote
	placeCount
)

// run probes until sending ends and then until all have been seen, or ctx ends.
func (p *prober) run(ctx, sending context.Context) error {
	ctx, done := context.WithCancel(ctx)
	defer done()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := p.send(gctx, sending); err != nil {
			return err
		}
		_, err := poll(gctx, 10*time.Millisecond, time.Hour, func() (bool, error) {
			return p.unseen(inTyped)+p.unseen(inLake)+p.unseen(inRemote) == 0, nil
		})
		done()
		return err
	})
	g.Go(func() error { return p.watch(gctx, inTyped, probeTyped, p.look, p.server.count) })
	g.Go(func() error { return p.watch(gctx, inLake, probeLake, p.lake, p.server.count) })
	if p.remote != nil {
		g.Go(func() error { return p.watch(gctx, inRemote, probeTyped, p.look, p.remote) })
	}
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// send sends probes until sending ends.
func (p *prober) send(ctx, sending context.Context) error {
	t := time.NewTicker(p.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-sending.Done():
			return nil
		case <-t.C:
		}
		if err := p.one(ctx); err != nil {
			return err
		}
	}
}

// one sends the next probe.
func (p *prober) one(ctx context.Context) error {
	p.mu.Lock()
	n := len(p.probes) + 1
	p.probes = append(p.probes, probe{called: time.Now()})
	p.mu.Unlock()
	body := fmt.Sprintf(`{"event":%q,"userId":"%09d","messageId":"probe-%d-%d"}`, probeEvent, n, p.probes[0].called.UnixNano(), n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.server.url+"/v1/track", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(writeKey+":")))
	resp, err := p.server.http.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("probe %d: %s: %s", n, resp.Status, text)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probes[n-1].answered = time.Now()
	return nil
}

// watch looks every so often for the greatest number. A table that is not there yet holds no rows.
func (p *prober) watch(ctx context.Context, place int, sql string, every time.Duration, ask func(context.Context, string) (int64, error)) error {
	_, err := poll(ctx, every, time.Hour, func() (bool, error) {
		if p.unseen(place) == 0 {
			return false, nil
		}
		began := time.Now()
		if n, err := ask(ctx, sql); err == nil {
			p.note(place, n, began, time.Now())
		}
		return false, nil
	})
	return err
}

// note books a look: all probes up to number n are rows.
func (p *prober) note(place int, n int64, began, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks[place].record(now.Sub(began))
	for i := min(int(n), len(p.probes)) - 1; i >= 0 && p.probes[i].seen[place].IsZero(); i-- {
		p.probes[i].seen[place] = now
	}
}

// unseen counts the probes that have been sent and not seen in the place.
func (p *prober) unseen(place int) int {
	if place == inRemote && p.remote == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for i := len(p.probes) - 1; i >= 0 && p.probes[i].seen[place].IsZero(); i-- {
		n++
	}
	return n
}

// delays returns how long the probes took from call, and from answer, to row.
func (p *prober) delays(place int) (call, answer *histogram) {
	p.mu.Lock()
	defer p.mu.Unlock()
	call, answer = &histogram{}, &histogram{}
	for _, x := range p.probes {
		if seen := x.seen[place]; !seen.IsZero() {
			call.record(seen.Sub(x.called))
			answer.record(seen.Sub(x.answered))
		}
	}
	return call, answer
}

// sent is the number of probes.
func (p *prober) sent() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.probes))
}
