// Package source holds what every kind of database and the mirrors speak of: what is to be read, in which pieces, and the rows. Each
// kind lives in a package of its own below and passes the suite of sourcetest.
package source

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"

	"firth/internal/document"
	"firth/internal/vector"
)

// Spec is what one block of a mirror (from, list or get) reads. Which fields are used depends on the kind of database; the
// configuration has checked that they fit together. In a get, {id} in a key template is the id.
type Spec struct {
	// MongoDB. The four are Extended JSON with their order kept; nil: none.
	Collection                         string
	Filter, Projection, Sort, Pipeline json.RawMessage

	// PostgreSQL, MySQL, SQLite. Table may name its schema. Query, in a get, has :ids where the batch of ids goes.
	Table, Where, Query string

	// Redis. One of these is set in a list (Keys, Set, ZSet, Hash) or a get (all but Keys), or Fields in a get.
	Keys, Set, ZSet, Hash, String, JSON, List, Stream string
	Fields                                            []Field

	// Programs and web services.
	Exec   []string
	Dir    string // where the program runs: the folder of the configuration
	URL    string
	Next   string // the field of an answer that holds the address of the next page; empty: one page
	Header map[string]string

	// ID names the field or column that is the id, in a list; Key the one that equals the id, in a get.
	ID, Key string

	// Columns are the only names or dotted paths that leave the source, none: all; Exclude are those that never do. A relational
	// source puts both into its query, MongoDB into its projection; all others drop what is not wanted before they hand rows out.
	Columns, Exclude []string
	// Cursor is the column that only grows, in append and upsert; empty: none.
	Cursor string
}

// Field is one column of a Redis get that asks for several keys an id.
type Field struct {
	Name string
	Spec Spec
}

// Options are what a source is opened with besides its address.
type Options struct {
	Name string // as configured, for messages
	CA   string // file of certificates that the server's is checked against; empty: the system's
	// Dial connects where the address is not reached directly (an SSH tunnel); nil: directly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Concurrency is the most connections, or requests at once; 0: a default of the kind.
	Concurrency int
	Log         *slog.Logger
}

// Info is what a source knows of what it reads before it does.
type Info struct {
	// Columns of a relational source, in order, with the names and types of the source (Name equals Path); nil: it hands out documents.
	Columns []vector.Column
	// Key are the columns of the primary key, or the field that identifies a document; none where there is none.
	Key []string
	// Rows and Bytes are cheap estimates for the progress; -1: unknown.
	Rows, Bytes int64
}

// Range is one piece of what is read. The pieces of one reading do not overlap and leave nothing out; they are the same after a kill
// as long as their texts are. The zero Range is all of it.
type Range struct {
	// Label is what a person sees: id from 1 to 5000.
	Label string `json:"label,omitempty"`
	// Lo and Hi bound the key column: Lo <= key < Hi; a NULL bound is open. A source may keep what it likes in Text.
	Lo   vector.Value `json:"lo,omitzero"`
	Hi   vector.Value `json:"hi,omitzero"`
	Text string       `json:"text,omitempty"`
}

// Request is one scan.
type Request struct {
	Range Range
	// From is the least value of Spec.Cursor that is wanted, itself included; NULL: all rows, also those whose cursor is NULL.
	From vector.Value
	// Only, where not nil, are the only columns (paths) that are wanted: the key, where the rest is not looked at.
	Only []string
}

// Batch is some rows. A relational source fills Chunk, all others Docs; both are valid until the next call of Next.
type Batch struct {
	Chunk *vector.Chunk
	Docs  []document.Value
	Bytes int64 // that came from the source, about
}

// Rows hands out what was read. Close it; it may be closed before its end.
type Rows interface {
	// Next fills the batch with some rows, and returns io.EOF, with no rows, at the end. Of a list or get that was cut off (a program
	// that failed, a page that broke) it returns the error, never io.EOF: only then is the list complete.
	Next(ctx context.Context, b *Batch) error
	Close() error
}

// Finding is the outcome of one check of a database, for firth check.
type Finding struct {
	What  string // for example: connection, table public.users
	OK    bool
	Found string // what was seen
	Hint  string // what to do, the exact statement where there is one
}
