package config

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firth/internal/vector"
)

// The modes of a mirror that copies.
const (
	Replace = "replace"
	Append  = "append"
	Upsert  = "upsert"
)

// Mirror is one table that is kept in step with a database: a copy (From), or a table whose ids are listed (List) and whose rows are
// asked for by id (Get).
type Mirror struct {
	From *Block `yaml:"from"`
	List *Block `yaml:"list"`
	Get  *Block `yaml:"get"`
	// Into is complete once the file was read: defaults are filled in.
	Into Into `yaml:"into"`
	// Mode of a copy: replace (default), append or upsert; empty for list and get.
	Mode string `yaml:"mode"`
	// Every or Cron is when a copy runs; with neither on demand alone (firth sync). List and get have their own.
	Every Duration `yaml:"every"`
	Cron  string   `yaml:"cron"`
	// Key are the columns that upsert tells rows apart by.
	Key Strings `yaml:"key"`
	// Cursor is the column that only grows: rows from its greatest value on are read.
	Cursor string `yaml:"cursor"`
	// Late is how far below the greatest value of the cursor a run begins; nil: as the engine has it, 5 minutes or 1000.
	Late *Late `yaml:"late"`
	// DeleteMissing deletes rows that the source has no longer, in upsert.
	DeleteMissing bool `yaml:"delete_missing"`
	// MaxDelete is the most of a table that may go because it is missing at the source, as a part of 1.
	MaxDelete Part `yaml:"max_delete"`
	// History keeps what rows were, with the times between which they were so.
	History bool `yaml:"history"`
	// Drift says what a changed source column does: evolve (default), freeze or report.
	Drift string `yaml:"drift"`
	// Columns are settings of columns. Those of the block are among them once the file was read.
	Columns Columns `yaml:"columns"`
	Exclude Strings `yaml:"exclude"`
	// Types overrides the type of a column, by its path.
	Types map[string]string `yaml:"types"`
	// Depth is how many levels of objects become columns; Arrays what becomes of arrays. For documents.
	Depth  int    `yaml:"depth"`
	Arrays Arrays `yaml:"arrays"`
	// UUIDSubtype3 says which driver wrote UUIDs of binary subtype 3, each in its own order of bytes: java, csharp or python. Empty: unknown,
	// they stay bytes. For MongoDB.
	UUIDSubtype3 string `yaml:"uuid_subtype3"`
	// Missing is what becomes of an id that the get has nothing for: null, none, zero; empty: as the kind of database has it.
	Missing Missing `yaml:"missing"`
	// Concurrency is how many requests are under way at once; Rate the most ids that are asked for in a second, 0: no bound.
	Concurrency int  `yaml:"concurrency"`
	Rate        Rate `yaml:"rate"`
	// Salt goes in front of values that are hashed.
	Salt Secret `yaml:"salt"`
}

// Into says where the rows go.
type Into struct {
	Warehouse string `yaml:"warehouse"`
	Schema    string `yaml:"schema"`
	Table     string `yaml:"table"`
}

// Block is what is read: of which database, and what of it. Which keys go with which kind is checked as the file is read.
type Block struct {
	Database string `yaml:"database"`

	// MongoDB.
	Collection string   `yaml:"collection"`
	Filter     Document `yaml:"filter"`
	Projection Document `yaml:"projection"`
	Sort       Document `yaml:"sort"`
	Pipeline   Document `yaml:"pipeline"`

	// PostgreSQL, MySQL, SQLite.
	Table string `yaml:"table"`
	Where string `yaml:"where"`
	Query string `yaml:"query"`

	// Redis: a key, or a template of keys.
	Keys   string `yaml:"keys"`
	Set    string `yaml:"set"`
	ZSet   string `yaml:"zset"`
	Hash   string `yaml:"hash"`
	String string `yaml:"string"`
	JSON   string `yaml:"json"`
	List   string `yaml:"list"`
	Stream string `yaml:"stream"`

	// Programs and web services. An address and headers may hold tokens, so they are never printed.
	Exec    Strings           `yaml:"exec"`
	URL     Secret            `yaml:"url"`
	Next    string            `yaml:"next"`
	Headers map[string]Secret `yaml:"headers"`

	// ID names the field or column that is the id, in a list; Key the one that equals the id, in a get.
	ID  string `yaml:"id"`
	Key string `yaml:"key"`

	Columns Columns `yaml:"columns"`
	Exclude Strings `yaml:"exclude"`

	// Every or Cron is when a list or a get runs.
	Every   Duration `yaml:"every"`
	Cron    string   `yaml:"cron"`
	Missing Missing  `yaml:"missing"`

	// Kind is what is read, found from Database, Exec or URL: mongodb, redis, postgres, mysql, sqlite, exec or http.
	Kind string `yaml:"-"`
}

