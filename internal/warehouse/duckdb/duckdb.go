// Package duckdb is the embedded warehouse: Segment's tables in one DuckDB file, the event lake beside them as views over its
// Parquet files, and the one database that every query runs on. No other package opens DuckDB.
//
// The file is one database, called warehouse after its name: a schema a source, and the bookkeeping in the schema _firth. It has
// no write-ahead log: what was committed since the last checkpoint is lost with the process, rows and position alike, and loaded
// from the lake again. So every state that a file can be found in is one that a load left. Two further catalogs live in memory and are made anew at each start: lake, with one view a source over the files of its
// present snapshot, and firth, with what the pages read. So production.tracks, lake.production and firth.runs resolve in one
// statement. DuckDB lets a transaction write to one catalog alone: loads write to the file, refreshed views are transactions
// of their own.
//
// A file is opened once a process. A second instance on the same file, even read-only, would drop the lock that keeps other
// processes out.
package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	engine "github.com/duckdb/duckdb-go/v2"

	"firth/internal/warehouse"
)

// formatVersion is the version of the bookkeeping tables that this program writes and the highest it reads.
const formatVersion = 1

// DefaultMemory bounds the engine's memory in bytes where Options leave it open.
const DefaultMemory = 1 << 30

// Options of Open. The zero value of each field stands for its default.
type Options struct {
	Memory    int64  // bytes that the engine may take, default DefaultMemory
	Threads   int    // default: one a processor
	LakeDir   string // the folder of the lake's files; with TempDir the only one that SQL can read
	TempDir   string // where the engine spills; default: a folder "tmp" beside the file
	TempBytes int64  // most bytes spilled there, default 10 GiB
	Now       func() time.Time
}

// DB is the open warehouse. Its methods are safe for use by several goroutines; writes are done one at a time.
type DB struct {
	sql     *sql.DB
	path    string
	catalog string
	now     func() time.Time
	options Options

	mu          sync.Mutex // held by whoever writes
	writer      *sql.Conn
	known       map[string]tables   // schemas as they are committed, by name; forgotten when a load fails
	notices     map[string][]string // by schema, for the result of the next load
	texts       arena               // of the rows that are being appended
	tended      time.Time           // of the last checkpoint while idle
	refused     int                 // checkpoints in a row that were put off by a second
	views       map[string]string   // the SQL of the lake's views as they are
	lost        error               // why nothing can be written any more; nil: it can
	dirty       bool                // something was committed since the last checkpoint
	unsaved     int64               // bytes of rows committed since the last checkpoint
	checkpoints atomic.Int64        // time that the last one took, in nanoseconds

	crew     *crew
	attached atomic.Bool // connections begin in the file's database from then on
}

// Open opens or makes the warehouse file, attaches the catalogs lake and firth, and locks the configuration: no file outside
// LakeDir and TempDir, no network, no further extensions, no SET. A failure is a *warehouse.Error with a hint; it may be tried again.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open warehouse %s: %w", path, err)
	}
	if strings.ContainsAny(abs, "?#%") {
		return nil, &warehouse.Error{
			Op: "open warehouse", Object: abs, Kind: warehouse.BadName, Err: errors.New("the path has one of the characters ? # %"),
			Hint: "choose a data folder without these characters: the engine reads them as options",
		}
	}
	o = o.withDefaults(abs)
	if err := os.MkdirAll(o.TempDir, 0o700); err != nil {
		return nil, openError(abs, err)
	}
	if err := errors.Join(makeFile(ctx, abs, o), sweepFresh(o.TempDir)); err != nil {
		return nil, openError(abs, err)
	}
	d := &DB{path: abs, catalog: strings.TrimSuffix(filepath.Base(abs), filepath.Ext(abs)), now: o.Now, options: o, known: map[string]tables{}, notices: map[string][]string{}, views: map[string]string{}}
	connector, err := engine.NewConnector("?"+o.settings().Encode(), d.begin)
	if err != nil {
		return nil, openError(abs, err)
	}
	if d.crew, err = newCrew(connector, o.Threads); err != nil {
		return nil, errors.Join(openError(abs, err), connector.Close())
	}
	d.sql = sql.OpenDB(connector)
	if err := d.prepare(ctx, o); err != nil {
		return nil, errors.Join(openError(abs, err), d.Close())
	}
	return d, nil
}

