package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// EventTables is how many events, and so typed tables, a [Load] spreads its calls over.
const EventTables = 7

// Load sends numbered track calls from several senders at once, as SDKs do: a batch that got no 200 is sent again, byte by byte
// the same, until it gets one, and only then the next one follows. So what a sender was acknowledged is 0, 1, 2, ... without a
// gap, and whoever reads must at any moment see a beginning of that, each number once. Set the fields before Start.
type Load struct {
	Source string
	Key    string
	Batch  int           // events a call
	Pause  time.Duration // of a sender between two batches
	Resend float64       // share of batches after which an old one is sent once more, although it was acknowledged
	Pad    int           // bytes of text in each event, which does not compress
	Age    time.Duration // how old the events are when they are sent

	server  *Server
	prefix  string
	senders []*sender
	running sync.WaitGroup
	stop    context.CancelFunc

	// Refused counts answers of 429 and 503, Unanswered the requests without an answer, Resent those sent without need.
	Refused, Unanswered, Resent atomic.Int64

	mu    sync.Mutex
	fault error // an answer that must not come
}

// sender is one of the load's senders.
type sender struct {
	name   string
	random *rand.Rand
	first  []time.Time // of each batch: when it was made
	sent   atomic.Int64
	acked  atomic.Int64
}

// NewLoad makes a load of so many senders for a source of the server; the seed decides what is sent twice.
func NewLoad(s *Server, source, key string, senders int, seed uint64) *Load {
	return NewNamedLoad(s, "s", source, key, senders, seed)
}

// NewNamedLoad is NewLoad with a prefix of the senders' names, for several loads of one source; none may begin with another.
func NewNamedLoad(s *Server, prefix, source, key string, senders int, seed uint64) *Load {
	l := &Load{Source: source, Key: key, Batch: 10, server: s, prefix: prefix}
	for i := range senders {
		l.senders = append(l.senders, &sender{name: fmt.Sprintf("%s%d", prefix, i), random: rand.New(rand.NewPCG(seed, uint64(i)+1))})
	}
	return l
}

// Fork is a load for another server that has what this one was acknowledged so far: its numbers go on from there. This load
// must not be started.
func (l *Load) Fork(s *Server) *Load {
	out := NewNamedLoad(s, l.prefix, l.Source, l.Key, len(l.senders), 0)
	out.Batch, out.Pause, out.Resend, out.Pad, out.Age = l.Batch, l.Pause, l.Resend, l.Pad, l.Age
	for i, from := range l.senders {
		to := out.senders[i]
		to.random = rand.New(rand.NewPCG(from.random.Uint64(), 0))
		to.first = slices.Clone(from.first)
		to.sent.Store(from.sent.Load())
		to.acked.Store(from.acked.Load())
	}
	return out
}

// Start lets the senders send until Stop. It may be called again after Stop; the numbers go on.
func (l *Load) Start() {
	ctx, cancel := context.WithCancel(l.server.t.Context())
	l.stop = cancel
	for _, s := range l.senders {
		l.running.Go(func() {
			for ctx.Err() == nil && l.broken() == nil {
				l.step(ctx, s)
			}
		})
	}
}

// Stop ends the senders, each when its last batch is acknowledged; the server must be there to do so. It fails the test when
// an answer came that must not come.
func (l *Load) Stop() {
	l.server.t.Helper()
	l.stop()
	l.running.Wait()
	if err := l.broken(); err != nil {
		l.server.t.Fatal(err)
	}
}

// Acked is how many events were acknowledged.
func (l *Load) Acked() int {
	var n int64
	for _, s := range l.senders {
		n += s.acked.Load()
	}
	return int(n)
}

// AckedBy is what each sender was acknowledged, by its name.
func (l *Load) AckedBy() map[string]int64 {
	out := map[string]int64{}
	for _, s := range l.senders {
		out[s.name] = s.acked.Load()
	}
	return out
}

// SentBy is how many events of each sender may have reached the server.
func (l *Load) SentBy() map[string]int64 {
	out := map[string]int64{}
	for _, s := range l.senders {
		out[s.name] = s.sent.Load()
	}
	return out
}

// fail keeps the first fault.
func (l *Load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fault == nil {
		l.fault = err
	}
}

// broken returns the first fault.
func (l *Load) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// Send sends so many batches of the first sender one after the other. The test fails when one is not answered 200 in good time.
// The load must not be started.
func (l *Load) Send(batches int) {
	l.server.t.Helper()
	for range batches {
		ctx, cancel := context.WithTimeout(l.server.t.Context(), goodTime)
		before := l.Acked()
		l.step(ctx, l.senders[0])
		cancel()
		if l.Acked() == before || ctx.Err() != nil && !errors.Is(ctx.Err(), context.Canceled) || l.broken() != nil {
			l.server.t.Fatalf("a batch was not answered 200 within %s: %v", goodTime, l.broken())
		}
	}
}

