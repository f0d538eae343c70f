package lake

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
	"firth/internal/lake/rowfile"
)

// errClock says that the clock stands too far behind the last commit of a table.
var errClock = errors.New("the system clock stands behind the last commit")

// clockSlack is how far back of the last commit Iceberg lets the next one be.
const clockSlack = time.Minute

// store is one table as its committer sees it.
type store struct {
	l       *Lake
	name    string
	table   *table.Table
	planner *planner
	planned *Snapshot // of table, once it was asked for
}

func (l *Lake) openStore(ctx context.Context, name string) (*store, error) {
	spec := callSpec
	if name == DeadLetters {
		spec = deadSpec
	}
	t, err := openTable(ctx, l.catalog, name, spec)
	if err != nil {
		return nil, err
	}
	return &store{l: l, name: name, table: t, planner: newPlanner(name, l.catalog.IO())}, nil
}

// position is the first offset of a journal that may not be in the table yet.
func (s *store) position(log string) (uint64, error) {
	all, err := offsets(s.table.Properties(), positionKey)
	return all[log], err
}

// snapshot lists the files of the table.
func (s *store) snapshot() (*Snapshot, error) {
	if s.planned == nil {
		snap, err := s.planner.plan(s.table.Metadata())
		if err != nil {
			return nil, fmt.Errorf("plan table %s: %w", s.name, err)
		}
		s.planned = snap
	}
	return s.planned, nil
}

// reload looks at the table anew, after a commit whose outcome is not known.
func (s *store) reload(ctx context.Context) error {
	t, err := s.l.catalog.Load(ctx, s.name)
	if err != nil {
		return err
	}
	s.table, s.planned = t, nil
	return nil
}

// span is the part [from, to) of a journal that a flush covers.
type span struct {
	log      string
	from, to uint64
}

// commit adds files, if any, and the table's new position in one step.
func (s *store) commit(ctx context.Context, files []iceberg.DataFile, sp span) error {
	if behind := time.UnixMilli(s.table.Metadata().LastUpdatedMillis()).Sub(s.l.o.Now()); behind > clockSlack {
		return fmt.Errorf("%w of table %s by %s", errClock, s.name, behind.Round(time.Second))
	}
	if err := s.l.o.step("commit " + s.name); err != nil {
		return err
	}
	tx := s.table.NewTransaction()
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
	if len(s.table.Metadata().Snapshots()) >= keepSnapshots {
		// Files are left to the sweeper: readers may still be at them.
		if err := tx.ExpireSnapshots(table.WithRetainLast(keepSnapshots), table.WithOlderThan(0), table.WithPostCommit(false)); err != nil {
			return fmt.Errorf("expire snapshots of table %s: %w", s.name, err)
		}
	}
	t, err := tx.Commit(ctx)
	if err != nil {
		return fmt.Errorf("commit table %s: %w", s.name, err)
	}
	s.table, s.planned = t, nil
	return s.l.o.step("committed " + s.name)
}

// writeFile puts the rows of one day, in order, into a new file and describes it for a manifest.
func writeFile[T any](s *store, w *rowfile.Writer[T], day int64, rows []*T, from uint64) (iceberg.DataFile, error) {
	path, err := s.newPath(day, from)
	if err != nil {
		return nil, err
	}
	if err := s.l.o.step("write " + s.name); err != nil {
		return nil, err
	}
	location := catalog.Location(path)
	out, err := s.l.catalog.IO().Create(location)
	if err != nil {
		return nil, fmt.Errorf("create lake file: %w", err)
	}
	counted := &counter{w: out}
	stats, err := w.Write(counted, rows)
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, fmt.Errorf("write lake file %s: %w", path, errors.Join(err, s.discard(path)))
	}
	return s.describe(location, day, counted.n, stats)
}

// newPath names a file of a day of the table; the name tells where in the journal its flush began.
func (s *store) newPath(day int64, from uint64) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(s.l.o.Rand, b[:]); err != nil {
		return "", fmt.Errorf("name a lake file: %w", err)
	}
	spec := s.table.Spec()
	field := spec.Field(0).Name
	folder := filepath.Join(s.l.o.Dir, s.name, "data", field+"="+dayTime(day).Format(time.DateOnly))
	return filepath.Join(folder, fmt.Sprintf("%016x-%s.parquet", from, hex.EncodeToString(b[:]))), nil
}

// discard removes a file that no commit names.
func (s *store) discard(path string) error {
	if err := s.l.o.FS.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	return nil
}

func (s *store) describe(location string, day, size int64, stats *rowfile.Stats) (iceberg.DataFile, error) {
	b, err := iceberg.NewDataFileBuilder(s.table.Spec(), iceberg.EntryContentData, location, iceberg.ParquetFile,
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
		SplitOffsets(stats.Splits).SortOrderID(s.table.SortOrder().OrderID()).Build(), nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
