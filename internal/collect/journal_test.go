package collect

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"firth/internal/event"
	"firth/internal/journal"
)

// memory is a journal that keeps what it was given.
type memory struct {
	mu      sync.Mutex
	err     error
	panics  bool
	entries []entry
	next    uint64
}

type entry struct {
	request event.Request
	offset  uint64
	count   int
}

const testReceived = 1795262400_000000 // 2026-11-21T12:00:00Z

func (m *memory) Append(ctx context.Context, payload []byte, count int) (journal.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.panics {
		panic("the journal has a bug")
	}
	if err := ctx.Err(); err != nil {
		return journal.Entry{}, err
	}
	if m.err != nil {
		return journal.Entry{}, m.err
	}
	r, err := event.DecodeRequest(payload)
	if err != nil {
		return journal.Entry{}, err
	}
	m.entries = append(m.entries, entry{r, m.next, count})
	m.next += uint64(count)
	return journal.Entry{Offset: m.next - uint64(count), ReceivedAt: testReceived}, nil
}

func (m *memory) taken() []entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries
}

// decode gives the calls and the dead letters of everything that was journaled.
func (m *memory) decode(t *testing.T) (calls []event.Call, dead []event.DeadLetter) {
	t.Helper()
	var d event.Decoder
	for _, e := range m.taken() {
		err := d.Decode(&e.request, "log", e.offset, testReceived, func(c *event.Call) error {
			kept := *c
			kept.Properties, kept.Context, kept.Payload = bytes.Clone(c.Properties), bytes.Clone(c.Context), bytes.Clone(c.Payload)
			calls = append(calls, kept)
			return nil
		}, func(l *event.DeadLetter) error {
			kept := *l
			kept.Payload = bytes.Clone(l.Payload)
			dead = append(dead, kept)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return calls, dead
}

// newHandler makes a handler for the key wk of the source production.
func newHandler(t testing.TB, j Journal, change ...func(*Options)) *Handler {
	t.Helper()
	o := Options{Sources: []Source{{Name: "production", Keys: []string{"wk", "wk2"}}, {Name: "staging", Keys: []string{"abc123"}}}}
	for _, f := range change {
		f(&o)
	}
	h, err := New(j, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}
