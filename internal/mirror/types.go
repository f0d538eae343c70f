package mirror

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"firth/internal/schedule"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// The modes of a copied table.
const (
	ModeReplace = "replace" // the table becomes what the source has
	ModeAppend  = "append"  // rows with a later cursor are added
	ModeUpsert  = "upsert"  // rows are replaced by key
)

// What is done about a source whose columns change.
const (
	DriftEvolve = "evolve" // the default: new columns are added, types widened
	DriftFreeze = "freeze" // the run fails before anything is published
	DriftReport = "report" // the table stays as it is and the run says what is different
)

// Masks of a column. Truncate is followed by a number of characters: truncate:4.
const (
	MaskDrop     = "drop"
	MaskHash     = "hash"
	MaskTruncate = "truncate:"
)

// What becomes of an id that a get has no row for.
const (
	MissingNone = "none" // no row
	MissingNull = "null" // a row of NULLs
	MissingZero = "zero" // a row with 0 in the columns of integers
)

// Config is one mirror, as configured and checked.
type Config struct {
	Name  string
	Table warehouse.MirrorTable
	Mode  string // of a copy; empty: a list and a get

	Key    []string // paths at the source; empty: the source's own key
	Cursor string   // path at the source
	Late   *Late    // nil: DefaultLate

	DeleteMissing bool
	MaxDelete     float64 // the part of the rows that may go; 0: DefaultMaxDelete; 1: all
	History       bool
	Drift         string // empty: DriftEvolve

	// Columns are rules, by path. Only says that the columns named there are all that is wanted: the list form of columns.
	Columns []ColumnRule
	Only    bool
	Exclude []string // paths that never leave the source
	Salt    string   // of MaskHash

	Concurrency int     // ranges read, or batches of ids asked for, at once; 0: DefaultConcurrency
	Rate        float64 // ids a second; 0: no bound
	Missing     string  // of a get; empty: by the kind of source, which the wiring knows
	BatchIDs    int     // ids a request of a get; 0: DefaultBatchIDs
	ListID      string  // path of the id at the source of a list; empty: its only key column, or id
	GetKey      string  // path at the source of a get that equals the id; empty: id

	// Documents.
	Depth      int      // levels of objects that become columns; 0: the default of package infer
	Threshold  float64  // the part of the values that a column's type must hold; 0: all
	MaxColumns int      // 0: the default of package infer
	Tables     []string // paths of arrays that become tables of their own
	// UUIDSubtype3 says which driver wrote UUIDs of binary subtype 3: java, csharp, python; empty: they stay bytes.
	UUIDSubtype3 string

	// Settings is a text that changes when the source's settings do: a staging table is gone on with only under the same.
	Settings string
}

// Defaults of a Config.
const (
	DefaultConcurrency = 4
	DefaultMaxDelete   = 0.1
	DefaultBatchIDs    = 1000
	DefaultLateTime    = 5 * time.Minute
	DefaultLateCount   = 1000
)

// Late is how far behind the greatest cursor rows may still come: in time, or as a number where the cursor is one.
type Late struct {
	Time  time.Duration
	Count int64
}

// ColumnRule says what becomes of one column, or of one field of documents.
type ColumnRule struct {
	Path   string
	As     string       // its name in the warehouse; empty: made of the path
	Mask   string       // empty: none
	Type   *vector.Type // nil: the source's, or inferred
	Arrays string       // json or table, of a field that holds arrays; empty: json
}

// Selection is what a source.Spec names as Columns and Exclude so that nothing else leaves the source: columns that are dropped by a
// mask are among the excluded. Key and cursor are always read.
func (c *Config) Selection() (columns, exclude []string) {
	exclude = append(exclude, c.Exclude...)
	for _, r := range c.Columns {
		if r.Mask == MaskDrop {
			exclude = append(exclude, r.Path)
			continue
		}
		if c.Only {
			columns = append(columns, r.Path)
		}
	}
	return columns, exclude
}

// Options are what a mirror works with.
type Options struct {
	Config Config
	// From opens the source of a copy; List and Get those of a list/get table. A run opens what it needs and closes it.
	From, List, Get func(ctx context.Context) (Source, error)
	Target          Target
	// Lower folds names of columns to lower case: Postgres.
	Lower bool
	// Lists says that the target has lists: arrays of one type of scalar become such, where they are JSON else.
	Lists bool
	// Unbounded says that the target stores decimals of any size as they are: Postgres.
	Unbounded bool
	// Digits and Scale are the most that a decimal of another target has, in all and behind the point; 0: 38, and as many.
	Digits, Scale int
	Log           *slog.Logger
	Now           func() time.Time // nil: time.Now
	// Wait sleeps between tries, and returns the context's error when it ends; nil: by a timer.
	Wait func(ctx context.Context, d time.Duration) error
	// Record takes the rows of firth.runs; nil: nobody does. It must not keep the pointer.
	Record func(*warehouse.Run)

	chunkRows, chunkBytes, lazyBytes int // 0: the constants; for tests
	silenceLook, silenceAnswer       time.Duration
}

// RunOptions say how one run differs from a scheduled one.
type RunOptions struct {
	Full   bool     // nothing of earlier runs counts: neither cursor nor staged rows
	DryRun bool     // everything is read and nothing written
	IDs    []string // of a get: these alone, as text
}

// Clocks say when a mirror runs by itself; nil: never.
type Clocks struct {
	Copy, List, Get schedule.Schedule
}

// Mirror carries one table. Copy, List, Get and Sync are not to be called at the same time; a Runner takes care of that.
type Mirror struct{ o Options }

// New makes a mirror. It does nothing by itself.
func New(o Options) *Mirror {
	o.setDefaults()
	return &Mirror{o: o}
}

// Name is the mirror's name as configured.
func (m *Mirror) Name() string { return m.o.Config.Name }

// Config is what the mirror was made of, with the defaults filled in.
func (m *Mirror) Config() Config { return m.o.Config }

func (o *Options) setDefaults() {
	c := &o.Config
	if c.Concurrency <= 0 {
		c.Concurrency = DefaultConcurrency
	}
	if c.MaxDelete <= 0 {
		c.MaxDelete = DefaultMaxDelete
	}
	if c.BatchIDs <= 0 {
		c.BatchIDs = DefaultBatchIDs
	}
	if c.Drift == "" {
		c.Drift = DriftEvolve
	}
	if c.Table.Name == "" {
		c.Table.Name = c.Name
	}
	o.chunkRows, o.chunkBytes, o.lazyBytes = cmp.Or(o.chunkRows, chunkRows), cmp.Or(o.chunkBytes, chunkBytes), cmp.Or(o.lazyBytes, lazyBytes)
	o.silenceLook, o.silenceAnswer = cmp.Or(o.silenceLook, silenceLook), cmp.Or(o.silenceAnswer, silenceAnswer)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = wait
	}
}

// wait sleeps unless the context ends before.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Sync is what a person asks for: a copy, or a list and then a get; with IDs the get of those alone. The error is that of the report.
func (m *Mirror) Sync(ctx context.Context, o RunOptions, progress func(Progress)) (*Report, error) {
	if m.o.From != nil {
		return m.Copy(ctx, o, progress)
	}
	if len(o.IDs) > 0 || m.o.List == nil {
		return m.Get(ctx, o, progress)
	}
	list, err := m.List(ctx, o, progress)
	if err != nil || m.o.Get == nil {
		return list, err
	}
	get, err := m.Get(ctx, o, progress)
	return list.join(get), err
}
