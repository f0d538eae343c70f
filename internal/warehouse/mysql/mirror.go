package mysql

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"crypto/sha256"
	_ "embed"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// Mirrors is the warehouse as mirrors write to it, with connections of its own. Its methods are safe for use by several goroutines.
//
// A stage is an ordinary table. A publication that changes some rows does so in one InnoDB transaction with the state. One that
// replaces the table changes names, which is atomic for readers and commits apart from the bookkeeping: so it is written down before,
// and whoever finds it cut off (any call for the mirror) ends it where the names have changed, and forgets it where they have not.
//
// Values are stored as docs/mysql.md says: JSON, lists and decimals without bounds as text, intervals as ISO 8601 text, instants as
// DATETIME(6) in UTC. Each table has a primary key of its own, _firth_row, which SELECT * does not show on MariaDB and MySQL from 8.0.23.
type Mirrors struct {
	db        *DB
	invisible bool
	dead      bool // a test plays that the process was killed: what failed is left as it is
}

//go:embed sql/mirrors.sql
var mirrorsSQL string

// mirrorConnections is how many connections there are at most: four that write, one that publishes, and whoever looks.
const mirrorConnections = 8

// OpenMirrors connects and makes the bookkeeping. The url and errors are those of Open.
func OpenMirrors(ctx context.Context, url string, o Options) (*Mirrors, error) {
	d, err := connect(url, o)
	if err != nil {
		return nil, err
	}
	d.sql.SetMaxOpenConns(mirrorConnections)
	d.sql.SetMaxIdleConns(mirrorConnections / 2)
	m := &Mirrors{db: d}
	if err = d.prepareServer(ctx); err == nil {
		m.invisible = hidesColumns(d.server.version)
		err = d.withSession(ctx, func(s session) error {
			for _, statement := range statements(mirrorsSQL, d.server.collation) {
				if err := s.exec(ctx, statement); err != nil {
					return fmt.Errorf("bookkeeping of mirrors: %w", err)
				}
			}
			return nil
		})
	}
	if err != nil {
		return nil, errors.Join(d.fail("open", d.login.place(), err), d.sql.Close())
	}
	return m, nil
}

// hidesColumns tells whether a version has columns that SELECT * does not show.
func hidesColumns(version string) bool {
	if strings.Contains(version, "MariaDB") {
		return true
	}
	var n [3]int
	for i, part := range strings.SplitN(version, ".", 3) {
		digits := strings.IndexFunc(part, func(r rune) bool { return r < '0' || r > '9' })
		if digits >= 0 {
			part = part[:digits]
		}
		n[i], _ = strconv.Atoi(part) // no number is 0
	}
	return n[0] > 8 || n[0] == 8 && (n[1] > 0 || n[2] >= 23)
}

// Close ends the connections.
func (m *Mirrors) Close() error { return m.db.Close() }

// record is what the bookkeeping has of a mirror.
type record struct {
	schema, table string
	columns       []vector.Column
	ids           *vector.Column
	state         json.RawMessage
	pending       *pending
}

// read reads what the bookkeeping has; nil: nothing.
func (m *Mirrors) read(ctx context.Context, s session, name string) (*record, error) {
	var schema, table string
	var columns, ids, state, wait sql.NullString
	err := s.QueryRowContext(ctx, tagged("SELECT schema_name, table_name, columns, ids, state, pending FROM `_firth`.`mirrors` WHERE name = ?"), name).
		Scan(&schema, &table, &columns, &ids, &state, &wait)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing is what there is
	}
	if err != nil {
		return nil, fmt.Errorf("read what was published: %w", err)
	}
	r := &record{schema: schema, table: table}
	for _, f := range []struct {
		text sql.NullString
		into any
	}{{columns, &r.columns}, {ids, &r.ids}, {wait, &r.pending}} {
		if f.text.Valid {
			if err := json.Unmarshal([]byte(f.text.String), f.into); err != nil {
				return nil, fmt.Errorf("read what was published: %w", err)
			}
		}
	}
	if state.Valid {
		r.state = json.RawMessage(state.String)
	}
	return r, nil
}

