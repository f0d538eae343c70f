package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/name"
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
	o       *Options
	pace    *pace
	name    string
	schema  string
	session session

	// What the warehouse was last known to hold; nil: not read yet, stale: to be read again.
	positions map[string]warehouse.Position
	stale     bool
	shaper    Shaper
	// empty is, by journal, up to where the lake was found to hold nothing beyond the position.
	empty map[string]uint64

	spool         *spool         // nil: chunks are read from the lake's files
	rows          int            // of the next chunk: fewer after the warehouse ran out of memory
	gone          int            // how often in a row a file of the snapshot was gone
	snap          *lake.Snapshot // last seen
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
	began := s.o.Now()
	c, err := s.read(ctx, log, from, end)
	if errors.Is(err, lake.ErrFileGone) && s.gone < maxGone {
		s.gone++
		return true, nil // the next snapshot names the files that took its place
	}
	if err != nil {
		return false, readError(err, s.schema)
	}
	s.gone = 0
	if len(c.calls) == 0 {
		s.empty[log] = c.to
	} else if err := s.load(ctx, c, began); err != nil {
		s.stale, s.shaper = true, nil
		if warehouse.KindOf(err) == warehouse.NoMemory {
			s.rows = max(1, min(len(c.calls), s.rows)/4)
		}
		return false, err
	}
	s.rows = min(2*s.rows, s.o.Rows)
	_, _, _, more = s.next()
	return more, nil
}

// read reads the next chunk: so many offsets as should give the rows of one by the bounds of the files, or what a spool has.
func (s *source) read(ctx context.Context, log string, from, end uint64) (*chunk, error) {
	held, err := s.spool.holds(log, from)
	if err == nil && !held {
		err = s.respool(ctx, log, from, end)
	}
	if err != nil {
		return nil, err
	}
	if s.spool == nil {
		return readChunk(ctx, s.calls, log, from, upperBound(files(s.snap, log, from, end), from, end, int64(s.rows)), s.rows, s.o.Bytes)
	}
	c, err := readChunk(ctx, s.spool.read, log, from, s.spool.bucket(from).to, s.rows, s.o.Bytes)
	if err != nil && !ended(ctx) {
		err = errors.Join(err, s.dropSpool()) // the lake has it still
	}
	return c, err
}

// respool replaces the spool by one that begins at from, where one is needed.
func (s *source) respool(ctx context.Context, log string, from, end uint64) error {
	if err := s.dropSpool(); err != nil {
		return err
	}
	found := files(s.snap, log, from, end)
	to := upperBound(found, from, end, int64(s.rows))
	if s.o.TempDir == "" || !wasteful(found, from, to, s.rows) {
		return nil
	}
	to = spoolEnd(found, from, to, end, spoolBuckets/2*int64(s.rows))
	sp, err := newSpool(ctx, s.o, s.calls, s.schema, found, log, from, to, s.rows)
	if err != nil {
		return err
	}
	s.spool = sp
	return nil
}

func (s *source) dropSpool() error {
	sp := s.spool
	s.spool = nil
	return sp.remove()
}

// calls is a reader of the snapshot's files.
func (s *source) calls(ctx context.Context, log string, from, to uint64, fn func(*event.Call) error) error {
	if l, ok := s.o.Lake.(Leaner); ok && s.o.Rules.Mode != name.RudderStack {
		return l.CallsToShape(ctx, s.snap, log, from, to, fn)
	}
	return s.o.Lake.Calls(ctx, s.snap, log, from, to, fn)
}

// open reads what the warehouse holds and makes a shaper that follows it.
func (s *source) open(ctx context.Context) error {
	if !s.begun {
		if err := s.session.begin(ctx); err != nil {
			return err
		}
		s.begun = true
	}
	positions, err := s.o.Warehouse.Positions(ctx, s.name)
	if err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	tables, err := s.o.Warehouse.Catalogue(ctx, s.name)
	if err != nil {
		return err
	}
	s.shaper = s.o.NewShaper(s.name)
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
	return nil
}

// prepare makes the standard tables where they are missing.
func (s *source) prepare(ctx context.Context) error {
	p, ok := s.o.Warehouse.(Preparer)
	if !ok || len(s.o.Standard) == 0 {
		return nil
	}
	return p.Prepare(ctx, s.name, s.schema, s.o.Standard)
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

func (s *source) load(ctx context.Context, c *chunk, began time.Time) error {
	through := int64(event.NoTime)
	for i := range c.calls {
		through = max(through, c.calls[i].ReceivedAt)
		if err := s.shaper.Add(&c.calls[i]); err != nil {
			return fmt.Errorf("shape the call at offset %d: %w", c.calls[i].Offset, err)
		}
		c.calls[i] = event.Call{} // its rows have texts of their own: it need not be held beside them
	}
	b := s.shaper.Take()
	b.Source, b.Schema, b.Log, b.From, b.To, b.ReceivedThrough = s.name, s.schema, c.log, s.positions[c.log].Next, c.to, through
	r, err := s.o.Warehouse.Load(ctx, b)
	if err != nil {
		return err
	}
	s.loadedThrough, s.loadedAt = max(s.loadedThrough, through), s.o.Now()
	s.positions[c.log] = warehouse.Position{Next: c.to, LoadedThrough: s.loadedThrough, LoadedAt: s.loadedAt}
	s.pace.load(len(c.calls), s.loadedAt.Sub(began), s.loadedAt)
	if !r.Duplicate {
		r.Notices = append(b.Notices, r.Notices...)
		s.session.loaded(ctx, r, began)
	}
	return nil
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

// pending is the number of rows beyond the position, as far as the files' bounds tell.
func (s *source) pending() int64 {
	var n int64
	for log, end := range s.snap.Positions {
		if from := s.from(log); from < end {
			n += max(1, expected(files(s.snap, log, from, end), from, end))
		}
	}
	return n
}
