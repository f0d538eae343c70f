package rowfile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/parquet-go/parquet-go"
)

// Ref names a row of an input.
type Ref struct{ Input, Row uint32 }

// Merge writes one file from rows of others, column by column: no row is ever put together in memory. Its memory is bounded by
// Memory, however many inputs there are and however wide the rows.
type Merge[T any] struct {
	Table  *Table[T]
	Inputs []*Input
	Order  []Ref // the rows of the new file; those of one input in ascending order, or it takes long
	Sums   *Sums

	Memory  int64  // of unpacked and packed pages; what goes beyond is read again, or spilled
	Temp    string // folder for spill; empty: the system's
	Workers int
	// Worker is run as a goroutine of the merge, to which it gives its thread; nil: it just runs.
	Worker func(run func())
}

// MergeStats tell what a merge cost.
type MergeStats struct {
	Spilled int64 // bytes that went through Temp
}

// Limits of what is in memory of one column of the output before it becomes a page.
const (
	gatherRows   = 512
	gatherBytes  = 256 << 10
	groupBytes   = 96 << 20 // a row group of wide rows, unpacked
	minGroupRows = 256
	groupsInWork = 2
	pagesShare   = 4 // of the memory: for pages that are kept from one row group to the next
	packedShare  = 4 // of the memory: for packed pages of row groups in work
)

// Write writes the file. It returns what the file holds and the sum of its rows, worked out from the inputs' own pages: the file,
// read back with [Sums.Of], must have the same.
func (m *Merge[T]) Write(ctx context.Context, out io.Writer) (*Stats, Sum, MergeStats, error) {
	pool := newPagePool(int(m.Memory/packedShare), m.Temp)
	w := parquet.NewGenericWriter[any](out, append(m.Table.options(pageBytes), parquet.ColumnPageBuffers(pool))...)
	g := &gathering[T]{m: m, stats: newStats(m.Table, len(m.Order)), groups: slices.Collect(slices.Chunk(m.Order, m.groupRows()))}
	g.begin(w)
	err := errors.Join(g.run(ctx), g.close())
	if err == nil {
		if err = w.Close(); err != nil {
			err = fmt.Errorf("write footer: %w", err)
		}
	}
	if err = errors.Join(err, pool.close()); err != nil {
		return nil, Sum{}, MergeStats{Spilled: pool.spilled}, err
	}
	g.stats.addFooter(w.File())
	return g.stats, g.sum(), MergeStats{Spilled: pool.spilled}, nil
}

// groupRows is how many rows a row group has: wide rows make small groups.
func (m *Merge[T]) groupRows() int {
	raw, rows := int64(0), int64(0)
	for _, in := range m.Inputs {
		raw += in.Raw()
		rows += in.Rows()
	}
	most := min(groupBytes, m.Memory)
	return int(max(minGroupRows, min(RowsPerGroup, most*rows/max(raw, 1))))
}

// gathering is a merge at work: workers take columns of row groups, at most two groups at a time and a column's in order, and the
// groups that are whole go to the file.
type gathering[T any] struct {
	m       *Merge[T]
	stats   *Stats
	groups  [][]Ref
	writers [groupsInWork]*parquet.ConcurrentRowGroupWriter
	columns []*gatheredColumn // those with the most bytes first
	rows    [][][]uint64      // hashes of rows, by worker and input: a row's is the sum over the workers

	mu        sync.Mutex
	changed   *sync.Cond
	missing   []int // columns of each group that are not written yet
	committed int   // groups
	held      int64 // bytes of pages that are kept for the next group
	err       error
}

// gatheredColumn is one column of the output. It is worked on by one worker at a time.
type gatheredColumn struct {
	index   int
	raw     int64
	next    int // group
	busy    bool
	cursors []*cursor
	held    int64
}