// Mirror tells what there is of a mirror.
func (m *Mirrors) Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	out := &warehouse.MirrorState{}
	err := m.db.withSession(ctx, func(s session) error {
		r, err := m.settled(ctx, s, t, 0)
		if err != nil {
			return err
		}
		if r != nil {
			out.State = r.state
			if r.columns != nil && r.schema == t.Schema && r.table == t.Table {
				if err := m.size(ctx, s, t, r, out); err != nil {
					return err
				}
			}
		}
		out.Staged, err = m.staged(ctx, s, t.Name)
		return err
	})
	if err != nil {
		return nil, m.db.fail("read mirror", t.Name, err)
	}
	return out, nil
}

// countExactly is up to which estimate the rows of a table are counted.
const countExactly = 100000

func (m *Mirrors) size(ctx context.Context, s session, t warehouse.MirrorTable, r *record, out *warehouse.MirrorState) error {
	var kind string
	var rows sql.NullInt64
	err := s.QueryRowContext(ctx, tagged("SELECT table_type, table_rows FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"), t.Schema, t.Table).Scan(&kind, &rows)
	if errors.Is(err, sql.ErrNoRows) {
		return nil // somebody dropped it
	}
	if err == nil && rows.Int64 < countExactly {
		err = s.QueryRowContext(ctx, tagged("SELECT count(*) FROM "+qualified(t.Schema, t.Table))).Scan(&rows.Int64)
	}
	if err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	out.Columns, out.Rows = r.columns, rows.Int64
	return nil
}

// stageRow is what the bookkeeping has of a stage.
type stageRow struct {
	warehouse.Staged
	schema, name string
	done         bool // it is published, and only to be dropped
}

func (m *Mirrors) stageRow(ctx context.Context, s session, name string) (*stageRow, error) {
	r := &stageRow{}
	var run, progress sql.NullString
	var columns string
	err := s.QueryRowContext(ctx, tagged("SELECT run, schema_name, stage_name, columns, progress, row_count FROM `_firth`.`mirror_stages` WHERE name = ?"), name).
		Scan(&run, &r.schema, &r.name, &columns, &progress, &r.Rows)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing is what there is
	}
	if err == nil {
		err = json.Unmarshal([]byte(columns), &r.Columns)
	}
	if err != nil {
		return nil, fmt.Errorf("read what is staged: %w", err)
	}
	r.Run, r.done = run.String, !run.Valid
	if progress.Valid {
		r.Progress = json.RawMessage(progress.String)
	}
	return r, nil
}

// staged is what an earlier run left; nil where its table is gone.
func (m *Mirrors) staged(ctx context.Context, s session, name string) (*warehouse.Staged, error) {
	r, err := m.stageRow(ctx, s, name)
	if err != nil || r == nil || r.done {
		return nil, err
	}
	there, err := exists(ctx, s, r.schema, r.name)
	if err != nil || !there {
		return nil, err
	}
	return &r.Staged, nil
}

func exists(ctx context.Context, s session, schema, name string) (bool, error) {
	var found bool
	err := s.QueryRowContext(ctx, tagged("SELECT count(*) > 0 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"), schema, name).Scan(&found)
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", name, err)
	}
	return found, nil
}

// IDs lists ids of the last complete list.
func (m *Mirrors) IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error) {
	var out []vector.Value
	err := m.db.withSession(ctx, func(s session) error {
		r, err := m.settled(ctx, s, t, 0)
		if err != nil || r == nil || r.ids == nil || r.schema != t.Schema || r.table != t.Table {
			return err
		}
		text := textOf(vector.Column{Name: "id", Type: r.ids.Type}, "t")
		if r.ids.Type.Kind == vector.Blob {
			text = "t.`id`"
		}
		query := "SELECT " + text + " FROM " + idsTable(t) + " t"
		if after.Kind != vector.Null {
			bound, ok := valueLiteral(after)
			if !ok {
				return fmt.Errorf("no id is behind %+v", after)
			}
			query += " WHERE t.`id` > " + bound
		}
		v := vector.New(r.ids.Type)
		err = s.each(ctx, query+" ORDER BY t.`id` LIMIT "+strconv.Itoa(limit), nil, func(rows *sql.Rows) error {
			var text sql.RawBytes
			if err := rows.Scan(&text); err != nil {
				return err
			}
			v.Reset()
			if r.ids.Type.Kind == vector.Text || r.ids.Type.Kind == vector.Blob {
				v.AppendBytes(text)
			} else if !vector.ParseInto(v, string(text)) {
				return fmt.Errorf("%q is no id of type %s", text, r.ids.Type)
			}
			out = append(out, v.At(0))
			return nil
		})
		if number(err) == errNoTable {
			return nil // somebody dropped it: there is no list
		}
		return err
	})
	if err != nil {
		return nil, m.db.fail("read ids", t.Name, err)
	}
	return out, nil
}

