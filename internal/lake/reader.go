package lake

import (
	"context"
	"errors"
	"time"

	"firth/internal/event"
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
	MinEvent, MaxEvent       string // prefixes at least: no event of the file sorts below MinEvent or above MaxEvent
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
}

// Reader reads tables, also beside a writer in another process. Safe for concurrent use.
type Reader struct{}

// OpenReader opens the catalog for reading. The lake must exist.
func OpenReader(ctx context.Context, catalogPath string) (*Reader, error) {
	return nil, errors.ErrUnsupported
}

// Close releases the catalog.
func (r *Reader) Close() error { return nil }

// Sources lists the tables of events, sorted.
func (r *Reader) Sources(ctx context.Context) ([]string, error) { return nil, errors.ErrUnsupported }

// Snapshot returns the present state of a source's table, or of [DeadLetters]. While the table does not change it costs one
// look into the catalog and returns the same snapshot. An unknown source is ErrNoTable.
func (r *Reader) Snapshot(ctx context.Context, source string) (*Snapshot, error) {
	return nil, errors.ErrUnsupported
}

// Files lists the files of a source that may hold rows received in [from, to).
func (r *Reader) Files(ctx context.Context, source string, from, to time.Time) ([]*File, error) {
	return nil, errors.ErrUnsupported
}

// Calls hands fn every row of the log with from <= offset < to, file by file, in the order of (event, ts) within a file.
// Strings of a call may be kept; byte slices are good until fn returns. An error of fn ends the walk and is returned.
// A file that is gone (the snapshot is too old) is ErrFileGone: take a new snapshot and start again.
func (r *Reader) Calls(ctx context.Context, snap *Snapshot, log string, from, to uint64, fn func(*event.Call) error) error {
	return errors.ErrUnsupported
}

// Errors that callers branch on.
var (
	ErrNoTable  = errors.New("no such table in the lake")
	ErrFileGone = errors.New("a file of the snapshot is gone")
)
