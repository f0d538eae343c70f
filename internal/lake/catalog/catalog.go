// Package catalog is an Iceberg SQL catalog on an SQLite file, for tables on local disk that survive a power cut.
//
// The tables of the catalog are those of the Iceberg JDBC catalog, so that other engines open the file as it stands. A
// commit is durable when it returns: data, manifests and metadata are synced before the row that makes them current, and
// the row is committed with synchronous=FULL.
package catalog

import (
	"bytes"
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"
	"github.com/klauspost/compress/gzip"
	sqlite3 "modernc.org/sqlite" // also the driver "sqlite"
	sqlitelib "modernc.org/sqlite/lib"

	"firth/internal/disk"
)

//go:embed schema.sql
var schemaSQL string

// ErrNoTable says that the catalog has no table of that name.
var ErrNoTable = errors.New("no such table")

// Catalog holds the tables of one namespace. It is safe for concurrent use; each table has one committer.
type Catalog struct {
	db        *sql.DB   // the SQLite file
	reg       *registry // where the tables are registered; for a REST catalog a copy of what it says, in the SQLite file
	rest      *remote   // nil: no REST catalog
	path      string
	io        *FileIO
	name      string
	namespace string
	step      func(string) error
	now       func() time.Time
	keep      keeping
	readOnly  bool
	space     bool // made by Space

	mu     sync.Mutex
	loaded map[string]loaded // by table: what was loaded or committed last
}

type loaded struct {
	location string
	metadata table.Metadata
}

// Options say which catalog to open.
type Options struct {
	Path      string // of the SQLite file
	Server    Server // where tables are registered, if not in it
	Name      string // of the catalog, as readers give it
	Namespace string
	IO        *FileIO
	ReadOnly  bool

	// Snapshots is how many snapshots of a table a commit leaves in its metadata; 0: all.
	Snapshots int
	// History is the span of which it leaves more than these, thinned out: the last of each minute, hour and day; 0: none.
	History time.Duration
	// Now is the clock; nil: the system's.
	Now func() time.Time

	// Step, when set, is told the name of each step between the files of a commit and its row, before it is taken; an
	// error stands for its failure.
	Step func(name string) error
}

