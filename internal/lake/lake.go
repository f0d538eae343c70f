package lake

import (
	"context"
	"errors"
	"log/slog"
	"time"
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
)

// Options say where a lake lives and how it flushes. The zero value of an optional field stands for its default.
type Options struct {
	Catalog string // path of the SQLite catalog
	Dir     string // absolute path of the folder that holds the tables
	Window  string // path of the folder of the dedup window

	Sources []string // tables that exist from the start; others come with their first row

	Every time.Duration // longest time between two flushes
	Bytes int           // journaled bodies that make a flush at once

	DedupWindow time.Duration
	DedupIDs    int

	Nice int // extra niceness of the flushing thread; 0 leaves it as it is

	Now func() time.Time
	Log *slog.Logger
}

// State is what a component says of itself in /readyz.
type State struct {
	Name  string // component
	State string // "ok", "starting" or "failing"
	Error string
	Hint  string // what a person can do about it
}

// Lake is an open lake. Its process is the only one that commits to its tables.
type Lake struct{ o Options }

// Open opens or makes the lake.
func Open(ctx context.Context, o Options) (*Lake, error) { return nil, errors.ErrUnsupported }

// Close releases what Open took. The writer must have returned.
func (l *Lake) Close() error { return nil }

// Writer returns the lake's writer, which reads from j. A lake has one.
func (l *Lake) Writer(j Journal, d Decoder) *Writer { return &Writer{} }
