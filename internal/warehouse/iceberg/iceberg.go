// Package iceberg is a warehouse whose tables are Iceberg tables (format 2) beside the lake of events, in the same catalog: a namespace a
// schema, Parquet files below one folder, all columns optional. What there is to compute, an engine in memory does (duckdb.Workshop), which
// is open only as long as that takes. Every change of several tables, rows and positions alike, is one commit of the catalog.
//
// Every SQL engine that speaks Iceberg reads the tables with nothing of Firth in between. They write nothing: a table has one committer. Who
// commits all the same is noticed, and what was computed on the state before is computed again.
package iceberg

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// Options say where the tables are.
type Options struct {
	Name string // of the warehouse, as configured
	// Catalog is one of any namespace of the catalog; the tables are in others.
	Catalog *catalog.Catalog
	// IO is the access to the files below the folder of all tables of warehouses.
	IO *catalog.FileIO
	// Workshop opens an engine that may read and write below TempDir and below the folder of IO, or of its cache. Who asked closes it.
	Workshop func(ctx context.Context) (*duckdb.Workshop, error)
	// Stages is a folder of this machine where rows of mirrors wait until they are published; Workshop's may read and write there too. It is
	// for mirrors alone.
	Stages string
	// Grace is how long files that nothing names any more, and snapshots that are not the last, stay for those who still read them.
	Grace time.Duration
	// Orphans is how long files stay that other engines left in the tables' folders and nothing names; default a day.
	Orphans time.Duration

	Rand io.Reader        // default: the system's
	Now  func() time.Time // default: the system's
	Log  *slog.Logger     // default: none

	// Step, where set, is told the name of each durable step before it is taken; an error stands for its failure.
	Step func(name string) error
}

// DB is the warehouse. It is a load.Warehouse, Preparer, Replayer, Rebuilder, Tender and Closer. Its methods may be called from several
// goroutines; those that write typed tables wait for one another.
type DB struct {
	o Options

	mu     sync.Mutex          // held by whoever writes typed tables
	told   map[string][]string // by schema: notices for the result of the next load
	wide   map[string]bool     // paths of small files that the memory is too little to put together
	listed map[string]int64    // by schema: discards that were written before the load that will tell of them

	spaces  sync.Mutex // guards what follows
	open    map[string]*space
	writing map[string]bool // paths of files that no commit names yet
	making  map[string]bool // names under which tables are made

	shops shops
	known known

	sweeping      sync.Mutex           // held by Tend and by Forget; guards what follows
	dead          map[string]time.Time // when files were first seen that nothing names
	manifests     map[string][]string  // the files that manifests name, by location
	tended, swept time.Time
}

// Open opens the warehouse. Nothing is written before the first load.
func Open(_ context.Context, o Options) (*DB, error) {
	if o.Catalog == nil || o.IO == nil || o.Workshop == nil {
		return nil, errors.New("open an Iceberg warehouse: it has no catalog, no files or no workshop")
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Orphans == 0 {
		o.Orphans = leastOrphans
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) error { return nil }
	}
	return &DB{
		o: o, told: map[string][]string{}, listed: map[string]int64{},
		open: map[string]*space{}, writing: map[string]bool{}, making: map[string]bool{}, dead: map[string]time.Time{},
	}, nil
}

// Close ends the use of the warehouse; it may be used again all the same, and closed again. The catalog stays open: it is whoever's gave it.
func (d *DB) Close() error { return d.shutShop() }

// tries is how often an operation is begun anew because another committed to one of its tables.
const tries = 5

// again runs fn until it does not fail for another committer. Each time fn looks at the tables anew.
func (d *DB) again(ctx context.Context, fn func() error) error {
	for try := 1; ; try++ {
		err := fn()
		if err == nil || !errors.Is(err, table.ErrCommitFailed) || full(err) || try == tries || ctx.Err() != nil {
			return err
		}
		d.o.Log.Info("a table was changed by another committer: beginning again", "warehouse", d.o.Name, "error", err)
	}
}

// fail gives an error its kind and a hint.
func (d *DB) fail(op, object string, err error) error {
	var known *warehouse.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s %s: %w", op, object, err)
	case errors.As(err, &known):
		out := *known
		out.Op, out.Err = op, err
		if out.Object == "" {
			out.Object = object
		}
		return &out
	}
	e := &warehouse.Error{Op: op, Object: object, Kind: warehouse.Unexpected, Err: err}
	switch {
	case full(err):
		e.Kind, e.Hint = warehouse.DiskFull, "make room on the disk of the data folder: loading goes on by itself"
	case errors.Is(err, catalog.ErrDamaged):
		e.Kind, e.Hint = warehouse.Corrupt, "put the file back from a backup, or drop the table: it is made again and filled from the lake by firth load --rebuild"
	case errors.Is(err, table.ErrCommitFailed):
		e.Kind, e.Hint = warehouse.Busy, "another program commits to the tables of this warehouse all the time: let only one Firth write to them"
	}
	return e
}
