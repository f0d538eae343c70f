package lake

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"firth/internal/disk"
	"firth/internal/event"
	"firth/internal/lake/catalog"
	"firth/internal/lake/rowfile"
	"firth/internal/lake/window"
)

// Names within the catalog, as engines that read the tables see them.
const (
	CatalogName = "firth"
	Namespace   = "lake"
	// DeadLetters is the table of refused calls. No source may have this name.
	DeadLetters = "firth_dead_letters"
)

// Defaults of [Options].
const (
	DefaultEvery       = time.Second
	DefaultBytes       = 32 << 20
	DefaultDedupWindow = 24 * time.Hour
	DefaultDedupIDs    = 20_000_000
	DefaultDrain       = 30 * time.Second
)

// Options say where a lake lives and how it flushes. The zero value of an optional field stands for its default.
type Options struct {
	Catalog string         // path of the SQLite catalog
	Server  catalog.Server // where tables are registered, if not in it
	Dir     string         // absolute path of the folder that holds the tables
	URL     string         // what stands for Dir in the tables' locations, such as s3://bucket/prefix; empty: Dir itself, as file://
	Window  string         // path of the folder of the dedup window
	Purge   string         // path of the folder that keeps who is suppressed; empty: nobody can be

	Sources []string // tables that exist from the start; others come with their first row

	Every time.Duration // longest time between two flushes
	Bytes int           // bodies that make a flush at once
	Drain time.Duration // how long the last flushes may take once the writer is to end

	DedupWindow time.Duration
	DedupIDs    int

	// History is how long old states of the tables stay readable, thinned out: see [Reader.SnapshotAt]; 0: the last commits alone.
	History time.Duration

	Nice int // niceness of the flushing thread; 0 leaves it as it is

	FS   disk.FS
	Now  func() time.Time
	Rand io.Reader // names of files
	Log  *slog.Logger

	// For tests. Step is told the name of each durable step before it is taken, and an error stands for its failure; final
	// tells which errors end the writer instead of being tried again.
	step  func(name string) error
	final func(error) bool
}

func (o Options) withDefaults() Options {
	o.Every = or(o.Every, DefaultEvery)
	o.Bytes = or(o.Bytes, DefaultBytes)
	o.Drain = or(o.Drain, DefaultDrain)
	o.DedupWindow = or(o.DedupWindow, DefaultDedupWindow)
	o.DedupIDs = or(o.DedupIDs, DefaultDedupIDs)
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.step == nil {
		o.step = func(string) error { return nil }
	}
	if o.final == nil {
		o.final = func(error) bool { return false }
	}
	return o
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// State is what a component says of itself in /readyz.
type State struct {
	Name  string // component
	State string // StateOK, StateStarting or StateFailing
	Error string
	Hint  string // what a person can do about it
}

// The states of a component.
const (
	StateOK       = "ok"
	StateStarting = "starting"
	StateFailing  = "failing"
)

// Lake is an open lake. Its process is the only one that commits to its tables.
type Lake struct {
	o        Options
	catalog  *catalog.Catalog
	calls    *rowfile.Table[event.Call]
	dead     *rowfile.Table[event.DeadLetter]
	blooms   *bloomCache // the writer's
	verifier *verifier

	behind  atomic.Bool  // the writer has more to flush than it can in its interval
	flushed atomic.Int64 // bytes of files that flushes committed

	mu      sync.Mutex
	stores  map[string]*store   // by table
	writing map[string]struct{} // data files on their way, by path without checksums
	held    map[string]int      // data files that a backup reads, by path
	merges  map[*byte]struct{}  // those that are under way

	backing sync.Mutex // held while a backup or a restore is going on

	suppress *suppressions
	purging  sync.RWMutex              // held by a purge, and shared by who brings in rows that did not come through the journal
	purges   atomic.Int32              // that wait for it
	windows  map[string]*window.Window // by table, while the writer runs; each is guarded by flushing of its store
}

// Open opens or makes the lake, with the tables of the configured sources and that of dead letters.
func Open(ctx context.Context, o Options) (*Lake, error) {
	o = o.withDefaults()
	io, err := catalog.NewFileIOAt(o.FS, o.Dir, o.URL)
	if err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	c, err := catalog.Open(ctx, catalog.Options{
		Path: o.Catalog, Server: o.Server, Name: CatalogName, Namespace: Namespace, IO: io, Snapshots: o.snapshots(), History: o.History, Now: o.Now, Step: o.step,
	})
	if err != nil {
		return nil, fmt.Errorf("open lake: %w", err)
	}
	l := &Lake{
		o: o, catalog: c, calls: callTable(), dead: deadTable(), blooms: newBloomCache(), verifier: newVerifier(o.FS),
		stores: map[string]*store{}, writing: map[string]struct{}{}, held: map[string]int{}, merges: map[*byte]struct{}{}, windows: map[string]*window.Window{},
	}
	if l.suppress, err = openSuppressions(disk.OS{}, o.Purge); err != nil {
		return nil, errors.Join(fmt.Errorf("open lake: %w", err), c.Close())
	}
	if err := mend(ctx, o, c); err != nil {
		return nil, errors.Join(fmt.Errorf("open lake: %w", err), c.Close())
	}
	if _, err := openTable(ctx, c, DeadLetters, deadSpec); err != nil {
		return nil, errors.Join(fmt.Errorf("open lake: %w", err), c.Close())
	}
	for _, name := range o.Sources {
		if _, err := openTable(ctx, c, name, callSpec); err != nil {
			return nil, errors.Join(fmt.Errorf("open lake: %w", err), c.Close())
		}
	}
	return l, nil
}

// Close releases what Open took. The writer must have returned.
func (l *Lake) Close() error { return l.catalog.Close() }

// Writer returns the lake's writer, which reads from j. A lake has one.
func (l *Lake) Writer(j Journal, d Decoder) *Writer { return newWriter(l, j, d) }