func (o Options) withDefaults(path string) Options {
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.TempDir == "" {
		o.TempDir = filepath.Join(filepath.Dir(path), "tmp")
	}
	if o.TempBytes <= 0 {
		o.TempBytes = 10 << 30
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// settings are what must stand before the file is opened: replaying its log takes memory and threads as well.
func (o Options) settings() url.Values {
	return url.Values{
		"memory_limit":                 {byteSize(o.Memory)},
		"threads":                      {strconv.Itoa(o.Threads)},
		"external_threads":             {strconv.Itoa(o.Threads)},
		"temp_directory":               {o.TempDir},
		"max_temp_directory_size":      {byteSize(o.TempBytes)},
		"checkpoint_threshold":         {byteSize(1 << 50)}, // see checkpointAt
		"default_block_size":           {strconv.Itoa(blockSize)},
		"autoinstall_known_extensions": {"false"},
		"autoload_known_extensions":    {"false"},
		"allow_community_extensions":   {"false"},
	}
}

// blockSize is that of a new file, the smallest that the engine knows. Every column that rows were appended to since the last
// checkpoint holds two blocks in memory, one of them for its NULLs, however few the rows: at the engine's own 256 KiB a hundred
// event tables of forty columns would take 2 GB, and filling them with zeros costs more than the rows.
const blockSize = 16 << 10

// checkpointAt is how many bytes of rows are committed before a load moves them into the file. Each time small row groups are put
// together, so that seldom is cheap. Until then the rows are held in memory, hence the share of it. The engine's own checkpoints,
// which count otherwise without a write-ahead log, are switched off.
func (o Options) checkpointAt() int64 { return min(max(o.Memory/4, 32<<20), 256<<20) }

// rowGroup is how many rows of a table are compressed as one. A checkpoint begins a new group in each table that has got rows and
// puts groups together until they are full, twice as large each time: the smaller a full one, the less often a row is compressed
// again. Smaller ones than this cost queries more than they save.
const rowGroup = 16 << 10

// storageVersion is that of the files the engine writes: the newest whose dictionaries of texts do without the packing of the
// texts themselves.
const storageVersion = "v1.2.0"

// compression leaves texts without a dictionary as they are: to learn a packing of them for every column of every small row group
// took a third of the time of a load, and the tables are made again from the lake, which is packed, whenever they are lost.
const compression = "SET disabled_compression_methods = 'fsst,dict_fsst'"

// begin makes the file's database the one that a new connection speaks of.
func (d *DB) begin(conn driver.ExecerContext) error {
	if !d.attached.Load() {
		return nil
	}
	_, err := conn.ExecContext(context.Background(), "USE "+quote(d.catalog), nil)
	return err
}

func byteSize(n int64) string { return strconv.FormatInt(n, 10) + "B" }

func (d *DB) prepare(ctx context.Context, o Options) error {
	conn, err := d.sql.Conn(ctx)
	if err != nil {
		return err
	}
	d.writer = conn
	if err := d.attach(ctx); err != nil {
		return err
	}
	if err := d.checkFormat(ctx); err != nil {
		return err
	}
	if err := d.inTx(ctx, func() error { return d.exec(ctx, bookkeepingSQL) }); err != nil {
		return fmt.Errorf("bookkeeping tables: %w", err)
	}
	if err := d.exec(ctx, strings.ReplaceAll(catalogsSQL, "{{catalog}}", quote(d.catalog))); err != nil {
		return fmt.Errorf("catalogs lake and firth: %w", err)
	}
	for _, statement := range []string{deadLettersView(nil), filesSQL, freshnessSQL} {
		if err := d.exec(ctx, statement); err != nil {
			return fmt.Errorf("catalog firth: %w", err)
		}
	}
	if err := d.exec(ctx, lockDown(o.LakeDir, o.TempDir)); err != nil {
		return fmt.Errorf("lock the configuration: %w", err)
	}
	return nil
}

// attach opens the file. A checkpoint marks its beginning in a log, although no rows are ever written there; whoever is killed at
// the wrong moment leaves a log that the engine does not take for the file's. Without a log the file is as the last checkpoint
// left it, rows and position, which is all that is asked of it.
func (d *DB) attach(ctx context.Context) error {
	if err := d.exec(ctx, compression); err != nil {
		return err
	}
	err := d.exec(ctx, attachFile(d.path, d.catalog))
	if err != nil && logText.MatchString(err.Error()) {
		if err := removeFiles(d.path+".wal", d.path+".checkpoint.wal", d.path+".wal.recovery"); err != nil {
			return err
		}
		err = d.exec(ctx, attachFile(d.path, d.catalog))
	}
	if err != nil {
		return err
	}
	d.attached.Store(true)
	return nil
}

func (d *DB) checkFormat(ctx context.Context) error {
	var n int
	err := d.writer.QueryRowContext(ctx, "SELECT count(*) FROM duckdb_tables() WHERE schema_name = '_firth' AND table_name = 'format'").Scan(&n)
	if err != nil || n == 0 {
		return err
	}
	var version int
	if err := d.writer.QueryRowContext(ctx, "SELECT max(version) FROM _firth.format").Scan(&version); err != nil {
		return fmt.Errorf("version of the bookkeeping: %w", err)
	}
	if version > formatVersion {
		return fmt.Errorf("%w: its bookkeeping has version %d, this program knows %d", errNewer, version, formatVersion)
	}
	return nil
}

// SQL is the pool of connections for reading. Whoever uses it keeps to statements that read: nothing here stops a write.
func (d *DB) SQL() *sql.DB { return d.sql }

// Path is the file.
func (d *DB) Path() string { return d.path }

// Catalog is the name of the file's database within SQL.
func (d *DB) Catalog() string { return d.catalog }

// Ping runs the least statement; an error means that the engine must be opened again.
func (d *DB) Ping(ctx context.Context) error {
	if _, err := d.sql.ExecContext(ctx, "SELECT 1"); err != nil {
		return d.fail("ping", "", err)
	}
	return nil
}

// Tend moves what was committed into the file when nobody waits for a load and a minute has passed since the last time, so that
// little is loaded again after a crash.
func (d *DB) Tend(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost != nil || !d.dirty || d.now().Sub(d.tended) < tendEvery {
		return d.lost
	}
	err := d.checkpoint(ctx)
	if err == nil || !beside.MatchString(err.Error()) {
		d.refused = 0
		return err
	}
	if d.refused++; d.refused >= refusals {
		return err
	}
	d.tended = d.tended.Add(time.Second - tendEvery)
	return nil
}

// refusals is how often in a row the engine may refuse a checkpoint for a moment before that is told.
const refusals = 10

// CheckpointTime is how long the last checkpoint took, during which loads waited.
func (d *DB) CheckpointTime() time.Duration { return time.Duration(d.checkpoints.Load()) }

// tendEvery keeps checkpoints of a stream that pauses all the time apart.
const tendEvery = time.Minute

// checkpoint moves what was committed into the file; the caller holds mu.
func (d *DB) checkpoint(ctx context.Context) error {
	began := d.now()
	d.tended = began
	if err := d.exec(ctx, "CHECKPOINT "+quote(d.catalog)); err != nil {
		return d.fail("checkpoint", d.path, err)
	}
	d.dirty, d.unsaved = false, 0
	d.checkpoints.Store(int64(d.now().Sub(began)))
	return nil
}

// Close waits for a load that is under way, moves what was committed into the file and closes it.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.writer != nil {
		if d.dirty && d.lost == nil {
			err = d.checkpoint(context.Background())
		}
		err = errors.Join(err, d.writer.Close())
		d.writer = nil
	}
	if err := errors.Join(err, d.sql.Close(), d.texts.trim(0)); err != nil {
		return fmt.Errorf("close warehouse %s: %w", d.path, err)
	}
	return nil
}

