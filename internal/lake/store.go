package lake

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/rowfile"
)

// store is one table as its committers see it: the writer, the mergers and what tends the lake. There is one a table in the
// process that owns the lake, and every change goes through [store.change], so commits follow one another and a table that was
// read a moment ago is the present one. Safe for concurrent use.
type store struct {
	l    *Lake
	name string

	flushing   sync.Mutex // held by a flush from what it knows of the table to its commit; taken before committing
	committing sync.Mutex // held while a commit is made: a few milliseconds

	mu    sync.Mutex
	table *table.Table

	planning sync.Mutex
	planner  *planner
	planned  *Snapshot
	location string // of the metadata that planned was made from
}

// store returns the one store of a table, which is made where it is missing.
func (l *Lake) store(ctx context.Context, name string) (*store, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, ok := l.stores[name]; ok {
		return s, nil
	}
	spec := callSpec
	if name == DeadLetters {
		spec = deadSpec
	}
	t, err := openTable(ctx, l.catalog, name, spec)
	if err != nil {
		return nil, err
	}
	s := &store{l: l, name: name, table: t, planner: newPlanner(name, l.catalog.IO())}
	l.stores[name] = s
	return s, nil
}

// current is the table as the last commit left it. It is immutable.
func (s *store) current() *table.Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table
}

// position is the first offset of a journal that may not be in the table yet.
func (s *store) position(log string) (uint64, error) {
	all, err := offsets(s.current().Properties(), positionKey)
	return all[log], err
}

// snapshot lists the files of the table.
func (s *store) snapshot() (*Snapshot, error) {
	s.planning.Lock()
	defer s.planning.Unlock()
	t := s.current()
	if s.planned == nil || s.location != t.MetadataLocation() {
		snap, err := s.planner.plan(t.Metadata())
		if err != nil {
			return nil, fmt.Errorf("plan table %s: %w", s.name, err)
		}
		s.planned, s.location = snap, t.MetadataLocation()
	}
	return s.planned, nil
}

// reload looks at the table anew, after a commit whose outcome is not known.
func (s *store) reload(ctx context.Context) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	return s.reloadLocked(ctx)
}

func (s *store) reloadLocked(ctx context.Context) error {
	t, err := s.l.catalog.Load(ctx, s.name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = t
	return nil
}

// change makes one commit to the table: fn fills a transaction on the present table. Step names it for tests: "commit",
// "merge" and so on. An error leaves open whether the commit took place; [store.reload] tells.
func (s *store) change(ctx context.Context, step string, fn func(t *table.Table, tx *table.Transaction) error) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	t := s.current()
	if err := s.l.o.step(step + " " + s.name); err != nil {
		return err
	}
	tx := s.l.catalog.Begin(t)
	if err := fn(t, tx); err != nil {
		return err
	}
	if changed := staleProperties(t.Properties()); len(changed) > 0 {
		if err := tx.SetProperties(changed); err != nil {
			return fmt.Errorf("set properties of table %s: %w", s.name, err)
		}
	}
	changed, err := tx.Commit(ctx)
	if err != nil {
		return fmt.Errorf("commit table %s: %w", s.name, err)
	}
	s.mu.Lock()
	s.table = changed
	s.mu.Unlock()
	return s.l.o.step("done " + step + " " + s.name)
}

// span is the part [from, to) of a journal that a flush covers.
type span struct {
	log      string
	from, to uint64
}

// commit adds files, if any, and the table's new position in one step.
func (s *store) commit(ctx context.Context, files []iceberg.DataFile, sp span) error {
	err := s.change(ctx, "commit", func(_ *table.Table, tx *table.Transaction) error {
		if len(files) > 0 {
			note := iceberg.Properties{
				"firth.log": sp.log, "firth.from": strconv.FormatUint(sp.from, 10), "firth.to": strconv.FormatUint(sp.to, 10),
			}
			// The files are new and carry field ids: neither a search for doubles nor a name mapping is needed.
			if err := tx.AddDataFiles(ctx, files, note, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping()); err != nil {
				return fmt.Errorf("add files to table %s: %w", s.name, err)
			}
		}
		if err := tx.SetProperties(iceberg.Properties{
			positionKey + sp.log: strconv.FormatUint(sp.to, 10),
			flushedKey + sp.log:  strconv.FormatUint(sp.from, 10),
		}); err != nil {
			return fmt.Errorf("set position of table %s: %w", s.name, err)
		}
		return nil
	})
	for _, f := range files {
		if err == nil {
			s.l.flushed.Add(f.FileSizeBytes())
		}
	}
	return err
}

// writeFile puts the rows of one day, in order, into a new file and describes it for a manifest.
func writeFile[T any](s *store, w *rowfile.Writer[T], day int64, rows []*T, from uint64) (*newFile, iceberg.DataFile, error) {
	if err := s.l.o.step("write " + s.name); err != nil {
		return nil, nil, err
	}
	f, err := s.newFile(day, from)
	if err != nil {
		return nil, nil, err
	}
	stats, err := w.Write(f, rows)
	if err != nil {
		return nil, nil, fmt.Errorf("write lake file %s: %w", f.path, errors.Join(err, f.discard()))
	}
	described, err := f.finish(stats)
	if err != nil {
		return nil, nil, errors.Join(err, f.discard())
	}
	return f, described, nil
}

func (s *store) describe(location string, day, size int64, stats *rowfile.Stats) (iceberg.DataFile, error) {
	t := s.current()
	b, err := iceberg.NewDataFileBuilder(t.Spec(), iceberg.EntryContentData, location, iceberg.ParquetFile,
		map[int]any{dayFieldID: iceberg.Date(day)}, nil, nil, stats.Rows, size)
	if err != nil {
		return nil, fmt.Errorf("describe lake file: %w", err)
	}
	sizes, values, nulls := map[int]int64{}, map[int]int64{}, map[int]int64{}
	lower, upper := map[int][]byte{}, map[int][]byte{}
	for i := range stats.Columns {
		c := &stats.Columns[i]
		sizes[c.ID], values[c.ID], nulls[c.ID] = c.Size, stats.Rows, c.Nulls
		lo, hi := c.Bounds()
		if lo != nil {
			lower[c.ID] = lo
		}
		if hi != nil {
			upper[c.ID] = hi
		}
	}
	return b.ColumnSizes(sizes).ValueCounts(values).NullValueCounts(nulls).LowerBoundValues(lower).UpperBoundValues(upper).
		SplitOffsets(stats.Splits).SortOrderID(t.SortOrder().OrderID()).Build(), nil
}
