package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/apache/iceberg-go"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
	"firth/internal/lake/window"
)

// flush brings the batch into the tables, table by table. It returns an error only after the context has ended.
func (w *Writer) flush(ctx context.Context) error {
	w.began = w.l.o.Now()
	drain, cancel := afterEnd(ctx, w.l.o.Drain)
	defer cancel()
	if err := w.keepOrders(drain); err != nil {
		return err
	}
	sp := span{log: w.log, from: w.flushed, to: w.batch.to}
	stated := false // by a table that was committed
	flushTable := func(fn func() (bool, error)) error {
		return w.retry(drain, func() error {
			committed, err := fn()
			stated = stated || committed
			return err
		})
	}
	if err := flushTable(func() (bool, error) { return w.flushDead(drain, sp) }); err != nil {
		return err
	}
	for _, name := range w.batch.sources() {
		if err := flushTable(func() (bool, error) { return w.flushSource(drain, name, sp) }); err != nil {
			return err
		}
	}
	if w.unsure {
		if err := w.retry(drain, func() error { return w.l.catalog.Confirm(drain) }); err != nil {
			return err
		}
		w.unsure = false
	}
	w.flushed = sp.to
	if err := w.retry(drain, func() error { return w.release(drain, stated, sp) }); err != nil {
		return err
	}
	w.setOK()
	took := w.l.o.Now().Sub(w.began)
	w.stat(func(s *Stats) {
		s.Position, s.Flushed, s.FlushTime = sp.to, w.began.Add(took), took
		s.Flushes++
		s.Suppressed += int64(w.batch.suppressed)
	})
	return nil
}

// statedBytes is how much may be flushed without a row, all of it known already, before the journal is emptied.
const statedBytes = 8 << 20

// release gives up what the journal need not keep: what lies below the start of a flush that some table states.
func (w *Writer) release(ctx context.Context, stated bool, sp span) error {
	if w.batch.ordered { // somebody waits for it
		return w.settle(ctx)
	}
	if err := w.roll(false); err != nil {
		return err
	}
	if stated {
		w.stated, w.silent = sp.from, 0
		return w.trim(sp.from)
	}
	if w.silent += w.batch.bytes; w.silent < statedBytes {
		return nil
	}
	return w.settle(ctx)
}

// settle lets a table state that all that was read is in the lake, and empties the journal. Until then the last flush is
// read again at a start.
func (w *Writer) settle(ctx context.Context) error {
	if w.stated == w.flushed {
		return nil
	}
	if err := w.roll(true); err != nil {
		return err
	}
	if err := w.dead.commit(ctx, nil, span{log: w.log, from: w.flushed, to: w.flushed}); err != nil {
		return err
	}
	if err := w.trim(w.flushed); err != nil {
		return err
	}
	w.stated, w.silent = w.flushed, 0
	return nil
}

func (w *Writer) trim(before uint64) error {
	if err := w.l.o.step("trim"); err != nil {
		return err
	}
	if err := w.journal.Trim(before); err != nil {
		return fmt.Errorf("trim journal: %w", err)
	}
	return nil
}

func (w *Writer) flushDead(ctx context.Context, sp span) (committed bool, err error) {
	w.dead.flushing.Lock()
	defer w.dead.flushing.Unlock()
	position, err := w.dead.position(w.log)
	if err != nil {
		return false, err
	}
	rows := make([]*event.DeadLetter, 0, len(w.batch.letter))
	for _, d := range w.batch.letter {
		if d.Offset >= position {
			rows = append(rows, d)
		}
	}
	if len(rows) == 0 {
		return false, nil
	}
	slices.SortFunc(rows, func(a, b *event.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.ReceivedAt, b.ReceivedAt), cmp.Compare(a.Offset, b.Offset))
	})
	size, files, err := writeDays(ctx, w, w.dead, w.letters, rows, func(d *event.DeadLetter) int64 { return dayOf(d.ReceivedAt) }, sp)
	if err != nil {
		return false, err
	}
	w.stat(func(s *Stats) {
		s.DeadLetters += int64(len(rows))
		s.Files += int64(files)
		s.Bytes += size
	})
	return true, nil
}