// Column is one column that is wanted.
type Column struct {
	// Name is what the source calls it: a column, or the dotted path of a field.
	Name string
	// As is its name in the warehouse; empty: made from Name.
	As string
	// Mask is hash, drop or truncate:N; empty: the value as it is.
	Mask string
	// Type overrides the type; empty: as the source has it, or as inferred.
	Type string
	// Of is the type of a Redis key (string, hash, ...) that the column is read from, and Template that key; empty: a column of a row.
	Of, Template string
	// Listed: it is one of a list, and those of the list are all that is wanted. A mapping chooses none.
	Listed bool

	line int
}

// Columns are written as a list of names and of {name, as, mask, type}: these alone are wanted; or as a mapping of names to types, which
// leaves the others as they are.
type Columns []Column

// Only reports whether what is listed is all that is wanted.
func (c Columns) Only() bool {
	return slices.ContainsFunc(c, func(col Column) bool { return col.Listed })
}

// Document is part of a query of MongoDB as Extended JSON, written as YAML or as JSON in a string; the order of keys is kept.
type Document json.RawMessage

// Part is written 10% and is at most 1.
type Part float64

// Late is written as a time span or, for a cursor that is a number, as one.
type Late struct {
	Span   time.Duration
	Number int64
}

// Missing is null, none or zero.
type Missing string

// Arrays is json, the default, or a mapping of paths to json or table.
type Arrays struct{ Path map[string]string }

// Defaults of mirrors.
const (
	// DefaultMaxDelete is the most of a table that may go in one run.
	DefaultMaxDelete = Part(0.1)
	// DefaultDepth is how many levels of objects become columns.
	DefaultDepth = 3
	// DefaultConcurrency is how many requests are under way at once.
	DefaultConcurrency = 4
)

// Blocks are the blocks that a mirror has, by their names: from, or list and get.
func (m *Mirror) Blocks() map[string]*Block {
	out := map[string]*Block{}
	for name, b := range map[string]*Block{"from": m.From, "list": m.List, "get": m.Get} {
		if b != nil {
			out[name] = b
		}
	}
	return out
}

// Documents reports whether rows of a kind are documents, whose columns are inferred.
func Documents(kind string) bool { return !slices.Contains([]string{Postgres, MySQL, SQLite}, kind) }

// TypeOf is the type that the configuration gives a column; nil: none.
func (m *Mirror) TypeOf(path string) *vector.Type {
	text := m.Types[path]
	for i := range m.Columns {
		if m.Columns[i].Name == path && m.Columns[i].Type != "" {
			text = m.Columns[i].Type
		}
	}
	t, ok := vector.ParseType(text)
	if text == "" || !ok {
		return nil
	}
	return &t
}

// Takers are the warehouses that take mirrors, the one that is taken by default first.
func (c *Config) Takers() []string {
	return slices.DeleteFunc(c.Loaded(), func(name string) bool { return c.Warehouses[name].Type == Redshift })
}

// Dir is the folder of the file that was read, in which relative paths of programs are looked for, or Base; absolute.
func (c *Config) Dir() (string, error) {
	if c.Base != "" {
		return filepath.Abs(c.Base)
	}
	return filepath.Abs(filepath.Dir(c.Path))
}

// MirrorNames are the names of all mirrors, in order.
func (c *Config) MirrorNames() []string { return keys(c.Mirrors) }

// DatabaseNames are the names of all databases, in order.
func (c *Config) DatabaseNames() []string { return keys(c.Databases) }

// tableName is the name that a mirror's table gets where none is given.
func tableName(mirror string) string { return strings.ReplaceAll(mirror, "-", "_") }
