// Package load carries events from the lake into a warehouse's typed tables.
//
// The warehouse itself stores how far it is, in the transaction of the rows: a map of journal to offset. A Loader reads from
// the present snapshot of the lake what lies beyond that map, shapes it into tables and loads it in bounded chunks in the order of
// the offsets. A new warehouse, one that was down for a week, a restart after a kill and the next second of a steady stream
// are the same thing: a position, and rows beyond it.
//
// A Loader serves the embedded warehouse in a steady stream. A Runner serves a warehouse that is a server: now and then, or by a
// schedule, with the same means. Both carry out orders by hand: what was loaded is loaded again where it is missing (replay), or tables
// are made anew beside the old ones and put into their place (rebuild).
package load

import (
	"context"
	"log/slog"
	"time"

	"firth/internal/disk"
	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/name"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// Lake is where events are read. *lake.Reader is one.
type Lake interface {
	// Sources lists the tables of events.
	Sources(ctx context.Context) ([]string, error)
	// Snapshot is the present state of a table; lake.ErrNoTable where there is none. It is cheap while nothing changes.
	Snapshot(ctx context.Context, source string) (*lake.Snapshot, error)
	// Calls hands fn the rows of a journal with from <= offset < to, in any order; lake.ErrFileGone asks for a newer snapshot.
	// Byte slices of a call are good until fn returns.
	Calls(ctx context.Context, snap *lake.Snapshot, log string, from, to uint64, fn func(*event.Call) error) error
}

// Leaner is a lake that can leave out what shaping does not read: the payload of track and identify calls.
type Leaner interface {
	// CallsToShape is Lake.Calls; Payload may be nil in calls of those types.
	CallsToShape(ctx context.Context, snap *lake.Snapshot, log string, from, to uint64, fn func(*event.Call) error) error
}

// Warehouse is a place for typed tables. A Loader makes one call at a time, though not always from the same goroutine; others may
// read beside it.
type Warehouse interface {
	// Positions is how far each journal has been loaded; journals that were never begun are missing.
	Positions(ctx context.Context, source string) (map[string]warehouse.Position, error)
	// Catalogue lists the tables that loads have made for the source, columns in order.
	Catalogue(ctx context.Context, source string) ([]warehouse.Table, error)
	// Load writes a batch and its position in one transaction. It is idempotent: a batch that is in already is a Duplicate.
	// After an error nothing of it is in; kind warehouse.Moved asks for Positions, warehouse.Broken for a new Warehouse.
	Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error)
}

// Preparer is a warehouse that can make the tables of a source before there are rows, so that queries written ahead do not fail.
type Preparer interface {
	// Prepare makes the schema and those of the tables that are missing; what exists stays as it is.
	Prepare(ctx context.Context, source, schema string, tables []*table.Batch) error
}

// Replayer is a warehouse that can take rows again which it may hold already.
type Replayer interface {
	// Replay writes in one transaction those rows of the batch's Tables whose id (the first column) their table does not hold, and the
	// discards that firth_discards does not hold; no position moves, and it may be called again. Upserts name the users and accounts that
	// were touched: each of their rows is computed anew from identifies or groups, per column the last value that is not null in the
	// order of received_at and id.
	Replay(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error)
}

// Rebuilder is a warehouse whose tables can be made anew while readers keep the old ones.
type Rebuilder interface {
	// Swap puts rebuilt tables in the place of the old ones in one transaction, where both hold the same positions; else the error is
	// of kind warehouse.Moved and nothing has changed. The discards of those tables go with them. Columns that users added, indexes,
	// views and grants on the old tables survive. Afterwards nothing is left of the rebuild.
	Swap(ctx context.Context, s *warehouse.Swap) (*warehouse.Result, error)
	// DropRebuild removes what a rebuild left that was given up: the schema, its catalogue and its positions. It is no error where
	// there is nothing.
	DropRebuild(ctx context.Context, rebuildSource, rebuildSchema string) error
}