// flushSource brings a source's calls into its table. It reports whether the table was committed.
func (w *Writer) flushSource(ctx context.Context, name string, sp span) (committed bool, err error) {
	s, err := w.source(ctx, name)
	if err != nil {
		return false, err
	}
	s.flushing.Lock() // rows that are restored from now on would not be known
	defer s.flushing.Unlock()
	if err := s.catchUp(w.log); err != nil {
		return false, err
	}
	position, err := s.position(w.log)
	if err != nil {
		return false, err
	}
	all := w.batch.source[name]
	calls := make([]*event.Call, 0, len(all))
	for _, c := range all {
		if c.Offset >= position {
			calls = append(calls, c)
		}
	}
	if len(calls) == 0 {
		return false, nil
	}
	rows, ids, err := s.fresh(calls, w.log)
	if err != nil {
		return false, err
	}
	duplicates := len(calls) - len(rows)
	if len(rows) == 0 {
		w.stat(func(st *Stats) { s.count(st, 0, duplicates) })
		return false, nil
	}
	sorted := slices.Clone(rows)
	slices.SortFunc(sorted, compareCalls)
	size, files, err := writeDays(ctx, w, s.store, w.calls, sorted, func(c *event.Call) int64 { return dayOf(c.TS) }, sp)
	if err != nil {
		return false, err
	}
	w.note(s, rows, ids, sp.to)
	w.stat(func(st *Stats) {
		s.count(st, len(rows), duplicates)
		st.Files += int64(files)
		st.Bytes += size
	})
	return true, nil
}

func compareCalls(a, b *event.Call) int {
	return cmp.Or(cmp.Compare(dayOf(a.TS), dayOf(b.TS)), cmp.Compare(a.Event, b.Event), cmp.Compare(a.TS, b.TS), cmp.Compare(a.Offset, b.Offset))
}

// note takes committed rows into the window, which is a cache: its trouble does not hold up the flush.
func (w *Writer) note(s *source, rows []*event.Call, ids []window.ID, to uint64) {
	err := w.l.o.step("window " + s.name)
	if err == nil {
		err = s.note(rows, ids, to)
	}
	if err != nil {
		w.l.o.Log.Warn("the dedup window stays in memory and is tried again", "table", s.name, "error", err)
	}
}

// writeDays writes a file for each day of the rows, which are sorted by day first, and commits them. One file is open at a
// time, however many days there are. When the commit fails for certain, the files go again.
func writeDays[T any](ctx context.Context, w *Writer, s *store, out *rowfile.Writer[T], rows []*T, day func(*T) int64, sp span) (size int64, n int, err error) {
	var files []iceberg.DataFile
	var written []*newFile
	for len(rows) > 0 && err == nil {
		of := day(rows[0])
		end := 1
		for end < len(rows) && day(rows[end]) == of {
			end++
		}
		var file *newFile
		var f iceberg.DataFile
		if file, f, err = writeFile(s, out, of, rows[:end], sp.from); err == nil {
			files, written = append(files, f), append(written, file)
			size += file.size
		}
		rows = rows[end:]
	}
	if err == nil {
		err = s.commit(ctx, files, sp)
	}
	if err != nil {
		there, rerr := s.landed(ctx, sp)
		if rerr != nil { // the files may be named: they stay, and count as being written for as long as the process runs
			return 0, 0, errors.Join(err, rerr)
		}
		if !there {
			for _, f := range written {
				err = errors.Join(err, f.discard())
			}
			return 0, 0, err
		}
		w.unsure = true
	}
	for _, f := range written {
		f.release()
	}
	return size, len(files), nil
}

// landed looks whether a commit that ended in an error took place all the same.
func (s *store) landed(ctx context.Context, sp span) (bool, error) {
	if err := s.reload(ctx); err != nil {
		return false, err
	}
	position, err := s.position(sp.log)
	return err == nil && position >= sp.to, err
}

// afterEnd returns a context that ends some time after another one has.
func afterEnd(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(grace, cancel)
		context.AfterFunc(out, func() { timer.Stop() })
	})
	return out, func() { stop(); cancel() }
}