func idsTable(t warehouse.MirrorTable) string {
	return qualified(t.Schema, short(warehouse.IDsPrefix, t.Table, ""))
}

func rejectsName(t warehouse.MirrorTable) string { return short("", t.Table, warehouse.RejectsSuffix) }

// lockName is the name of the lock of whoever publishes a mirror.
func lockName(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "_firth.mirror." + hex.EncodeToString(sum[:8])
}

// locked takes the lock of a mirror; it goes with the session, or by unlock.
func locked(ctx context.Context, s session, name string, wait time.Duration) (bool, error) {
	var got sql.NullBool
	if err := s.QueryRowContext(ctx, tagged("SELECT GET_LOCK(?, ?)"), lockName(name), int(wait.Seconds())).Scan(&got); err != nil {
		return false, fmt.Errorf("wait for others that publish: %w", err)
	}
	return got.Bool, nil
}

func unlock(ctx context.Context, s session, name string) error {
	return s.exec(ctx, "DO RELEASE_LOCK(?)", lockName(name))
}

// must refuses to go on while another session publishes.
func (m *Mirrors) must(ctx context.Context, s session, t warehouse.MirrorTable) error {
	got, err := locked(ctx, s, t.Name, lockSeconds*time.Second)
	if err == nil && !got {
		err = &warehouse.Error{Op: "publish", Object: t.Name, Kind: warehouse.Busy, Err: errors.New("somebody else publishes this mirror"), Hint: "it is tried again"}
	}
	return err
}

// mine refuses tables that are not the mirror's: of others, and of nobody's with rows in them.
func (m *Mirrors) mine(ctx context.Context, s session, t warehouse.MirrorTable, r *record) error {
	if slices.Contains(reserved, strings.ToLower(t.Schema)) {
		return &warehouse.Error{Op: "stage", Object: t.Name, Kind: warehouse.BadName, Err: fmt.Errorf("%s is a database of the server or of Firth", t.Schema), Hint: "choose another schema: into: { schema: ... }"}
	}
	var other string
	err := s.QueryRowContext(ctx, tagged("SELECT coalesce(max(name), '') FROM `_firth`.`mirrors` WHERE schema_name = ? AND table_name = ? AND name <> ?"), t.Schema, t.Table, t.Name).Scan(&other)
	if err != nil {
		return fmt.Errorf("look for others: %w", err)
	}
	name := qualified(t.Schema, t.Table)
	if other != "" {
		return &warehouse.Error{Op: "stage", Object: t.Name, Kind: warehouse.BadName, Err: fmt.Errorf("%s is the table of the mirror %s", name, other),
			Hint: "give this mirror another table: into: { table: ... }; where that mirror is gone: DELETE FROM `_firth`.`mirrors` WHERE name = " + literal(other)}
	}
	if r != nil && (r.columns != nil || r.ids != nil) && r.schema == t.Schema && r.table == t.Table && r.columns != nil {
		return nil
	}
	there, err := exists(ctx, s, t.Schema, t.Table)
	if err != nil || !there {
		return err
	}
	var rows bool
	if err := s.QueryRowContext(ctx, tagged("SELECT EXISTS (SELECT 1 FROM "+name+")")).Scan(&rows); err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	if rows {
		return &warehouse.Error{Op: "stage", Object: t.Name, Kind: warehouse.BadName, Err: fmt.Errorf("%s has rows that are not of this mirror", name),
			Hint: "give the mirror another table: into: { table: ... }; or make room: RENAME TABLE " + name + " TO " + qualified(t.Schema, t.Table+"_before")}
	}
	return nil
}
