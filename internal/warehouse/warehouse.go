// Package warehouse holds what every kind of warehouse and its callers speak of: batches on their way in, what became of them, and
// the errors that a person can mend. Each kind lives in a package of its own below and passes the suite of warehousetest.
package warehouse

import (
	"fmt"
	"time"

	"firth/internal/event"
	"firth/internal/table"
)

// Columns that a warehouse fills itself, with the time of the load, wherever a table has them.
const (
	UUIDTS   = "uuid_ts"
	LoadedAt = "loaded_at"
)

// Discards is the table of values that could not be stored where they belonged; every schema of a source has one.
const Discards = "firth_discards"

// Batch is what one load carries: the rows of one source whose place in one journal is From <= offset < To, shaped into tables.
type Batch struct {
	Source string // as configured: the key of the bookkeeping
	Schema string // where the tables live

	Log      string // the journal's UUID
	From, To uint64
	// ReceivedThrough is the latest received_at of the rows in Unix microseconds, or event.NoTime where there are none.
	ReceivedThrough int64

	// Tables are appended to. Upserts hold one row an id (their first column): a cell replaces what is stored, a missing cell leaves it,
	// and received_at only grows. The columns of each are those of the table after the load, in order; the warehouse creates, adds and widens
	// what it lacks, and never removes.
	Tables, Upserts []*table.Batch

	Discards []event.Discard
	// Notices are for the run's row; the warehouse has no use for them.
	Notices []string
}

// DiscardColumns are the columns of firth_discards, in order.
func DiscardColumns() []table.Column {
	return []table.Column{
		{Name: "table_name", Type: table.String},
		{Name: "column_name", Type: table.String},
		{Name: "value", Type: table.String},
		{Name: "value_type", Type: table.String},
		{Name: "column_type", Type: table.String},
		{Name: "reason", Type: table.String},
		{Name: "row_id", Type: table.String},
		{Name: "received_at", Type: table.Timestamp},
		{Name: "loaded_at", Type: table.Timestamp},
	}
}

// In reports whether a warehouse that is at an offset of the batch's journal has the batch already. The error, of kind Moved, says that
// the batch does not begin there.
func (b *Batch) In(at uint64) (bool, error) {
	if at >= b.To {
		return true, nil
	}
	if at != b.From {
		return false, &Error{
			Op: "load", Object: b.Source, Kind: Moved,
			Err: fmt.Errorf("the warehouse is at offset %d of journal %s, the batch begins at %d", at, b.Log, b.From),
		}
	}
	return false, nil
}

// Result says what a load did.
type Result struct {
	// Duplicate is set when the warehouse held the batch already and nothing was written.
	Duplicate bool
	Rows      map[string]int64 // by table
	Discards  int64            // rows of firth_discards, those of the batch and those that a widening added
	Notices   []string         // changes that a person may want to know of: a column widened, a table made
}

// Position is how far one journal has been loaded for one source.
type Position struct {
	Next uint64 // first offset that is not in
	// LoadedThrough is the latest received_at loaded, in Unix microseconds, or event.NoTime; LoadedAt is when the last batch came in.
	LoadedThrough int64
	LoadedAt      time.Time
}

// Table is one table of a source as the warehouse's catalogue knows it.
type Table struct {
	Name    string
	Columns []table.Column
}

// Swap asks that tables which were made anew take the place of those that readers see. A rebuild is a load like any other, under a
// source key and into a schema of its own (RebuildSource, RebuildSchema); the swap ends it.
type Swap struct {
	Source, Schema               string
	RebuildSource, RebuildSchema string
	// Tables are those to be swapped, by name. One that the rebuild did not make (its calls are gone, or were never) is left alone.
	Tables []string
}

// RebuildPrefix begins the schema in which a source's tables are made anew.
const RebuildPrefix = "_firth_rebuild_"

// Finding is the outcome of one check of a warehouse, for firth check.
type Finding struct {
	What  string // for example: connection, schema production
	OK    bool
	Found string // what was seen
	Hint  string // what to do, the exact statement where there is one
}

// Run is one row of firth.runs. A run is written when it starts and again, under the same ID, while it goes on and when it ends.
type Run struct {
	ID         string
	Kind       string // load, mirror, merge, ...
	Name       string
	State      string // RunRunning and so on
	StartedAt  time.Time
	FinishedAt time.Time // zero while it runs
	Rows       int64
	Tables     map[string]int64 // rows by table
	Notices    []string
	Error      string
	Hint       string

	// Prepare and Load say where the time went: reading and shaping, and writing into the warehouse. Both are told in a notice.
	Prepare, Load time.Duration
}

// States of a run.
const (
	RunRunning = "running"
	RunSuccess = "success"
	RunPartial = "partial"
	RunFailure = "failure"
)

// Freshness is one row of firth.freshness: how far a warehouse is behind the lake for one source.
type Freshness struct {
	Source, Warehouse string
	ReceivedThrough   int64 // latest received_at in the lake; Unix microseconds or event.NoTime
	LoadedThrough     int64 // latest received_at in the warehouse
	LoadedAt          time.Time
	PendingRows       int64 // rows of the lake that are not loaded; an estimate while merged files are read in parts

	Upstream Upstream
}

// Upstream is how far the lake is behind the journal and its mergers behind the lake, all sources together, as the collecting half
// told last.
type Upstream struct {
	Known          bool    // false: nothing was told yet, the other fields mean nothing
	FlushLag       float64 // seconds that the oldest event waits which the journal has and the lake has not; 0 when none does
	FlushWaiting   int64   // events that wait so
	MergeFiles     int64   // files that wait to be merged
	MergeRows      int64   // and the rows in them
	OldestUnmerged int64   // time of receipt of the oldest of them in Unix microseconds; 0 when none waits
}

// LakeFile is one row of firth.files.
type LakeFile struct {
	Table                    string // source, or the table of dead letters
	Path                     string
	Day                      time.Time
	Rows, Bytes              int64
	MinTS, MaxTS             int64 // Unix microseconds
	MinReceived, MaxReceived int64
	MinOffset, MaxOffset     uint64
}
