package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"firth/internal/lake"
	"firth/internal/warehouse"
)

// maxMoved is how often in a row a pass or a swap follows positions that somebody else moved.
const maxMoved = 5

// concernsAll tells the kinds of trouble that no other source of the same warehouse would be spared.
func concernsAll(err error) bool {
	switch warehouse.KindOf(err) {
	case warehouse.NoHost, warehouse.Down, warehouse.Timeout, warehouse.NoDatabase, warehouse.BadLogin, warehouse.NoLogin, warehouse.NeedsTLS,
		warehouse.BadTLS, warehouse.ReadOnly, warehouse.DiskFull, warehouse.Broken, warehouse.Locked, warehouse.Corrupt, warehouse.Newer,
		warehouse.Unstaged:
		return true
	}
	return false
}

// pass loads what the lake has by now: it ends, whatever arrives meanwhile.
type pass struct {
	l       *Loader
	session *session
	chosen  func(*source) bool
	tell    func(source string, done, total int64) // after every chunk; may be nil

	all    []*source
	runs   []*passing       // those that are not through
	failed map[string]error // by source
}

// passing is a source in a pass.
type passing struct {
	s      *source
	target map[string]uint64
	total  int64
	moved  int
}

// run returns what keeps the whole warehouse from being loaded; what concerns single sources is in failed. The gate is held for
// one chunk at a time.
func (p *pass) run(ctx context.Context) error {
	p.failed = map[string]error{}
	if err := p.begin(ctx); err != nil {
		return err
	}
	for len(p.runs) > 0 {
		for _, one := range slices.Clone(p.runs) {
			more, err := p.step(ctx, one)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				if concernsAll(err) {
					return fmt.Errorf("source %s: %w", one.s.name, err)
				}
				p.failed[one.s.name] = err
			}
			if !more || err != nil {
				p.runs = slices.DeleteFunc(p.runs, func(o *passing) bool { return o == one })
			}
		}
	}
	return nil
}

// begin finds the sources and how far each is to be loaded.
func (p *pass) begin(ctx context.Context) error {
	l := p.l
	if err := l.lock(ctx); err != nil {
		return err
	}
	defer l.unlock()
	if !l.findSources(ctx) {
		return errors.Join(ctx.Err(), l.unread)
	}
	l.sweep()
	if err := l.connected(ctx); err != nil {
		return err
	}
	for _, name := range l.names {
		s := l.sources[name]
		if p.chosen != nil && !p.chosen(s) {
			continue
		}
		snap, err := l.o.Lake.Snapshot(ctx, name)
		if errors.Is(err, lake.ErrNoTable) {
			continue
		}
		if err != nil {
			p.failed[name] = fmt.Errorf("read the lake: %w", err)
			p.all = append(p.all, s)
			continue
		}
		p.runs = append(p.runs, &passing{s: s, target: snap.Positions})
		p.all = append(p.all, s)
	}
	return nil
}

// step loads a chunk of a source and reports whether there is more of the pass.
func (p *pass) step(ctx context.Context, one *passing) (more bool, err error) {
	if err := p.l.lock(ctx); err != nil {
		return false, err
	}
	defer p.l.unlock()
	if err := p.l.connected(ctx); err != nil {
		return false, err
	}
	s := one.s
	usual, begun := s.session, s.begun
	s.session, s.begun = p.session, true // its owner has begun it
	defer func() { s.session, s.begun = usual, begun }()
	_, err = s.step(ctx)
	if err != nil {
		if err = s.missed(err); warehouse.KindOf(err) == warehouse.Moved && one.moved < maxMoved {
			one.moved++
			return true, nil
		}
		return false, err
	}
	p.told(one)
	return s.positions == nil || s.stale || !s.reached(one.target), nil
}

// told says how far the source is.
func (p *pass) told(one *passing) {
	if p.tell == nil {
		return
	}
	k, _ := one.s.marks.get(one.s.name)
	pending := k.pending(one.s.snap)
	if one.total == 0 {
		one.total = pending
	}
	one.total = max(one.total, pending)
	p.tell(one.s.name, one.total-pending, one.total)
}

// settle keeps with each source what came of the pass, and returns when the first that failed is to be tried again. The gate is
// held.
func (p *pass) settle(err error, now time.Time) (retry time.Time) {
	for _, s := range p.all {
		switch e := p.failed[s.name]; {
		case e != nil:
			s.err, s.wait = e, min(max(2*s.wait, backOffLeast), retryMost)
			s.notBefore = now.Add(s.wait)
		case err == nil:
			s.err, s.wait, s.notBefore = nil, 0, time.Time{}
		}
	}
	for _, name := range p.l.names {
		if s := p.l.sources[name]; s.err != nil && (retry.IsZero() || s.notBefore.Before(retry)) {
			retry = s.notBefore
		}
	}
	return retry
}

// failure joins what went wrong into one error, that of the whole in front; also what went wrong earlier with sources that this pass
// left out. The gate is held.
func (p *pass) failure(err error) error {
	var all []error
	if err != nil {
		all = append(all, err)
	}
	for _, name := range p.l.names {
		if e := p.failed[name]; e != nil {
			all = append(all, fmt.Errorf("source %s: %w", name, e))
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

// missed is for errors after which the shaper may not follow the warehouse.
func (s *source) missed(err error) error {
	s.stale, s.shaper, s.ahead = true, nil, nil
	return err
}

// reached reports whether everything below the offsets has been loaded.
func (s *source) reached(target map[string]uint64) bool {
	for log, end := range target {
		if s.from(log) < end {
			return false
		}
	}
	return true
}

// connected makes sure that there is a warehouse. The gate is held.
func (l *Loader) connected(ctx context.Context) error {
	if l.connect == nil {
		return nil
	}
	return l.connect(ctx)
}