// goodTime is how long an answer may take, on a busy machine too; some SDKs give up then.
const goodTime = 30 * time.Second

// lastPatience is how long a sender that is to end goes on with its last batch.
const lastPatience = 2 * time.Minute

// step sends one batch until it is acknowledged.
func (l *Load) step(ctx context.Context, s *sender) {
	s.first = append(s.first, time.Now())
	batch := len(s.first) - 1
	s.sent.Add(int64(l.Batch))
	body := l.body(s, batch)
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastPatience, cancel) })()
	for !l.send(hard, body) {
		if hard.Err() != nil {
			l.fail(fmt.Errorf("sender %s: batch %d was not acknowledged within %s of the end", s.name, batch, lastPatience))
		}
		if l.broken() != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.acked.Add(int64(l.Batch))
	if s.random.Float64() < l.Resend {
		l.Resent.Add(1)
		l.send(hard, l.body(s, s.random.IntN(batch+1)))
	}
	select {
	case <-ctx.Done():
	case <-time.After(l.Pause):
	}
}

// send reports whether the batch was acknowledged.
func (l *Load) send(ctx context.Context, body []byte) bool {
	status, retry, text, err := l.server.send(ctx, l.Key, body)
	switch {
	case err != nil:
		l.Unanswered.Add(1)
	case status == http.StatusOK:
		return true
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		l.Refused.Add(1)
		if retry == "" {
			l.fail(fmt.Errorf("the server answered %d without Retry-After: %s", status, text))
		}
	default:
		l.fail(fmt.Errorf("the server answered %d: %s", status, text))
	}
	return false
}