// exec runs one or more statements on the writing connection; the caller holds mu or is alone.
func (d *DB) exec(ctx context.Context, statements string, args ...any) error {
	if d.writer == nil {
		return errClosed
	}
	if d.lost != nil {
		return d.lost
	}
	_, err := d.writer.ExecContext(ctx, statements, args...)
	return err
}

// inTx runs fn in a transaction of the writing connection. Whatever goes wrong, the connection is left without one.
func (d *DB) inTx(ctx context.Context, fn func() error) error {
	err := d.exec(ctx, "BEGIN TRANSACTION")
	if err == nil {
		err = fn()
	}
	if err == nil {
		if err = d.exec(ctx, "COMMIT"); err == nil {
			return nil
		}
	}
	// The context may have ended, which must not leave the transaction open, not even one of which the engine says that it was interrupted
	// while it began. A COMMIT that failed has ended it already.
	if rollback := d.exec(context.WithoutCancel(ctx), "ROLLBACK"); rollback != nil && !strings.Contains(rollback.Error(), "no transaction is active") {
		err = errors.Join(err, rollback)
	}
	return err
}

// raw hands the driver's own connection of the writer to fn.
func (d *DB) raw(fn func(driver.Conn) error) error {
	if d.writer == nil {
		return errClosed
	}
	return d.writer.Raw(func(c any) error {
		conn, ok := c.(driver.Conn)
		if !ok {
			return fmt.Errorf("unexpected driver connection %T", c)
		}
		return fn(conn)
	})
}

//go:embed sql/bookkeeping.sql
var bookkeepingSQL string

//go:embed sql/catalogs.sql
var catalogsSQL string
