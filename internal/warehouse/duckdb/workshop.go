package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	engine "github.com/duckdb/duckdb-go/v2"
	"golang.org/x/sys/unix"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb/stream"
)

// WorkshopOptions say how a workshop is furnished.
type WorkshopOptions struct {
	Memory  int64    // bytes that the engine may take, default DefaultMemory
	Threads int      // default 2
	TempDir string   // below which the workshop has a folder of its own, for what does not fit into memory and for files on their way
	Dirs    []string // further folders whose files statements may read and write
}

// Workshop is an engine without a warehouse: tables in memory that are gone when it is closed, for computing what goes into the files of
// other formats. Several may be open at a time, and each is for one goroutine at a time.
type Workshop struct {
	db   *DB // of the writing connection; nothing of it is on disk
	dir  string
	lock *os.File
}

// workshopPrefix begins the name of a workshop's folder.
const workshopPrefix = "workshop-"

// spillName is that of the engine's own folder within it.
const spillName = "spill"

// OpenWorkshop opens an empty workshop. What processes that were killed left of theirs below TempDir is removed.
func OpenWorkshop(ctx context.Context, o WorkshopOptions) (*Workshop, error) {
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.Threads <= 0 {
		o.Threads = 2
	}
	w := &Workshop{}
	if err := w.makeDir(o.TempDir); err != nil {
		return nil, fmt.Errorf("open a workshop: %w", err)
	}
	settings := url.Values{
		"memory_limit":                 {byteSize(o.Memory)},
		"threads":                      {strconv.Itoa(o.Threads)},
		"temp_directory":               {filepath.Join(w.dir, spillName)},
		"autoinstall_known_extensions": {"false"},
		"autoload_known_extensions":    {"false"},
		"allow_community_extensions":   {"false"},
	}
	connector, err := engine.NewConnector("?"+settings.Encode(), nil)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a workshop: %w", err), w.Close())
	}
	w.db = &DB{sql: sql.OpenDB(connector), catalog: "memory", path: w.dir, now: time.Now}
	if w.db.writer, err = w.db.sql.Conn(ctx); err == nil {
		err = w.db.exec(ctx, lockDown(append([]string{w.dir}, o.Dirs...)...))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a workshop: %w", err), w.Close())
	}
	return w, nil
}

// makeDir makes the workshop's folder, with a lock beside it that lasts as long as the process.
func (w *Workshop) makeDir(in string) error {
	in, err := filepath.Abs(in)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(in, 0o700); err != nil {
		return err
	}
	if err := sweepWorkshops(in); err != nil {
		return err
	}
	for {
		if w.lock, err = os.CreateTemp(in, workshopPrefix+"*.lock"); err != nil {
			return err
		}
		if err := unix.Flock(int(w.lock.Fd()), unix.LOCK_EX); err != nil {
			return err
		}
		if _, err := os.Stat(w.lock.Name()); err == nil {
			break
		}
		if err := w.lock.Close(); err != nil { // another took the file, which was not locked yet, for one that was left
			return err
		}
	}
	w.dir = strings.TrimSuffix(w.lock.Name(), ".lock")
	return os.Mkdir(w.dir, 0o700)
}

// sweepWorkshops removes folders whose process has ended: nobody holds their lock.
func sweepWorkshops(in string) error {
	locks, err := filepath.Glob(filepath.Join(in, workshopPrefix+"*.lock"))
	if err != nil {
		return err
	}
	for _, path := range locks {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			continue // another removed it
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			err = errors.Join(os.RemoveAll(strings.TrimSuffix(path, ".lock")), removeFiles(path))
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("remove what a process left: %w", err)
		}
	}
	return nil
}

// Dir is a folder of the workshop's own for files; it is removed by Close.
func (w *Workshop) Dir() string { return w.dir }

// Exec runs statements. Errors of the engine are *warehouse.Error with a kind.
func (w *Workshop) Exec(ctx context.Context, statements string, args ...any) error {
	if err := w.db.exec(ctx, statements, args...); err != nil {
		return w.fail(ctx, err)
	}
	return nil
}

// Change is Exec of one statement that tells how many rows it wrote.
func (w *Workshop) Change(ctx context.Context, statement string, args ...any) (int64, error) {
	r, err := w.db.writer.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, w.fail(ctx, err)
	}
	return r.RowsAffected()
}

// Query asks; the rows are to be closed before anything else is done with the workshop.
func (w *Workshop) Query(ctx context.Context, statement string, args ...any) (*sql.Rows, error) {
	rows, err := w.db.writer.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, w.fail(ctx, err)
	}
	return rows, nil
}

// One asks for one row.
func (w *Workshop) One(ctx context.Context, statement string, into ...any) error {
	if err := w.db.writer.QueryRowContext(ctx, statement).Scan(into...); err != nil {
		return w.fail(ctx, err)
	}
	return nil
}

func (w *Workshop) fail(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return w.db.fail("compute", "", err)
}

// BatchOptions say how a batch becomes a table.
type BatchOptions struct {
	// Stamp fills the columns uuid_ts and loaded_at.
	Stamp time.Time
	// Foreign are columns, by name in lower case, whose values are listed as discards and not stored.
	Foreign map[string]bool
}

