package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/warehouse"
)

// Back-off of a source that fails.
const (
	backOffLeast = time.Second
	backOffMost  = 30 * time.Second
	// backOffFull is the most while the disk is full: whoever has made room looks whether it helped.
	backOffFull = 5 * time.Second
)

// maxGone is how many snapshots in a row may name a file that is gone before that is an error.
const maxGone = 3

// source is one source's way into the warehouse.
type source struct {
	walker  // rows: of the next chunk, fewer after the warehouse ran out of memory
	pace    *pace
	marks   *marks
	name    string
	schema  string
	session *session

	// What the warehouse was last known to hold; nil: not read yet, stale: to be read again.
	positions map[string]warehouse.Position
	stale     bool
	shaper    Shaper
	ahead     *prepared // the chunk behind the one that was loaded last; nil: none. The shaper has seen it
	// empty is, by journal, up to where the lake was found to hold nothing beyond the position.
	empty map[string]uint64

	gone          int // how often in a row a file of the snapshot was gone
	viewed        seenView
	loadedThrough int64
	loadedAt      time.Time

	err       error
	wait      time.Duration
	notBefore time.Time
	begun     bool
}

// step looks at the lake and loads one chunk; more says that another is waiting.
func (s *source) step(ctx context.Context) (more bool, err error) {
	snap, err := s.o.Lake.Snapshot(ctx, s.name)
	if errors.Is(err, lake.ErrNoTable) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the lake: %w", err)
	}
	s.snap = snap
	// A view that cannot be brought up to date is a failure of its own and keeps no rows from being loaded.
	viewErr := s.view(ctx)
	if s.o.LakeOnly {
		return false, errors.Join(viewErr, s.beginSession(ctx))
	}
	more, err = s.advance(ctx)
	return more, errors.Join(err, viewErr)
}

// advance loads the next chunk of the snapshot.
func (s *source) advance(ctx context.Context) (more bool, err error) {
	if s.positions == nil || s.stale {
		if err := s.open(ctx); err != nil {
			return false, err
		}
	}
	log, from, end, ok := s.next()
	if !ok {
		s.session.tick(ctx)
		return false, nil
	}
	p := s.taken(log, from)
	if s.stale {
		return true, nil
	}
	if p == nil {
		if p, err = s.prepare(ctx, log, from, end); err != nil {
			return s.unread(err)
		}
	}
	s.gone = 0
	if p.batch == nil {
		s.empty[log] = p.chunk.to
		s.mark()
	} else if err := s.load(ctx, p); err != nil {
		s.stale, s.shaper = true, nil
		if warehouse.KindOf(err) == warehouse.NoMemory {
			s.rows = max(1, min(p.calls, s.rows)/4)
		}
		return false, err
	}
	s.rows = min(2*s.rows, s.o.Rows)
	_, _, _, more = s.next()
	return more, nil
}

// unread is for a chunk that could not be prepared. Where a file was gone the next snapshot names those that took its place.
func (s *source) unread(err error) (more bool, _ error) {
	if errors.Is(err, lake.ErrFileGone) && s.gone < maxGone {
		s.gone++
		return true, nil
	}
	return false, readError(err, s.schema)
}

// open reads what the warehouse holds and makes a shaper that follows it.
func (s *source) open(ctx context.Context) error {
	if err := s.beginSession(ctx); err != nil {
		return err
	}
	positions, err := s.o.Warehouse.Positions(ctx, s.name)
	if err != nil {
		return err
	}
	if err := s.makeTables(ctx); err != nil {
		return err
	}
	tables, err := s.o.Warehouse.Catalogue(ctx, s.name)
	if err != nil {
		return err
	}
	s.shaper, s.ahead = s.o.NewShaper(s.name), nil
	for _, t := range tables {
		s.shaper.Restore(t.Name, t.Columns)
	}
	s.positions, s.stale, s.empty, s.loadedThrough = positions, false, map[string]uint64{}, event.NoTime
	for _, p := range positions {
		s.loadedThrough = max(s.loadedThrough, p.LoadedThrough)
		if p.LoadedAt.After(s.loadedAt) {
			s.loadedAt = p.LoadedAt
		}
	}
	s.mark()
	return nil
}

