package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/internal/table"
	"firth/internal/warehouse"
)

//go:embed sql/relations.sql
var relationsSQL string

//go:embed sql/columns.sql
var columnsSQL string

//go:embed sql/known.sql
var knownSQL string

// relation is a table as it stands on the server, and what the bookkeeping knows of it.
type relation struct {
	oid      int64
	name     string
	kind     string // pg_class.relkind
	owner    string
	owned    bool   // by the login, or by a role that it is a member of
	super    bool   // the owner is a superuser
	method   string // access method
	uniqueID bool   // a unique index over the id alone
	width    int    // columns, with those that were dropped
	columns  []column
	byName   map[string]int

	known   bool // to the bookkeeping, under this source
	adopted bool
	through time.Time // of adopted: rows received later are none of those that were there
	types   map[string]table.Type
}

// column is a column as it stands on the server.
type column struct {
	name    string
	oid     uint32
	mod     int32
	sqlType string // as format_type writes it
	fixed   bool   // generated: nothing can be written
	form    form
	kind    table.Type
}

// state is what was read of the tables that a batch names.
type state map[string]*relation

// get returns a column, nil where there is none.
func (r *relation) get(name string) *column {
	if i, ok := r.byName[name]; ok {
		return &r.columns[i]
	}
	return nil
}

// guess says which of the tables there are, by their OIDs: those that the last load into the schema locked, where it knew them all, else
// what the catalogue has. It may be wrong by the time that they are locked.
func (d *DB) guess(ctx context.Context, source, schema string, names []string) (map[string]int64, error) {
	known := d.guessed[schema]
	delete(d.guessed, schema) // until it has proved right again
	if !slices.ContainsFunc(names, func(n string) bool { return known[n] == 0 }) {
		return known, nil
	}
	s, err := d.readState(ctx, source, schema, names)
	if err != nil {
		return nil, err
	}
	out := maps.Clone(known)
	if out == nil {
		out = map[string]int64{}
	}
	for _, n := range names {
		delete(out, n)
		if r := s[n]; r.exists() && r.checkKind(schema) == nil {
			out[n] = s[n].oid
		}
	}
	return out, nil
}

// like reports whether a guess was right.
func (s state) like(guess map[string]int64, names []string) bool {
	for _, n := range names {
		switch r := s[n]; {
		case r.exists() && guess[n] != r.oid, !r.exists() && guess[n] != 0:
			return false
		}
	}
	return true
}

// readState reads the tables of a schema by their names; those that do not exist are missing, but for what the bookkeeping knows:
// kind is empty then.
func (d *DB) readState(ctx context.Context, source, schema string, names []string) (state, error) {
	out := state{}
	rows, err := d.conn.Query(ctx, relationsSQL, schema, names)
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	byOID, oids := map[int64]*relation{}, []int64{}
	var r relation
	_, err = pgx.ForEachRow(rows, []any{&r.oid, &r.name, &r.kind, &r.owner, &r.owned, &r.super, &r.method, &r.uniqueID, &r.width}, func() error {
		one := r
		one.byName, one.types = map[string]int{}, map[string]table.Type{}
		out[one.name], byOID[one.oid] = &one, &one
		oids = append(oids, one.oid)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	if err := d.readColumns(ctx, byOID, oids); err != nil {
		return nil, fmt.Errorf("read the columns: %w", err)
	}
	return out, d.readKnown(ctx, out, source, schema, names)
}

func (d *DB) readColumns(ctx context.Context, byOID map[int64]*relation, oids []int64) error {
	if len(oids) == 0 {
		return nil
	}
	rows, err := d.conn.Query(ctx, columnsSQL, oids)
	if err != nil {
		return err
	}
	var of, oid int64
	var c column
	_, err = pgx.ForEachRow(rows, []any{&of, &c.name, &oid, &c.mod, &c.sqlType, &c.fixed}, func() error {
		r := byOID[of]
		one := c
		one.oid = uint32(oid)
		one.form, one.kind = formOf(one.oid)
		r.byName[one.name] = len(r.columns)
		r.columns = append(r.columns, one)
		return nil
	})
	return err
}

// readKnown adds what the bookkeeping says.
func (d *DB) readKnown(ctx context.Context, s state, source, schema string, names []string) error {
	rows, err := d.conn.Query(ctx, knownSQL, source, schema, names)
	if err != nil {
		return fmt.Errorf("read the bookkeeping: %w", err)
	}
	var name, columnName, kind string
	var adopted bool
	var through *time.Time
	_, err = pgx.ForEachRow(rows, []any{&name, &adopted, &through, &columnName, &kind}, func() error {
		r := s[name]
		if r == nil {
			r = &relation{name: name, byName: map[string]int{}, types: map[string]table.Type{}}
			s[name] = r
		}
		r.known, r.adopted = true, adopted
		if through != nil {
			r.through = *through
		}
		if columnName != "" {
			r.types[columnName], _ = table.ParseType(kind)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the bookkeeping: %w", err)
	}
	return nil
}

// exists reports whether there is such a table on the server.
func (r *relation) exists() bool { return r != nil && r.kind != "" }

// checkKind refuses what is no table.
func (r *relation) checkKind(schema string) error {
	var what, keyword string
	switch r.kind {
	case "", "r", "p":
		return nil
	case "v":
		what, keyword = "a view", "VIEW"
	case "m":
		what, keyword = "a materialized view", "MATERIALIZED VIEW"
	case "f":
		what, keyword = "a foreign table", "FOREIGN TABLE"
	case "S":
		what, keyword = "a sequence", "SEQUENCE"
	default:
		what, keyword = "a type", "TYPE"
	}
	return &ill{
		kind: warehouse.BadName, err: fmt.Errorf("%s is %s, where a table is needed", qualified(schema, r.name), what),
		hint: "give it another name: ALTER " + keyword + " " + qualified(schema, r.name) + " RENAME TO " + quote(fitName(r.name+"_old")),
	}
}
