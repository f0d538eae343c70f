package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// looked is what a step knows of the lake: the files that it was compared with, and how far each journal was then.
type looked struct {
	files     map[string]bool
	positions map[string]uint64
}

// patientTries is how often a step is written beside a writer that commits the same events meanwhile, before that one has to wait.
const patientTries = 3

// write brings a step into the tables.
func (im *importing) write(ctx context.Context, s *importStep) error {
	im.yield(ctx)
	end, err := im.l.besidePurge(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := im.leaveOut(s); err != nil {
		return err
	}
	ids := newIDTable(s.ids)
	var known looked
	if im.store != nil {
		snap, err := im.store.snapshot()
		if err != nil {
			return err
		}
		known = looked{files: map[string]bool{}, positions: snap.Positions}
		if _, err := im.lookIn(ctx, ids, snap.Files); err != nil {
			return err
		}
		for _, f := range snap.Files {
			known.files[f.Path] = true
		}
	}
	ids.distinct()
	if im.o.DryRun {
		return im.countOnly(s, ids)
	}
	if err := im.writeLetters(ctx, s); err != nil {
		return err
	}
	for try := 0; ; try++ {
		again, err := im.attempt(ctx, s, ids, &known, try >= patientTries)
		if err != nil {
			return err
		}
		if !again {
			break
		}
	}
	im.report.take(s)
	im.report.Commits++
	im.added.Add(s.totals.Added)
	return nil
}

// leaveOut leaves events out of people who are suppressed since the step was read. No purge may be under way: one that comes later finds
// what is committed.
func (im *importing) leaveOut(s *importStep) error {
	orders := im.l.suppress.state()
	if orders == s.orders {
		return nil
	}
	s.orders = orders
	late := make([]uint64, (s.to-s.from)/64+1)
	var c event.Call
	return mergeRuns(s.runs, func(_ int64, r record) error {
		if r.call(im.log, &c); im.l.Suppressed(im.o.Source, &c) {
			at := c.Offset - s.from
			late[at>>6] |= 1 << (at & 63)
			s.late = late
			s.totals.Read--
			s.totals.Suppressed++
		}
		return nil
	})
}

// yield lets a writer catch up that has more to flush than it can in its interval.
func (im *importing) yield(ctx context.Context) {
	for held := time.Duration(0); im.l.behind.Load() && held < maxHold && sleep(ctx, time.Second); held += time.Second {
	}
}

// countOnly counts what would be added.
func (im *importing) countOnly(s *importStep, ids *idTable) error {
	c := s.counter(ids)
	if err := mergeRuns(s.runs, func(day int64, r record) error { c.take(day, r); return nil }); err != nil {
		return err
	}
	im.report.take(s)
	im.added.Add(s.totals.Added)
	return nil
}

// attempt writes the files of a step and commits them. Where the writer has committed some of its events meanwhile the files are given
// up, again is true, and ids know of them.
func (im *importing) attempt(ctx context.Context, s *importStep, ids *idTable, known *looked, alone bool) (again bool, err error) {
	if alone {
		im.store.flushing.Lock()
		defer im.store.flushing.Unlock()
		if _, err := im.lookAgain(ctx, ids, known); err != nil {
			return false, err
		}
	}
	out := &importOut{im: im, s: s, count: s.counter(ids), importGroup: &im.group}
	defer func() {
		if err != nil || again {
			err = errors.Join(err, out.discard())
		}
	}()
	if err := out.write(ctx); err != nil {
		return false, err
	}
	if !alone {
		im.store.flushing.Lock() // what is flushed from now on would not be known
		defer im.store.flushing.Unlock()
		if again, err = im.lookAgain(ctx, ids, known); err != nil || again {
			return again, err
		}
	}
	if err := im.commit(ctx, s, out); err != nil {
		return false, err
	}
	out.release()
	return false, nil
}

// lookAgain looks for events of the step that have come into the table since it was looked at: what merges have written meanwhile was
// there before, unless a position has moved. No flush may be under way.
func (im *importing) lookAgain(ctx context.Context, ids *idTable, known *looked) (fresh bool, err error) {
	snap, err := im.store.snapshot()
	if err != nil {
		return false, err
	}
	if maps.Equal(snap.Positions, known.positions) {
		return false, nil
	}
	var files []*File
	for _, f := range snap.Files {
		if known.files[f.Path] {
			continue
		}
		for log, to := range snap.Positions {
			if from := known.positions[log]; from < to && f.MayHold(log, from, to) {
				files = append(files, f)
				break
			}
		}
	}
	fresh, err = im.lookIn(ctx, ids, files)
	known.positions = snap.Positions
	for _, f := range files {
		known.files[f.Path] = true
	}
	return fresh, err
}

// commit names the files and says how far the import is, in one step.
func (im *importing) commit(ctx context.Context, s *importStep, out *importOut) error {
	next := s.next
	next.Totals = im.totals(s)
	state, err := next.text()
	if err != nil {
		return err
	}
	t := im.store
	err = t.change(ctx, "import", func(_ *table.Table, tx *table.Transaction) error {
		if len(out.described) > 0 {
			note := iceberg.Properties{"firth.log": im.log, "firth.from": offsetText(s.from), "firth.to": offsetText(s.to), noteImported: offsetText(s.to - s.from)}
			if err := tx.AddDataFiles(ctx, out.described, note, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping()); err != nil {
				return fmt.Errorf("add files to table %s: %w", t.name, err)
			}
		}
		return tx.SetProperties(iceberg.Properties{positionKey + im.log: offsetText(s.to), importKey + im.log: state})
	})
	if err == nil {
		return nil
	}
	if rerr := t.reload(ctx); rerr != nil { // the files may be named: they stay
		out.files = nil
		return errors.Join(err, rerr)
	}
	if t.current().Properties()[importKey+im.log] != state {
		return err
	}
	if cerr := t.l.catalog.Confirm(ctx); cerr != nil { // it took place, and may not be on disk
		out.files = nil
		return errors.Join(err, cerr)
	}
	return nil
}

// totals are those of the whole import, with the step.
func (im *importing) totals(s *importStep) ImportTotals {
	sum := s.totals
	sum.add(im.report.ImportTotals)
	if im.report.Before != nil {
		sum.add(*im.report.Before)
	}
	return sum
}

// stepCounter counts the events of a step as they are merged.
type stepCounter struct {
	s    *importStep
	day  int64
	of   *ImportCount
	drop []uint64 // a bit for each offset behind the first
}

// counter begins to count anew.
func (s *importStep) counter(ids *idTable) *stepCounter {
	c := &stepCounter{s: s, drop: make([]uint64, (s.to-s.from)/64+1)}
	clear(s.days)
	s.types = [len(callTypes)]ImportCount{}
	s.totals.Added, s.totals.Skipped, s.made, s.madeBytes = 0, 0, 0, 0
	for i := range ids.ids {
		if at := ids.ids[i].at; ids.dropped(uint32(i)) {
			c.drop[at>>6] |= 1 << (at & 63)
		}
	}
	return c
}

// take counts an event and reports whether it is to be added.
func (c *stepCounter) take(day int64, r record) bool {
	at, kind := r.offset()-c.s.from, &c.s.types[r.kind()]
	if len(c.s.late) > 0 && c.s.late[at>>6]>>(at&63)&1 == 1 {
		return false
	}
	if c.of == nil || c.day != day {
		c.day, c.of = day, c.s.days[day]
		if c.of == nil {
			c.of = &ImportCount{}
			c.s.days[day] = c.of
		}
	}
	c.of.Read++
	kind.Read++
	if c.drop[at>>6]>>(at&63)&1 == 1 {
		c.of.Skipped++
		kind.Skipped++
		c.s.totals.Skipped++
		return false
	}
	c.of.Added++
	kind.Added++
	c.s.totals.Added++
	return true
}

// importOut writes the files of a step, one after the other.
type importOut struct {
	im        *importing
	s         *importStep
	count     *stepCounter
	files     []*newFile
	described []iceberg.DataFile

	open *newFile // the last of files, while it is written
	day  int64
	*importGroup
}

// importGroup is the row group that is being filled. Its memory serves all files of an import.
type importGroup struct {
	arena []byte // texts of the calls
	rows  []*event.Call
	calls []event.Call
}

func (g *importGroup) empty() {
	if g.calls == nil {
		g.arena = make([]byte, 0, groupText)
		g.calls = make([]event.Call, rowfile.RowsPerGroup)
		g.rows = make([]*event.Call, 0, rowfile.RowsPerGroup)
	}
	g.arena, g.rows = g.arena[:0], g.rows[:0]
}

// groupText is how many bytes of texts a row group has at most.
const groupText = 24 << 20

func (o *importOut) write(ctx context.Context) error {
	o.empty()
	err := mergeRuns(o.s.runs, func(day int64, r record) error {
		if !o.count.take(day, r) {
			return nil
		}
		if o.open != nil && day != o.day {
			if err := o.end(); err != nil {
				return err
			}
		}
		if len(o.rows) == rowfile.RowsPerGroup || len(o.rows) > 0 && len(o.arena)+len(r) > cap(o.arena) {
			if err := errors.Join(o.group(), ctx.Err()); err != nil {
				return err
			}
		}
		return o.add(day, r)
	})
	if err != nil {
		return err
	}
	return o.end()
}

// add puts an event into the present row group.
func (o *importOut) add(day int64, r record) error {
	if o.open == nil {
		if err := o.im.l.o.step("import write " + o.im.store.name); err != nil {
			return err
		}
		f, err := o.im.store.newFile(day, o.s.from)
		if err != nil {
			return err
		}
		o.open, o.day = f, day
		o.files = append(o.files, f)
		o.im.writer.Begin(f)
	}
	at := len(o.arena)
	o.arena = append(o.arena, r...)
	c := &o.calls[len(o.rows)]
	record(o.arena[at:]).call(o.im.log, c)
	o.rows = append(o.rows, c)
	return nil
}

// group writes the row group, and ends a file that is large.
func (o *importOut) group() error {
	if len(o.rows) == 0 {
		return nil
	}
	if err := o.im.writer.Group(o.rows); err != nil {
		return err
	}
	o.empty()
	if o.open.size >= o.im.o.FileBytes {
		return o.end()
	}
	return nil
}

// end brings the present file to its end.
func (o *importOut) end() error {
	if o.open == nil {
		return nil
	}
	if err := o.group(); err != nil || o.open == nil {
		return err
	}
	stats, err := o.im.writer.End()
	if err != nil {
		return fmt.Errorf("write lake file %s: %w", o.open.path, err)
	}
	described, err := o.open.finish(stats)
	if err != nil {
		return err
	}
	o.described = append(o.described, described)
	o.s.made++
	o.s.madeBytes += o.open.size
	o.open = nil
	return nil
}

func (o *importOut) discard() (err error) {
	for _, f := range o.files {
		err = errors.Join(err, f.discard())
	}
	o.files = nil
	return err
}

// release says that a commit names the files.
func (o *importOut) release() {
	for _, f := range o.files {
		f.release()
		o.im.l.flushed.Add(f.size)
	}
	o.files = nil
}