// beginSession ends the runs of an earlier process, once.
func (s *source) beginSession(ctx context.Context) error {
	if s.begun {
		return nil
	}
	if err := s.session.begin(ctx); err != nil {
		return err
	}
	s.begun = true
	return nil
}

// lakeOnlyHint says what Options.LakeOnly means for whoever asks.
const lakeOnlyHint = "it is switched off: the lake can be asked, and typed tables that are there stay as they are"

// makeTables makes the standard tables where they are missing.
func (s *source) makeTables(ctx context.Context) error {
	p, ok := s.o.Warehouse.(Preparer)
	standard := s.o.Selection.standard(s.name, s.schema, s.o.Standard)
	if !ok || len(standard) == 0 {
		return nil
	}
	return p.Prepare(ctx, s.name, s.schema, standard)
}

// next is the journal that has rows beyond the position, and where they begin and end.
func (s *source) next() (log string, from, end uint64, ok bool) {
	for _, log := range journals(s.snap) {
		from, end := s.from(log), s.snap.Positions[log]
		if from < end {
			return log, from, end, true
		}
	}
	return "", 0, 0, false
}

// from is where the next look into a journal begins.
func (s *source) from(log string) uint64 { return max(s.positions[log].Next, s.empty[log]) }

// load loads a chunk that has calls.
func (s *source) load(ctx context.Context, p *prepared) error {
	b, c := p.batch, p.chunk
	b.Source, b.Schema, b.Log, b.From, b.To = s.name, s.schema, c.log, s.positions[c.log].Next, c.to
	began := s.o.Now()
	var r *warehouse.Result
	var took time.Duration
	if err := s.beside(ctx, c, func() (err error) {
		r, err = s.o.Warehouse.Load(ctx, b)
		took = s.o.Now().Sub(began)
		return err
	}); err != nil {
		return err
	}
	s.loadedThrough, s.loadedAt = max(s.loadedThrough, b.ReceivedThrough), began.Add(took)
	s.positions[c.log] = warehouse.Position{Next: c.to, LoadedThrough: s.loadedThrough, LoadedAt: s.loadedAt}
	s.mark()
	s.pace.load(p.calls, p.took+took, s.loadedAt)
	if !r.Duplicate {
		r.Notices = append(b.Notices, r.Notices...)
		s.session.loaded(ctx, s.schema, r, spent{began: p.began, prepare: p.took, load: took})
	}
	return nil
}

// shape makes a batch of the calls that are wanted, which are let go of.
func (s *source) shape(shaper Shaper, c *chunk) (*warehouse.Batch, error) {
	through := int64(event.NoTime)
	for i := range c.calls {
		through = max(through, c.calls[i].ReceivedAt)
		if !s.o.Wanted(&c.calls[i]) {
			continue
		}
		if err := shaper.Add(&c.calls[i]); err != nil {
			return nil, fmt.Errorf("shape the call at offset %d: %w", c.calls[i].Offset, err)
		}
		c.calls[i] = event.Call{} // its rows have texts of their own: it need not be held beside them
	}
	b := shaper.Take()
	b.ReceivedThrough = through
	s.o.Selection.apply(s.o.Rules, s.name, s.schema, b)
	return b, nil
}

// note keeps what came of a step, and when to try again.
func (s *source) note(ctx context.Context, err error) {
	if err == nil {
		if s.err != nil {
			s.o.Log.Info("loading goes on", "source", s.name, "warehouse", s.o.Name)
		}
		s.err, s.wait = nil, 0
		return
	}
	if s.err == nil || s.err.Error() != err.Error() {
		s.o.Log.Error("a load failed", "source", s.name, "warehouse", s.o.Name, "err", err, "hint", warehouse.HintOf(err))
	}
	most := backOffMost
	if warehouse.KindOf(err) == warehouse.DiskFull {
		most = backOffFull
	}
	s.wait = min(max(2*s.wait, backOffLeast), most)
	s.err, s.notBefore = err, s.o.Now().Add(s.wait)
	s.session.failed(ctx, err, s.o.Now())
}
