package load

import (
	"context"
	"time"

	"firth/internal/warehouse"
)

// prepared is a chunk that was read and, where it has calls, shaped.
type prepared struct {
	chunk *chunk
	calls int
	batch *warehouse.Batch // nil: there are no calls
	began time.Time
	took  time.Duration
}

// prepare reads and shapes the chunk that begins at an offset. Where shaping fails, or was begun for a chunk that is not loaded in the
// end, the shaper is of no more use.
func (s *source) prepare(ctx context.Context, log string, from, end uint64) (*prepared, error) {
	began := s.o.Now()
	c, err := s.read(ctx, log, from, end)
	if err != nil {
		return nil, err
	}
	p := &prepared{chunk: c, calls: len(c.calls), began: began}
	if p.calls > 0 {
		shaper := s.shaper
		s.stale, s.shaper = true, nil // should it break off in the midst
		if p.batch, err = s.shape(shaper, c); err != nil {
			return nil, s.missed(err)
		}
		s.stale, s.shaper = false, shaper
	}
	p.took = s.o.Now().Sub(began)
	return p, nil
}

// taken is the chunk that was prepared ahead, where it begins at the offset; nil: there is none. One that begins elsewhere is given up.
func (s *source) taken(log string, from uint64) *prepared {
	p := s.ahead
	s.ahead = nil
	if p != nil && (p.chunk.log != log || p.chunk.from != from) {
		s.stale, s.shaper = true, nil
		return nil
	}
	return p
}

// beside runs fn, which is a load, and prepares the chunk behind meanwhile where there is one. A chunk that cannot be prepared is tried
// again when it is its turn.
func (s *source) beside(ctx context.Context, behind *chunk, fn func() error) error {
	end := s.snap.Positions[behind.log]
	if !s.o.Ahead || behind.to >= end {
		return fn()
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	var p *prepared
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }() // when it is its turn it breaks off where the caller can catch it
		if ready, err := s.prepare(inner, behind.log, behind.to, end); err == nil {
			p = ready
		}
	}()
	defer func() { cancel(); <-done }() // also where fn breaks off
	err := fn()
	if err != nil {
		cancel()
	}
	<-done
	if err == nil {
		s.ahead = p
	}
	return err
}
