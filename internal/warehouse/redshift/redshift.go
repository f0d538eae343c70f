// Package redshift keeps Segment's typed tables in Amazon Redshift. A load is written as compressed parts to an object store, copied
// from there into temporary tables and put into the tables, together with its position, in one transaction; the parts are removed
// afterwards, whatever came of it.
//
// Everything that is said to the server is text built in dialect.go; the statements that only Redshift understands are COPY FROM
// 's3://...' and the keys DISTKEY and SORTKEY.
package redshift

import (
	"context"
	"crypto/rand"
	_ "embed" // the bookkeeping
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"firth/internal/event"
	"firth/internal/object"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// Options of a warehouse. The zero value of an optional field stands for its default.
type Options struct {
	Name string // as configured, for errors and the parts' place
	// AccessMethod is for other kinds of warehouse: anything but "" is refused.
	AccessMethod string
	// Staging is where parts are written: s3://bucket/prefix, with endpoint, region and path_style as internal/object reads them.
	Staging string
	// IAMRole is the role by which the cluster reads the parts; without it Firth's own keys are handed to it with each COPY.
	IAMRole string
	CA      string // file of certificates to trust beyond the system's
	Now     func() time.Time
	Log     *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// DB is a warehouse. Its methods may be called from any goroutine and take turns; one loader at a time is meant to write into a
// warehouse, a second one waits for the first and then finds its position moved.
type DB struct {
	mu       sync.Mutex
	options  Options
	place    string // host and database, for errors
	user     string
	database string
	schema   string // at hand, for errors that name a table alone
	dial     func(context.Context) (wire, error)
	conn     wire // nil: none is open
	closed   bool
	secrets  secrets
	store    *object.Store
	instance string          // of the bookkeeping: the folder of this warehouse's parts
	stuck    map[string]bool // string columns that the server does not let grow, by schema, table and column
	litter   []string        // parts that could not be removed yet
	newID    func() string
}

// formatVersion is that of the bookkeeping.
const formatVersion = 1

//go:embed sql/format.sql
var formatSQL string

//go:embed sql/columns.sql
var columnsSQL string

// Open connects to the warehouse of a URL (redshift://user:password@host:5439/database), makes its bookkeeping where there is none, and
// removes parts that a killed process left in the staging store. Errors are *warehouse.Error with a hint; none shows a secret.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	d, err := prepare(ctx, url, o)
	if err != nil {
		return nil, err
	}
	return d.open(ctx)
}

// prepare makes a DB that has not connected yet.
func prepare(ctx context.Context, url string, o Options) (*DB, error) {
	d := &DB{options: o.withDefaults(), stuck: map[string]bool{}, newID: randomID}
	bad := func(err error, hint string) error {
		return &warehouse.Error{Op: "open warehouse", Object: o.Name, Kind: warehouse.Unexpected, Err: err, Hint: hint}
	}
	c, err := address(url, o)
	if err != nil {
		return nil, bad(err, "correct the url of the warehouse in the configuration")
	}
	d.secrets = append(d.secrets, c.Password)
	d.place, d.user, d.database = c.Host+":"+strconv.Itoa(int(c.Port))+"/"+c.Database, c.User, c.Database
	d.dial = func(ctx context.Context) (wire, error) { return dial(ctx, c) }
	if o.AccessMethod != "" {
		return nil, bad(fmt.Errorf("access_method %q: Redshift has one way to keep tables", o.AccessMethod), "remove access_method from the warehouse")
	}
	if o.Staging == "" {
		return nil, bad(errors.New("staging is not set"), "write staging: s3://bucket/prefix into the warehouse: Redshift reads its rows from there")
	}
	if d.store, err = object.Open(ctx, o.Staging); err != nil {
		return nil, bad(err, "correct staging of the warehouse: s3://bucket/prefix?region=eu-central-1")
	}
	return d, nil
}

func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// open connects and makes sure of the bookkeeping.
func (d *DB) open(ctx context.Context) (*DB, error) {
	if err := d.start(ctx); err != nil {
		d.hangUp()
		return nil, d.fail("open warehouse", d.options.Name, err)
	}
	// What lies around is no reason not to work.
	if err := d.sweep(ctx); err != nil {
		d.options.Log.Warn("parts of killed loads could not be looked for", "warehouse", d.options.Name, "error", err)
	}
	return d, nil
}

func (d *DB) start(ctx context.Context) error {
	if err := d.connected(ctx); err != nil {
		return err
	}
	if err := d.isRedshift(ctx); err != nil {
		return err
	}
	r, err := d.exec(ctx, "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = '_firth' AND c.relname IN ('format', 'turn', 'positions', 'tables', 'columns')")
	if err != nil {
		return err
	}
	if r.rows[0][0].String != "5" {
		if err := d.makeBookkeeping(ctx); err != nil {
			return fmt.Errorf("make the bookkeeping: %w", err)
		}
	}
	return d.readFormat(ctx)
}

// isRedshift refuses other servers that speak the same protocol: they would fail later and less clearly.
func (d *DB) isRedshift(ctx context.Context) error {
	r, err := d.exec(ctx, "SELECT version()")
	if err != nil {
		return err
	}
	if v := r.rows[0][0].String; !strings.Contains(v, "Redshift") {
		return &warehouse.Error{
			Op: "open warehouse", Object: d.options.Name, Kind: warehouse.NotThere, Err: fmt.Errorf("%s is no Redshift but %s", d.place, firstWords(v)),
			Hint: "write type: postgres for this warehouse, or correct its url",
		}
	}
	return nil
}

func firstWords(s string) string {
	f := strings.Fields(s)
	return strings.Join(f[:min(2, len(f))], " ")
}

func (d *DB) makeBookkeeping(ctx context.Context) error {
	exists, err := d.schemaExists(ctx, "_firth")
	if err != nil {
		return err
	}
	if !exists {
		if err := d.run(ctx, createSchema("_firth")); err != nil {
			return err
		}
	}
	for s := range strings.SplitSeq(formatSQL, ";\n") {
		if strings.TrimSpace(s) == "" {
			continue
		}
		if err := d.run(ctx, s); err != nil {
			return err
		}
	}
	return d.inTx(ctx, func() error {
		return d.run(ctx, "INSERT INTO _firth.format (version, instance) SELECT "+strconv.Itoa(formatVersion)+", "+literal(d.newID())+
			" WHERE NOT EXISTS (SELECT 1 FROM _firth.format)")
	})
}

func (d *DB) schemaExists(ctx context.Context, schema string) (bool, error) {
	r, err := d.exec(ctx, "SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = "+literal(schema))
	return err == nil && r.rows[0][0].String != "0", err
}

func (d *DB) readFormat(ctx context.Context) error {
	r, err := d.exec(ctx, "SELECT version, instance FROM _firth.format")
	if err != nil {
		return err
	}
	if len(r.rows) != 1 {
		return fmt.Errorf("_firth.format has %d rows, want 1", len(r.rows))
	}
	version, err := strconv.Atoi(r.rows[0][0].String)
	if err != nil {
		return fmt.Errorf("version in _firth.format: %w", err)
	}
	if version > formatVersion {
		return &warehouse.Error{
			Op: "open warehouse", Object: d.options.Name, Kind: warehouse.Newer,
			Err:  fmt.Errorf("its bookkeeping has version %d, this program knows %d", version, formatVersion),
			Hint: "run the version of Firth that wrote it, or a later one",
		}
	}
	d.instance = r.rows[0][1].String
	return nil
}

// Close ends the connection. The warehouse cannot be used afterwards.
func (d *DB) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hangUp()
	d.closed = true
	return nil
}