// Closer is a warehouse that holds connections.
type Closer interface{ Close() error }

// Tender is a warehouse that likes to tidy up while nothing is pending.
type Tender interface {
	Tend(ctx context.Context) error
}

// Views are what readers of the embedded warehouse see of the lake. All methods may be called again with what they have.
type Views interface {
	SetLakeFiles(ctx context.Context, name string, files []string) error
	SetDeadLetterFiles(ctx context.Context, files []string) error
	// The next two make every question fail with the text, until files are set again.
	SetLakeDamage(ctx context.Context, name, text string) error
	SetDeadLetterDamage(ctx context.Context, text string) error
	SetFiles(ctx context.Context, files []warehouse.LakeFile) error
	SetFreshness(ctx context.Context, rows []warehouse.Freshness) error
}

// History keeps runs.
type History interface {
	// RecordRun writes a run in the place of the one with the same ID.
	RecordRun(ctx context.Context, r *warehouse.Run) error
	// EndRuns marks what still stands as running as failed for the reason, and forgets runs that finished before a time.
	EndRuns(ctx context.Context, kind, name, reason, hint string, forget time.Time) error
}

// Shaper turns calls into rows of tables. It remembers which columns it has given out, so it follows a warehouse that it was
// restored from and must be thrown away when a load fails.
type Shaper interface {
	// Restore tells it of a table that exists.
	Restore(table string, columns []table.Column)
	// Add shapes one call; calls come in the order of their offsets.
	Add(c *event.Call) error
	// Take returns the rows since the last Take in Tables, Upserts and Discards, with Notices.
	Take() *warehouse.Batch
}

// Surveyor is a Shaper that goes on joining the types of columns from Take to Take.
type Surveyor interface {
	Shaper
	// Columns are the tables with the types that all calls so far ask for.
	Columns() []warehouse.Table
}

// Defaults of Options.
const (
	DefaultEvery = 100 * time.Millisecond
	DefaultRows  = 30_000
	DefaultBytes = 64 << 20

	DefaultSpoolBytes = 1 << 30
)

// Options of a Loader. The zero value of an optional field stands for its default.
type Options struct {
	Name      string // of the warehouse, as configured
	Lake      Lake
	Warehouse Warehouse
	Views     Views   // nil: no views of the lake are kept
	History   History // nil: no runs are recorded

	// Selection is what is loaded; the zero value is everything.
	Selection Selection
	// Others are rows of other warehouses for firth.freshness, shown with those of this one.
	Others func() []warehouse.Freshness
	// Wanted tells the calls that are to be loaded; the others count for the position alone. Default: what the call's integrations
	// object says of the warehouse of this Name.
	Wanted func(c *event.Call) bool

	Rules name.Rules
	// Standard are the tables that every source has from the start; a warehouse that is a Preparer makes them.
	Standard  []*table.Batch
	NewShaper func(source string) Shaper
	// NewSurvey makes shapers that find out the final types of columns, for rebuilds; nil: nothing can be rebuilt.
	NewSurvey func(source string) Surveyor

	Every time.Duration // how often the lake is looked at
	Rows  int           // rows of one chunk, about
	Bytes int           // most bytes of calls held at once

	// LakeOnly keeps the views and loads nothing: the warehouse is one for SQL over the lake. Tables that it has stay as they are.
	LakeOnly bool

	// Ahead makes the next chunk ready while the warehouse loads one: for warehouses that work elsewhere. It takes the memory of a
	// chunk more.
	Ahead bool

	// TempDir is where rows of merged files are put in order, at most SpoolBytes a source; "": they are read chunk by chunk, which
	// takes time that grows with the square of the files. Files of a process that was killed are removed at the start.
	TempDir    string
	SpoolBytes int64
	FS         disk.FS // of TempDir; default disk.OS

	Now   func() time.Time
	NewID func() string // of runs; default: random UUIDs
	Log   *slog.Logger
}