func (l *Load) body(s *sender, batch int) []byte {
	var b strings.Builder
	const layout = "2006-01-02T15:04:05.000Z"
	at := s.first[batch].Add(-l.Age).UTC().Format(layout)
	fmt.Fprintf(&b, `{"sentAt":%q,"batch":[`, s.first[batch].UTC().Format(layout))
	for i := range l.Batch {
		n := batch*l.Batch + i
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"track","event":"Thing %d","messageId":"%s-%d","userId":"u-%d","timestamp":%q,"properties":{"n":%d,"ratio":%d.5,"pad":%q}}`,
			n%EventTables, s.name, n, n%50, at, n, i, padding(n, l.Pad))
	}
	b.WriteString("]}")
	return []byte(b.String())
}

// padding is text that does not compress, the same for the same number.
func padding(n, size int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	random := rand.NewPCG(uint64(n), uint64(size))
	b := make([]byte, 0, size+10)
	for len(b) < size {
		for bits, left := random.Uint64(), 10; left > 0; left-- {
			b = append(b, letters[bits&63])
			bits >>= 6
		}
	}
	return string(b[:size])
}

// send posts a batch; an error means that no answer came.
func (s *Server) send(ctx context.Context, key string, body []byte) (status int, retryAfter, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		return 0, "", "", err
	}
	req.SetBasicAuth(key, "")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, r.Header.Get("Retry-After"), string(b), err
}

// The relations that hold a [Load]'s events, and the column of the message id in each.
const (
	Lake   = "lake"   // lake.<source>
	Tracks = "tracks" // <source>.tracks
	Events = "events" // the typed tables of the events, together
)

// Seen is what one statement found of one sender.
type Seen struct{ Rows, IDs, Max int64 }

// See asks one statement for what a relation (Lake, Tracks or Events) holds of each sender. It fails when that is no
// beginning of what the sender sent, each event once.
func (l *Load) See(relation string) (map[string]Seen, error) {
	out, err := l.server.SQL(l.question(relation))
	if err != nil {
		return nil, err
	}
	seen := map[string]Seen{}
	for _, row := range out.Rows {
		name, _ := row[0].(string)
		var s Seen
		for i, to := range []*int64{&s.Rows, &s.IDs, &s.Max} {
			n, ok := row[i+1].(float64)
			if !ok {
				return nil, fmt.Errorf("%s: %v is no number", relation, row[i+1])
			}
			*to = int64(n)
		}
		seen[name] = s
		if s.Rows != s.IDs || s.Rows != s.Max+1 {
			return nil, &WrongError{fmt.Sprintf("%s of %s: %d rows with %d ids, the highest number is %d: doubled or lost", relation, name, s.Rows, s.IDs, s.Max)}
		}
	}
	return seen, nil
}

// WrongError says that an answer is wrong, which no waiting mends.
type WrongError struct{ text string }

func (e *WrongError) Error() string { return e.text }

func (l *Load) question(relation string) string {
	id, from := "id", l.Source+".tracks"
	switch relation {
	case Lake:
		id, from = "message_id", "lake."+l.Source
	case Events:
		var parts []string
		for i := range EventTables {
			parts = append(parts, fmt.Sprintf("SELECT id FROM %s.thing_%d WHERE id LIKE '%%-' || n", l.Source, i))
		}
		from = "(" + strings.Join(parts, " UNION ALL ") + ")"
	}
	return fmt.Sprintf("SELECT split_part(%[1]s, '-', 1), count(*), count(DISTINCT %[1]s), max(split_part(%[1]s, '-', 2)::BIGINT) FROM %[2]s WHERE %[1]s LIKE '%[3]s%%' GROUP BY 1", id, from, l.prefix)
}

// Settle waits until lake and typed tables hold all that was acknowledged, each event once, and nothing else. The senders
// must have been stopped. A doubled or lost event is never waited for: it fails at once.
func (l *Load) Settle(patience time.Duration) {
	t := l.server.t
	t.Helper()
	l.SettleIn(patience, Lake, Tracks, Events)
	if n, err := l.server.Count(`SELECT count(*) FROM firth.dead_letters`); err != nil || n != 0 {
		t.Errorf("dead letters: %d, %v", n, err)
	}
}

// SettleIn is Settle for some of the relations. Patience begins anew whenever a relation has grown.
func (l *Load) SettleIn(patience time.Duration, relations ...string) {
	t := l.server.t
	t.Helper()
	for _, relation := range relations {
		rows, grown := int64(-1), time.Now()
		for {
			have, err := l.settled(relation)
			if err == nil {
				break
			}
			if wrong := (*WrongError)(nil); errors.As(err, &wrong) || l.server.gone() {
				t.Fatalf("%s to hold what was acknowledged: %v", relation, err)
			}
			if have > rows {
				rows, grown = have, time.Now()
			}
			if time.Since(grown) > patience {
				t.Fatalf("waited %s for %s to hold what was acknowledged: %v", patience, relation, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// settled returns nil when a relation holds what was acknowledged, and how many rows it holds.
func (l *Load) settled(relation string) (have int64, err error) {
	seen, err := l.See(relation)
	if err != nil {
		return 0, err
	}
	var missing error
	sent := l.SentBy() // a batch may be there whose answer was not seen yet when a backup was taken
	for name, want := range l.AckedBy() {
		have += seen[name].Rows
		switch {
		case seen[name].Rows > sent[name]:
			return have, &WrongError{fmt.Sprintf("%s: %d rows of sender %s, more than the %d that it sent", relation, seen[name].Rows, name, sent[name])}
		case seen[name].Rows < want:
			missing = fmt.Errorf("%d rows of sender %s, want %d", seen[name].Rows, name, want)
		}
	}
	return have, missing
}

// Tending is a configuration with the mergers, the expiry of snapshots and the sweeper at full tilt; queries end well before the
// sweeper's grace.
const Tending = `
lake:
  flush: { every: 200ms }
  merge: { small: { every: 300ms }, large: { every: 1s } }
  grace: 5s
query: { deadline: 4s }
`

// Component is how one part of the server is, as /readyz tells it.
type Component struct{ Name, State, Error, Hint string }

// Ready asks /readyz.
func (s *Server) Ready() (status int, components []Component, err error) {
	r, err := http.Get(s.URL + "/readyz")
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	var body struct {
		Ready      bool
		Components []Component
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return 0, nil, fmt.Errorf("/readyz: %s: %w", r.Status, err)
	}
	if body.Ready != (r.StatusCode == http.StatusOK) {
		return 0, nil, fmt.Errorf("/readyz: %s, but ready is %v", r.Status, body.Ready)
	}
	return r.StatusCode, body.Components, nil
}

// SaysInReady waits until some component that is not ok has every one of the words in its error or hint.
func (s *Server) SaysInReady(patience time.Duration, words ...string) {
	s.t.Helper()
	s.Eventually(patience, fmt.Sprintf("/readyz to speak of %q", words), func() error {
		_, components, err := s.Ready()
		if err != nil {
			return err
		}
		for _, c := range components {
			text, missing := c.Error+" "+c.Hint, false
			for _, w := range words {
				missing = missing || !strings.Contains(text, w)
			}
			if c.State != "ok" && !missing {
				return nil
			}
		}
		return fmt.Errorf("%+v", components)
	})
}