func (g *gathering[T]) begin(w *parquet.GenericWriter[any]) {
	g.changed = sync.NewCond(&g.mu)
	for i := range min(groupsInWork, len(g.groups)) {
		g.writers[i] = w.BeginRowGroup()
	}
	for range g.groups {
		g.missing = append(g.missing, len(g.m.Table.columns))
	}
	for i := range g.m.Table.columns {
		c := &gatheredColumn{index: i}
		for _, in := range g.m.Inputs {
			c.cursors = append(c.cursors, &cursor{in: in, column: i})
			c.raw += in.raw(i)
		}
		g.columns = append(g.columns, c)
	}
	slices.SortFunc(g.columns, func(a, b *gatheredColumn) int {
		return cmp.Or(cmp.Compare(b.raw, a.raw), cmp.Compare(a.index, b.index))
	})
}

// run returns when all groups are written, or the first error or the end of the context is met, and no worker runs any more.
func (g *gathering[T]) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { g.fail(ctx.Err()) })
	defer stop()
	var workers sync.WaitGroup
	for range max(1, g.m.Workers) {
		sums := make([][]uint64, len(g.m.Inputs))
		for i, in := range g.m.Inputs {
			sums[i] = make([]uint64, in.Rows())
		}
		g.rows = append(g.rows, sums)
		work := &gatherer[T]{g: g, rows: sums, values: make([]parquet.Value, 0, gatherRows)}
		workers.Go(func() {
			if g.m.Worker != nil {
				g.m.Worker(work.run)
			} else {
				work.run()
			}
		})
	}
	for i := range g.groups {
		if !g.wait(i) {
			break
		}
		_, err := g.writers[i%groupsInWork].Commit()
		g.mu.Lock()
		g.committed++
		g.mu.Unlock()
		if err != nil {
			g.fail(fmt.Errorf("write row group: %w", err))
		}
		g.changed.Broadcast()
	}
	workers.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

// wait returns true when all columns of a group are written, false when that will not be.
func (g *gathering[T]) wait(group int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.missing[group] > 0 && g.err == nil {
		g.changed.Wait()
	}
	return g.err == nil
}

func (g *gathering[T]) fail(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = err
	}
	g.changed.Broadcast()
}

// take returns the next column to work on, or nil when there is nothing left.
func (g *gathering[T]) take() *gatheredColumn {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.err == nil {
		var best *gatheredColumn
		left := false
		for _, c := range g.columns {
			left = left || c.next < len(g.groups)
			if !c.busy && c.next < len(g.groups) && c.next < g.committed+groupsInWork && (best == nil || c.next < best.next) {
				best = c
			}
		}
		if best != nil {
			best.busy = true
			return best
		}
		if !left {
			return nil
		}
		g.changed.Wait()
	}
	return nil
}

// give hands a column back of which one more group is written. Its pages stay in memory while there is room.
func (g *gathering[T]) give(c *gatheredColumn) error {
	held := int64(0)
	for _, cur := range c.cursors {
		held += cur.held()
	}
	g.mu.Lock()
	g.held += held - c.held
	c.held = held
	if g.held > g.m.Memory/pagesShare {
		g.held -= held
		c.held = 0
	}
	kept := c.held == held
	g.mu.Unlock()
	var err error
	if !kept {
		for _, cur := range c.cursors {
			err = errors.Join(err, cur.park())
		}
	}
	g.mu.Lock()
	g.missing[c.next]--
	c.next++
	c.busy = false
	g.mu.Unlock()
	g.changed.Broadcast()
	return err
}

func (g *gathering[T]) close() (err error) {
	for _, c := range g.columns {
		for _, cur := range c.cursors {
			err = errors.Join(err, cur.park())
		}
	}
	return err
}

// sum adds up the hashes of the rows that the file has.
func (g *gathering[T]) sum() Sum {
	s := Sum{Rows: int64(len(g.m.Order))}
	for _, ref := range g.m.Order {
		h := uint64(0)
		for _, rows := range g.rows {
			h += rows[ref.Input][ref.Row]
		}
		s.Hash += scramble(h)
	}
	return s
}