// Tend removes parts that could not be removed when their load ended, and those of killed processes.
func (d *DB) Tend(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.sweep(ctx); err != nil {
		return d.fail("tend", d.options.Name, err)
	}
	return nil
}

// Positions returns how far each journal has been loaded for the source; a journal that is missing has not been begun.
func (d *DB) Positions(ctx context.Context, source string) (map[string]warehouse.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out, err := d.positions(ctx, source)
	if err != nil {
		return nil, d.fail("read positions", source, err)
	}
	return out, nil
}

func (d *DB) positions(ctx context.Context, source string) (map[string]warehouse.Position, error) {
	if err := d.connected(ctx); err != nil {
		return nil, err
	}
	r, err := d.exec(ctx, "SELECT log, position, loaded_through, loaded_at FROM _firth.positions WHERE source = "+literal(source))
	if err != nil {
		return nil, err
	}
	out := map[string]warehouse.Position{}
	for _, row := range r.rows {
		p := warehouse.Position{LoadedThrough: event.NoTime}
		if p.Next, err = strconv.ParseUint(row[1].String, 10, 64); err != nil {
			return nil, fmt.Errorf("position of journal %s: %w", row[0].String, err)
		}
		if row[2].Valid {
			through, err := parseTime(row[2].String)
			if err != nil {
				return nil, err
			}
			p.LoadedThrough = through.UnixMicro()
		}
		if p.LoadedAt, err = parseTime(row[3].String); err != nil {
			return nil, err
		}
		out[row[0].String] = p
	}
	return out, nil
}

// parseTime reads a timestamp without a zone as the server prints it.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse("2006-01-02 15:04:05.999999", s)
	if err != nil {
		return t, fmt.Errorf("a timestamp of the server: %w", err)
	}
	return t, nil
}

// Catalogue returns the tables that loads have made or taken over for the source, with those columns that they really have: first the
// known ones in their order, then those that somebody else added.
func (d *DB) Catalogue(ctx context.Context, source string) ([]warehouse.Table, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	out, err := d.catalogue(ctx, source)
	if err != nil {
		return nil, d.fail("read catalogue", source, err)
	}
	return out, nil
}

func (d *DB) catalogue(ctx context.Context, source string) ([]warehouse.Table, error) {
	if err := d.connected(ctx); err != nil {
		return nil, err
	}
	r, err := d.exec(ctx, "SELECT DISTINCT schema_name FROM _firth.tables WHERE source = "+literal(source)+" ORDER BY schema_name")
	if err != nil {
		return nil, err
	}
	var out []warehouse.Table
	for _, row := range r.rows {
		st, err := d.readState(ctx, source, row[0].String, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, st.catalogue()...)
	}
	return out, nil
}

// catalogue is what a source's tables in one schema look like.
func (st *state) catalogue() []warehouse.Table {
	var out []warehouse.Table
	for _, name := range st.order {
		k, rel := st.known[strings.ToLower(name)], st.relations[strings.ToLower(name)]
		if rel == nil || rel.kind != "r" || strings.EqualFold(name, warehouse.Discards) {
			continue
		}
		t := warehouse.Table{Name: name}
		seen := map[string]bool{}
		for _, c := range k.columns {
			if have := rel.find(c.Name); have != nil && !seen[strings.ToLower(c.Name)] {
				seen[strings.ToLower(c.Name)] = true
				t.Columns = append(t.Columns, table.Column{Name: c.Name, Type: have.kind, Path: c.Path})
			}
		}
		for _, c := range rel.columns {
			if !seen[strings.ToLower(c.name)] {
				t.Columns = append(t.Columns, table.Column{Name: c.name, Type: c.kind})
			}
		}
		out = append(out, t)
	}
	return out
}
