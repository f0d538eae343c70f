package rowfile

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/parquet-go/parquet-go"
)

// gatherer is one worker of a merge.
type gatherer[T any] struct {
	g      *gathering[T]
	rows   [][]uint64
	values []parquet.Value
	bytes  int
}

func (w *gatherer[T]) run() {
	for {
		c := w.g.take()
		if c == nil {
			return
		}
		err := w.column(c)
		if err == nil {
			err = w.g.give(c)
		}
		if err != nil {
			w.g.fail(fmt.Errorf("merge column %s: %w", w.g.m.Table.columns[c.index].Name, err))
			return
		}
	}
}

// column writes one column of a row group.
func (w *gatherer[T]) column(c *gatheredColumn) error {
	out := w.g.writers[c.next%groupsInWork].ColumnWriters()[c.index]
	stats, textual := &w.g.stats.Columns[c.index], w.g.m.Table.columns[c.index].textual()
	null := parquet.NullValue().Level(0, 0, c.index)
	for _, ref := range w.g.groups[c.next] {
		cur, row := c.cursors[ref.Input], int64(ref.Row)
		if row < cur.first || row >= cur.end {
			if err := w.flush(out); err != nil { // what it holds points into the page that goes
				return err
			}
			if err := cur.load(row); err != nil {
				return err
			}
			w.g.m.Sums.mark(cur, w.rows[ref.Input])
		}
		text, number, ok := cur.value(row)
		switch {
		case !ok:
			stats.Nulls++
			w.values = append(w.values, null)
		case textual:
			stats.text(text)
			w.values = append(w.values, parquet.ByteArrayValue(text).Level(0, 1, c.index))
			w.bytes += len(text)
		default:
			stats.number(number)
			w.values = append(w.values, parquet.Int64Value(number).Level(0, 1, c.index))
		}
		if len(w.values) == gatherRows || w.bytes >= gatherBytes {
			if err := w.flush(out); err != nil {
				return err
			}
		}
	}
	return errors.Join(w.flush(out), out.Flush())
}

func (w *gatherer[T]) flush(out *parquet.ColumnWriter) error {
	_, err := out.WriteRowValues(w.values)
	w.values, w.bytes = w.values[:0], 0
	return err
}

// Of reads a file and returns the sum of its rows. Workers columns are read at a time, each by its own goroutine, which worker
// runs; nil: it just runs.
func (s *Sums) Of(ctx context.Context, in *Input, workers int, worker func(run func())) (Sum, error) {
	var mu sync.Mutex
	var all error
	next := 0
	take := func() int {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1
	}
	rows := make([][]uint64, max(1, workers))
	var wait sync.WaitGroup
	for i := range rows {
		rows[i] = make([]uint64, in.Rows())
		run := func() {
			for c := take(); c < len(in.columns)*(len(in.starts)-1); c = take() {
				err := ctx.Err()
				if err == nil {
					err = s.column(in, c%len(in.columns), c/len(in.columns), rows[i])
				}
				if err != nil {
					mu.Lock()
					all = errors.Join(all, err)
					mu.Unlock()
					return
				}
			}
		}
		wait.Go(func() {
			if worker != nil {
				worker(run)
			} else {
				run()
			}
		})
	}
	wait.Wait()
	sum := Sum{Rows: in.Rows()}
	for row := range rows[0] {
		h := uint64(0)
		for i := range rows {
			h += rows[i][row]
		}
		sum.Hash += scramble(h)
	}
	return sum, all
}

// column adds the values of a column chunk to the hashes of the rows.
func (s *Sums) column(in *Input, column, group int, rows []uint64) error {
	c := &cursor{in: in, column: column, first: in.starts[group], end: in.starts[group]}
	for c.end < in.starts[group+1] {
		if err := c.load(c.end); err != nil {
			return errors.Join(err, c.park())
		}
		s.mark(c, rows)
	}
	return c.park()
}
