package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"firth/internal/disk"
	"firth/internal/event"
	"firth/internal/lake/catalog"
	"firth/internal/lake/rowfile"
)

// Errors that callers branch on.
var (
	// ErrNoTable: the lake has no table of that name.
	ErrNoTable = catalog.ErrNoTable
	// ErrFileGone: a file of a snapshot was removed since; a newer snapshot does without it.
	ErrFileGone = errors.New("a file of the snapshot is gone")
)

// File is one Parquet file of a table, with the bounds that its manifest states. Times are Unix microseconds.
type File struct {
	Path  string // absolute path on local disk
	Rows  int64
	Bytes int64
	Day   time.Time // partition: midnight UTC of the day of ts (of received_at in the table of dead letters)

	// The rows' journals lie between MinLog and MaxLog, their offsets, whatever the journal, between MinOffset and MaxOffset.
	MinLog, MaxLog           string
	MinOffset, MaxOffset     uint64
	MinTS, MaxTS             int64
	MinReceived, MaxReceived int64
	// No event of the file sorts below MinEvent or above MaxEvent; the two may be shortened.
	MinEvent, MaxEvent string
}

// Snapshot is one state of a table. It stays readable until the sweeper's grace has passed.
type Snapshot struct {
	Source    string
	ID        int64             // Iceberg snapshot; 0 for a table without rows
	Time      time.Time         // of the commit
	Positions map[string]uint64 // by journal: every row below the offset is in
	Files     []*File           // shared between snapshots: read only
	Rows      int64
	Bytes     int64
	// Removed changes with every commit that takes rows away for good: retention, purges, merges that find duplicates. As long as it is the same,
	// a later snapshot has all rows of an earlier one.
	Removed uint64
}

// Reader reads tables, also beside a writer in another process. Safe for concurrent use.
type Reader struct {
	catalog *catalog.Catalog
	calls   *rowfile.Table[event.Call]

	verifier *verifier
	done     func() error // see Place; may be nil

	mu      sync.Mutex
	tables  map[string]*seen
	checked map[string]map[string]stamp // by folder of a table's files: those that were looked at, by path
}

// seen is what a reader knows of a table.
type seen struct {
	mu       sync.Mutex
	planner  *planner
	location string
	snapshot *Snapshot
}

// OpenReader opens the catalog for reading. The lake must exist.
func OpenReader(ctx context.Context, catalogPath string) (*Reader, error) {
	return openReader(ctx, catalogPath, disk.OS{})
}

func openReader(ctx context.Context, catalogPath string, fsys disk.FS) (*Reader, error) {
	return openReaderAt(ctx, Place{Catalog: catalogPath, FS: fsys}, filepath.Dir(catalogPath))
}

func openReaderAt(ctx context.Context, p Place, root string) (*Reader, error) {
	io, err := catalog.NewFileIOAt(p.FS, root, p.URL)
	if err != nil {
		return nil, err
	}
	c, err := catalog.Open(ctx, catalog.Options{Path: p.Catalog, Server: p.Server, Name: CatalogName, Namespace: Namespace, IO: io, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	return &Reader{
		catalog: c, calls: callTable(), verifier: newVerifier(p.FS),
		tables: map[string]*seen{}, checked: map[string]map[string]stamp{},
	}, nil
}

// Close releases the catalog, and what the [Place] has to be released.
func (r *Reader) Close() error {
	err := r.catalog.Close()
	if r.done != nil {
		err = errors.Join(err, r.done())
	}
	return err
}

// Sources lists the tables of events, sorted.
func (r *Reader) Sources(ctx context.Context) ([]string, error) {
	tables, err := r.catalog.Tables(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for name := range tables {
		if name != DeadLetters {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Snapshot returns the present state of a source's table, or of [DeadLetters]. While the table does not change it costs one
// look into the catalog and returns the same snapshot. An unknown source is ErrNoTable.
func (r *Reader) Snapshot(ctx context.Context, source string) (*Snapshot, error) {
	r.mu.Lock()
	s, ok := r.tables[source]
	if !ok {
		s = &seen{planner: newPlanner(source, r.catalog.IO())}
		r.tables[source] = s
	}
	r.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.refresh(ctx, source, s)
}

// maxPlans bounds how often planning follows a table whose old metadata is removed under it.
const maxPlans = 10

func (r *Reader) refresh(ctx context.Context, source string, s *seen) (*Snapshot, error) {
	for try := 1; ; try++ {
		location, err := r.catalog.Current(ctx, source)
		if err != nil {
			return nil, err
		}
		if location == s.location {
			return s.snapshot, nil
		}
		t, err := r.catalog.Load(ctx, source)
		if err != nil {
			return nil, err
		}
		if err := checkFormat(t); err != nil {
			return nil, err
		}
		snap, err := s.planner.plan(t.Metadata())
		if errors.Is(err, fs.ErrNotExist) && try < maxPlans {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("plan table %s: %w", source, err)
		}
		s.location, s.snapshot = t.MetadataLocation(), snap
		return snap, nil
	}
}

// Files lists the files of a source that may hold rows received in [from, to).
func (r *Reader) Files(ctx context.Context, source string, from, to time.Time) ([]*File, error) {
	snap, err := r.Snapshot(ctx, source)
	if err != nil {
		return nil, err
	}
	var out []*File
	for _, f := range snap.Files {
		if f.MaxReceived >= from.UnixMicro() && f.MinReceived < to.UnixMicro() {
			out = append(out, f)
		}
	}
	return out, nil
}

// Calls hands fn every row of the log with from <= offset < to, file by file, in the order of (event, ts) within a file.
// Strings of a call may be kept; byte slices are good until fn returns. An error of fn ends the walk and is returned.
// A file that is gone (the snapshot is too old) is ErrFileGone: take a new snapshot and start again.
func (r *Reader) Calls(ctx context.Context, snap *Snapshot, log string, from, to uint64, fn func(*event.Call) error) error {
	for _, f := range snap.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !f.MayHold(log, from, to) {
			continue
		}
		keep := func(c *event.Call) bool { return c.Log == log && c.Offset >= from && c.Offset < to }
		scan := rowfile.Scan{Probe: []string{colLog, colOffset}}
		if f.whole(log, from, to) {
			keep, scan.Probe = nil, nil
		}
		err := withFile(r.verifier, r.calls, f, func(file *rowfile.File[event.Call]) error { return file.Scan(scan, keep, fn) })
		if err != nil {
			return err
		}
	}
	return nil
}

// withFile opens a file of a snapshot for as long as fn runs. The first time in a process all of it is verified: a damaged file
// is [ErrDamaged], and none of its rows is handed out.
func withFile[T any](v *verifier, shape *rowfile.Table[T], f *File, fn func(*rowfile.File[T]) error) (err error) {
	handle, err := v.open(f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, handle.Close()) }()
	file, err := rowfile.Open(shape, handle, f.Bytes)
	if err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	if file.Rows() != f.Rows {
		return fmt.Errorf("%s has %d rows, the manifest says %d", f.Path, file.Rows(), f.Rows)
	}
	if err := fn(file); err != nil {
		return fmt.Errorf("%s: %w", f.Path, err)
	}
	return nil
}

func microsTime(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