// Open opens a catalog, and makes it unless it is for reading.
func Open(ctx context.Context, o Options) (*Catalog, error) {
	c := &Catalog{
		path: o.Path, io: o.IO, name: o.Name, namespace: o.Namespace, step: o.Step, now: o.Now, keep: keeping{o.Snapshots, o.History}, readOnly: o.ReadOnly,
		loaded: map[string]loaded{},
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.step == nil {
		c.step = func(string) error { return nil }
	}
	if o.ReadOnly {
		if _, err := os.Stat(o.Path); err != nil {
			return nil, fmt.Errorf("open catalog: %w", err)
		}
	}
	var err error
	if !o.ReadOnly {
		if err = c.create(ctx); err != nil {
			return nil, fmt.Errorf("make catalog %s: %w", o.Path, full(err))
		}
	}
	if c.db, err = sql.Open("sqlite", dsn(o.Path, o.ReadOnly)); err != nil {
		return nil, fmt.Errorf("open catalog: %w", err)
	}
	if o.ReadOnly {
		err = c.db.PingContext(ctx)
	} else {
		c.db.SetMaxOpenConns(1)
		_, err = c.db.ExecContext(ctx, schemaSQL) // an earlier version may have made it with fewer tables
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog %s: %w", o.Path, full(err)), c.db.Close())
	}
	if err := c.register(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open catalog: %w", err), c.Close())
	}
	return c, nil
}

// full makes SQLite's word for a full disk the system's, which [disk.IsFull] knows.
func full(err error) error {
	if e, ok := errors.AsType[*sqlite3.Error](err); ok && e.Code()&0xff == sqlitelib.SQLITE_FULL {
		return fmt.Errorf("%w: %w", err, syscall.ENOSPC)
	}
	return err
}

// register opens what the tables are registered in.
func (c *Catalog) register(ctx context.Context, o Options) (err error) {
	c.reg = sqlite(c.db, o.Name)
	switch o.Server.Kind {
	case "":
	case KindPostgres:
		if c.reg, err = openPostgres(ctx, o.Server, o.Name, o.ReadOnly); err != nil {
			c.reg = sqlite(c.db, o.Name)
			return err
		}
	case KindREST:
		if o.ReadOnly {
			break // the committer keeps the copy
		}
		if c.rest, err = openREST(ctx, o.Server); err != nil {
			return err
		}
	default:
		return fmt.Errorf("there is no catalog of kind %q", o.Server.Kind)
	}
	if o.ReadOnly {
		return nil
	}
	return c.ready(ctx)
}

// ready makes the namespace where it is missing, and with a REST catalog takes over what it says of it.
func (c *Catalog) ready(ctx context.Context) error {
	if err := c.reg.ensure(ctx, c.namespace); err != nil {
		return err
	}
	return c.takeOver(ctx)
}

// dsn asks for the write-ahead log: a commit is one append and one sync, readers in other processes neither wait nor make
// the writer wait, and every SQLite reads it.
func dsn(path string, readOnly bool) string {
	q := url.Values{"_pragma": {"busy_timeout(10000)"}}
	if readOnly {
		q.Set("mode", "ro")
	} else {
		q["_pragma"] = append(q["_pragma"], "journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(4194304)")
		q.Set("_txlock", "immediate")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// create makes the file where it is missing, under another name until its tables are in it: where there is a file there is a catalog.
func (c *Catalog) create(ctx context.Context) (err error) {
	if _, err := os.Stat(c.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	draft := c.path + ".new"
	// What a process that was killed has left; and the logs of a catalog that was moved away, which SQLite would take for those of the new one.
	for _, left := range []string{draft, draft + "-journal", c.path + "-wal", c.path + "-shm", c.path + "-journal"} {
		if err := os.Remove(left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: draft}).EscapedPath()+"?_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, schemaSQL)
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	if err := c.step("name catalog"); err != nil {
		return err
	}
	if err := os.Rename(draft, c.path); err != nil {
		return err
	}
	return disk.OS{}.SyncDir(filepath.Dir(c.path))
}

// Close closes the database. The last one to close moves the write-ahead log into it.
func (c *Catalog) Close() error {
	if c.reg != nil && c.reg.db != c.db {
		return errors.Join(c.reg.db.Close(), c.db.Close())
	}
	return c.db.Close()
}

// IO is the file access of the catalog's tables.
func (c *Catalog) IO() *FileIO { return c.io }

// Tables returns the location of the current metadata of every table by its name.
func (c *Catalog) Tables(ctx context.Context) (map[string]string, error) {
	return c.reg.tables(ctx, c.namespace)
}

// Current returns the location of a table's current metadata.
func (c *Catalog) Current(ctx context.Context, name string) (string, error) {
	if err := c.renew(ctx, name); err != nil {
		return "", err
	}
	return c.reg.current(ctx, c.namespace, name)
}

// Load returns a table as it is now.
func (c *Catalog) Load(ctx context.Context, name string) (*table.Table, error) {
	return c.LoadTable(ctx, table.Identifier{c.namespace, name})
}

// maxLoads bounds how often a load follows a table whose old metadata is removed under it.
const maxLoads = 10

// LoadTable implements the library's catalog.
func (c *Catalog) LoadTable(ctx context.Context, ident table.Identifier) (*table.Table, error) {
	name := ident[len(ident)-1]
	for try := 1; ; try++ {
		location, err := c.Current(ctx, name)
		if err != nil {
			return nil, err
		}
		metadata, err := c.metadata(name, location)
		if errors.Is(err, fs.ErrNotExist) && try < maxLoads {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("load table %s: %w", name, err)
		}
		return c.table(name, metadata, location), nil
	}
}

func (c *Catalog) table(name string, metadata table.Metadata, location string) *table.Table {
	return table.New(table.Identifier{c.namespace, name}, metadata, location,
		func(context.Context) (iceio.IO, error) { return c.io, nil }, c)
}

// metadata reads the metadata at a location, unless it was what was loaded or committed last.
func (c *Catalog) metadata(name, location string) (table.Metadata, error) {
	c.mu.Lock()
	last := c.loaded[name]
	c.mu.Unlock()
	if last.location == location {
		return last.metadata, nil
	}
	text, err := c.io.ReadFile(location)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(location, ".gz.metadata.json") {
		if text, err = gunzip(text); err != nil {
			return nil, fmt.Errorf("%w: unpack %s: %w", ErrDamaged, location, err)
		}
	}
	metadata, err := table.ParseMetadataBytes(text)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", location, err)
	}
	if !c.space { // a table of another namespace may have been renamed, which moves no file
		if err := checkLocation(name, metadata.Location(), location); err != nil {
			return nil, err
		}
	}
	c.remember(name, location, metadata)
	return metadata, nil
}

func (c *Catalog) remember(name, location string, metadata table.Metadata) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded[name] = loaded{location, metadata}
}

func gunzip(b []byte) (out []byte, err error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	return io.ReadAll(r)
}

// Spec is what a new table is made of.
type Spec struct {
	Schema     *iceberg.Schema
	Partitions iceberg.PartitionSpec
	Order      table.SortOrder
	Properties iceberg.Properties
	// Folder is the table's below the root, a new one; "": the one of its name.
	Folder string
}

// Create makes a table without rows below the root of the catalog's files. Two that create the same table at a time get
// the same one.
func (c *Catalog) Create(ctx context.Context, name string, s Spec) (*table.Table, error) {
	folder := s.Folder
	if folder == "" {
		folder = name
		if err := c.lost(name); err != nil {
			return nil, fmt.Errorf("create table %s: %w", name, err)
		}
	}
	location := c.io.Location(filepath.Join(c.io.root, folder))
	if c.rest != nil {
		if err := c.createRemote(ctx, name, location, s); err != nil {
			return nil, fmt.Errorf("create table %s: %w", name, err)
		}
		return c.Load(ctx, name)
	}
	metadata, err := table.NewMetadata(s.Schema, &s.Partitions, s.Order, location, s.Properties)
	if err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	if metadata, err = born(metadata, c.now().UnixMilli()); err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	at, err := c.write(metadata, 0)
	if err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	if err := c.reg.insert(ctx, c.namespace, name, at); err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	return c.Load(ctx, name)
}

// write puts metadata on disk, durably together with all that was created before, and returns its location.
func (c *Catalog) write(metadata table.Metadata, number int) (string, error) {
	provider, err := table.LoadLocationProvider(metadata.Location(), metadata.Properties())
	if err != nil {
		return "", err
	}
	at, err := provider.NewTableMetadataFileLocation(number)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(metadata)
	if err != nil {
		return "", fmt.Errorf("encode metadata: %w", err)
	}
	if strings.HasSuffix(at, ".gz.metadata.json") {
		var packed bytes.Buffer
		w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
		if err != nil {
			return "", fmt.Errorf("pack metadata: %w", err)
		}
		if _, err := w.Write(text); err != nil {
			return "", fmt.Errorf("pack metadata: %w", err)
		}
		if err := w.Close(); err != nil {
			return "", fmt.Errorf("pack metadata: %w", err)
		}
		text = packed.Bytes()
	}
	if err := c.io.WriteFile(at, text); err != nil {
		return "", fmt.Errorf("write metadata: %w", err)
	}
	return at, c.io.Settle()
}

// number is the running number of a metadata file, which its name begins with.
func number(location string) (int, error) {
	digits, _, _ := strings.Cut(location[strings.LastIndexByte(location, '/')+1:], "-")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("metadata location %q has no number", location)
	}
	return n, nil
}
