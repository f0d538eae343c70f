package load_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/schedule"
	"firth/internal/warehouse"
)

// picky makes shapers that refuse calls, or break off at them, a number of times.
type picky struct {
	make func(source string) load.Shaper

	mu     sync.Mutex
	refuse map[uint64]int // by offset: how often
	panics bool           // in place of an error
	seen   uint64         // the highest offset that was shaped
}

type pickyShaper struct {
	load.Shaper
	p *picky
}

func (p *picky) shaper(source string) load.Shaper { return pickyShaper{p.make(source), p} }

func (s pickyShaper) Add(c *event.Call) error {
	s.p.mu.Lock()
	refused := s.p.refuse[c.Offset] > 0
	if refused {
		s.p.refuse[c.Offset]--
	}
	s.p.seen = max(s.p.seen, c.Offset)
	panics := refused && s.p.panics
	s.p.mu.Unlock()
	if panics {
		panic("no such thing")
	}
	if refused {
		return errors.New("refused")
	}
	return s.Shaper.Add(c)
}

func (p *picky) highest() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// aheadOf is a runner of small chunks whose warehouse answers a load only after the next chunk was prepared.
func aheadOf(l *fakeLake, w *memWarehouse, p *picky, s schedule.Schedule, fail func(n int) error) (r *load.Runner, ahead func() int) {
	o := options(l, nil, nil)
	o.Name, o.Warehouse, o.Rows = "pg", nil, 20
	p.make, o.NewShaper = o.NewShaper, p.shaper
	loads, found := 0, 0
	w.fail = func(op string) error {
		if op != "load" {
			return nil
		}
		before := p.highest()
		time.Sleep(time.Millisecond) // the clock goes on when everything else waits
		if p.highest() > before {
			found++
		}
		loads++
		return fail(loads)
	}
	r = load.NewRunner(load.RunnerOptions{Loader: o, Schedule: s, Open: func(context.Context) (load.Warehouse, error) { return w, nil }})
	return r, func() int { w.mu.Lock(); defer w.mu.Unlock(); return found }
}

func TestAheadOfALoadThatFails(t *testing.T) {
	for name, kind := range map[string]warehouse.Kind{"down": warehouse.Down, "refused": warehouse.Denied, "moved": warehouse.Moved, "memory": warehouse.NoMemory} {
		synctest.Test(t, func(t *testing.T) {
			l, w, p := newFakeLake(), newMemWarehouse(), &picky{}
			l.commit("a", journal, 400, mixed(rand.New(rand.NewPCG(11, 1)), 0, 400)...)
			r, ahead := aheadOf(l, w, p, nil, func(n int) error {
				if n%3 == 0 {
					return &warehouse.Error{Op: "load", Object: "a", Kind: kind, Err: errors.New(name)}
				}
				return nil
			})
			for range 1000 { // chunks get small where memory runs out
				if _, err := r.Do(t.Context(), load.Order{}, nil); err == nil {
					break
				} else if !strings.Contains(err.Error(), name) {
					t.Fatal(err)
				}
			}
			if n := ahead(); n < 10 {
				t.Errorf("%s: %d chunks were prepared ahead", name, n)
			}
			if diff := cmp.Diff(plain(t, l), w.dump("a")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

// TestAheadAtACallThatIsRefused: a shaper that fails ahead fails once more when it is the chunk's turn, and what was loaded stays.
func TestAheadAtACallThatIsRefused(t *testing.T) {
	for times, fails := range map[int]bool{1: false, 2: true} {
		synctest.Test(t, func(t *testing.T) {
			l, w, p := newFakeLake(), newMemWarehouse(), &picky{refuse: map[uint64]int{55: times}}
			l.commit("a", journal, 200, mixed(rand.New(rand.NewPCG(12, 1)), 0, 200)...)
			r, ahead := aheadOf(l, w, p, nil, func(int) error { return nil })
			_, err := r.Do(t.Context(), load.Order{}, nil)
			if fails != (err != nil) || fails && !strings.Contains(err.Error(), "shape the call at offset 55: refused") {
				t.Errorf("%d times: %v", times, err)
			}
			if fails {
				if next := w.positions["a"][journal].Next; next == 0 || next > 55 {
					t.Errorf("loaded up to %d", next)
				}
				do(t, r, load.Order{From: time.Unix(1, 0)})
				do(t, r, load.Order{})
			}
			if n := ahead(); n < 5 {
				t.Errorf("%d chunks were prepared ahead", n)
			}
			if diff := cmp.Diff(plain(t, l), w.dump("a")); diff != "" {
				t.Errorf("%d times (-want +got):\n%s", times, diff)
			}
		})
	}
}

// TestAheadBesideOrders: replays take turns with the chunks of a scheduled run, and use the shaper that has seen the next chunk.
func TestAheadBesideOrders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, p := newFakeLake(), newMemWarehouse(), &picky{}
		rng := rand.New(rand.NewPCG(13, 1))
		l.commit("a", journal, 300, mixed(rng, 0, 300)...)
		r, ahead := aheadOf(l, w, p, schedule.Every(time.Second), func(n int) error {
			if n%7 == 0 {
				return errLost
			}
			return nil
		})
		stop := begin(t, r)
		for at := uint64(300); at < 900; at += 100 {
			l.commit("a", journal, at+100, mixed(rng, at, 100)...)
			time.Sleep(time.Second)
			if _, err := r.Do(t.Context(), load.Order{From: time.Unix(1, 0)}, nil); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Hour)
		stop()
		if n := ahead(); n < 15 {
			t.Errorf("%d chunks were prepared ahead", n)
		}
		if diff := cmp.Diff(plain(t, l), w.dump("a")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestAheadBreaksOffWhereItCanBeCaught: whoever runs a runner keeps one that breaks off from taking others with it.
func TestAheadBreaksOffWhereItCanBeCaught(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, w, p := newFakeLake(), newMemWarehouse(), &picky{refuse: map[uint64]int{55: 2}, panics: true}
		l.commit("a", journal, 200, calls(0, 200, 1)...)
		r, _ := aheadOf(l, w, p, nil, func(int) error { return nil })
		var caught any
		func() {
			defer func() { caught = recover() }()
			_, err := r.Do(t.Context(), load.Order{}, nil)
			t.Errorf("ended with %v", err)
		}()
		if fmt.Sprint(caught) != "no such thing" {
			t.Errorf("caught %v", caught)
		}
		do(t, r, load.Order{})
		if diff := cmp.Diff(plain(t, l), w.dump("a")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