// AppendBatch makes a table of the columns of a batch that have a type, and appends its rows. Texts that are not UTF-8 are left out and
// listed, as are values of foreign columns.
func (w *Workshop) AppendBatch(ctx context.Context, name string, b *table.Batch, o BatchOptions) ([]event.Discard, error) {
	r := &relation{types: make(map[string]table.Type, len(b.Columns))}
	var columns []table.Column
	for _, c := range b.Columns {
		switch {
		case o.Foreign[strings.ToLower(c.Name)]:
			r.types[strings.ToLower(c.Name)] = table.Null
		case c.Type != table.Null:
			columns = append(columns, c)
			r.types[strings.ToLower(c.Name)] = c.Type
		}
	}
	statement, err := createTable("main", name, columns)
	if err != nil {
		return nil, err
	}
	if err := w.Exec(ctx, statement); err != nil {
		return nil, err
	}
	l := &loading{
		db: w.db, batch: &warehouse.Batch{Schema: "main"}, now: o.Stamp, tables: tables{strings.ToLower(name): r},
		result: &warehouse.Result{Rows: map[string]int64{}},
	}
	as := *b
	as.Name = name
	if err := l.appendBatch(ctx, &as); err != nil {
		return nil, errors.Join(w.fail(ctx, err), w.db.texts.trim(arenaKeep))
	}
	for i := range l.unfit {
		l.unfit[i].TableName = b.Name
	}
	return l.unfit, w.db.texts.trim(arenaKeep)
}

// CreateTable makes a table of columns as a mirror has them; see ColumnType.
func (w *Workshop) CreateTable(ctx context.Context, name string, columns []vector.Column) error {
	return w.Exec(ctx, createMirror("main", name, columns))
}

// ColumnType is the engine's type of a mirror's column.
func ColumnType(t vector.Type) string { return mirrorType(t) }

// AppendChunk appends rows to the columns of a table, made by CreateTable, that the chunk names. Values that the engine cannot hold are
// NULL and listed.
func (w *Workshop) AppendChunk(ctx context.Context, name string, c *vector.Chunk) (rejects []vector.Reject, err error) {
	if c.Rows == 0 {
		return nil, nil
	}
	conn, err := stream.Handle(w.db.writer)
	if err != nil {
		return nil, err
	}
	names, values := make([]string, len(c.Columns)), make([]fitting, len(c.Columns))
	for i, column := range c.Columns {
		f, reasons := fit(c.Vectors[i])
		for row, reason := range reasons {
			rejects = append(rejects, vector.Reject{Row: row, Column: column.Name, Value: rejected(c.Vectors[i], row), Reason: reason})
		}
		names[i], values[i] = column.Name, f
	}
	if err := appendVectors(ctx, conn, &w.db.texts, w.db.catalog, "main", name, names, values, c.Rows); err != nil {
		return nil, errors.Join(w.fail(ctx, err), w.db.texts.trim(arenaKeep))
	}
	return rejects, w.db.texts.trim(arenaKeep)
}

// Clear drops all that was made in the workshop, tables, views and schemas, and removes the files of its folder, for its next use. After an
// error the workshop can only be closed.
func (w *Workshop) Clear(ctx context.Context) (err error) {
	rows, err := w.Query(ctx, `SELECT 'DROP VIEW IF EXISTS ' || quoted FROM (SELECT printf('"%s"', replace(view_name, '"', '""')) AS quoted FROM duckdb_views() WHERE NOT internal AND schema_name = 'main')
		UNION ALL SELECT 'DROP TABLE IF EXISTS ' || quoted FROM (SELECT printf('"%s"', replace(table_name, '"', '""')) AS quoted FROM duckdb_tables() WHERE NOT internal AND schema_name = 'main')
		UNION ALL SELECT 'DROP SCHEMA IF EXISTS ' || quoted || ' CASCADE' FROM (SELECT printf('"%s"', replace(schema_name, '"', '""')) AS quoted FROM duckdb_schemas() WHERE NOT internal AND schema_name <> 'main' AND database_name = 'memory')`)
	if err != nil {
		return err
	}
	var statements []string
	for rows.Next() {
		var s string
		if err = rows.Scan(&s); err != nil {
			break
		}
		statements = append(statements, s)
	}
	if err = errors.Join(err, rows.Err(), rows.Close()); err != nil {
		return err
	}
	if len(statements) > 0 {
		if err := w.Exec(ctx, "BEGIN; "+strings.Join(statements, "; ")+"; COMMIT"); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(w.dir)
	for _, e := range entries {
		if e.Name() != spillName {
			err = errors.Join(err, os.RemoveAll(filepath.Join(w.dir, e.Name())))
		}
	}
	return err
}

// Close ends the engine and removes the workshop's folder.
func (w *Workshop) Close() error {
	var err error
	if w.db != nil {
		if w.db.writer != nil {
			err = w.db.writer.Close()
			w.db.writer = nil
		}
		err = errors.Join(err, w.db.sql.Close(), w.db.texts.trim(0))
		w.db = nil
	}
	if w.dir != "" {
		err = errors.Join(err, os.RemoveAll(w.dir))
	}
	if w.lock != nil {
		err = errors.Join(err, removeFiles(w.lock.Name()), w.lock.Close())
		w.lock = nil
	}
	if err != nil {
		return fmt.Errorf("close a workshop: %w", err)
	}
	return nil
}
