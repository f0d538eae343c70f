package query

import (
	"cmp"
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed relations.sql
var relationsSQL string

// catalogAge is how long a list of tables serves before it is read again. A name that is not in it
// is looked up afresh at once.
const catalogAge = 2 * time.Second

// The catalogues beside the main database, and the schema that holds the loader's own tables.
const (
	lakeCatalog   = "lake"
	firthCatalog  = "firth"
	systemCatalog = "system"
	tempCatalog   = "temp"
	internal      = "_firth"
)

// relation is a table or view.
type relation struct {
	catalog, schema, name string
}

// relations is the engine's catalogue at one moment, by lower-case name.
type relations struct {
	main   string // the main database
	byName map[string][]relation
	made   derivedOf
	read   time.Time
}

// catalog knows which tables there are and who may read them.
type catalog struct {
	now     func() time.Time
	derived derivedOf

	mu    sync.Mutex
	known *relations
}

// permit says whether user may read all that a statement names.
func (c *catalog) permit(ctx context.Context, conn *sql.Conn, user User, w *walker) error {
	if w.metadata && user.Schemas != nil {
		return fail(CodeForbidden, "GET /api/tables lists what you may read", "%s may not list the whole catalogue", user.Name)
	}
	for _, t := range w.tables {
		name := t.name
		if user.Schemas != nil && !c.derived.mayName(user, name) {
			return fail(CodeForbidden, "you may read: "+strings.Join(user.Schemas, ", "), "you may not read %s", name)
		}
		found, all, err := c.find(ctx, conn, name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fail(CodeUnknownTable, nearest(name.String(), all.readable(user)), "there is no table %s", name)
		}
		for _, r := range found {
			if err := all.allow(user, r, name); err != nil {
				return err
			}
		}
		t.found = found
	}
	return nil
}

// mayName refuses a schema that is out of bounds whether or not it exists, so that a refusal tells nothing.
func (d derivedOf) mayName(user User, name tableName) bool {
	switch catalog, schema := lower(name.catalog), lower(name.schema); {
	case catalog == lakeCatalog, catalog == "" && schema == lakeCatalog:
		return mayRead(user, d.source(name.table))
	case schema == "", schema == "main":
		return true // find says what it is
	default:
		return mayRead(user, name.schema)
	}
}

func mayRead(user User, schema string) bool {
	return user.Schemas == nil || slices.ContainsFunc(user.Schemas, func(s string) bool { return SchemaKey(s) == SchemaKey(schema) })
}

// SchemaKey reduces a source's name and the schema made of it to the same text.
func SchemaKey(s string) string {
	return strings.Map(func(r rune) rune {
		if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r > 127 {
			return r
		}
		return '_'
	}, lower(s))
}

// find returns every relation that name may mean.
func (c *catalog) find(ctx context.Context, conn *sql.Conn, name tableName) ([]relation, *relations, error) {
	c.mu.Lock()
	known := c.known
	c.mu.Unlock()
	if known != nil && c.now().Sub(known.read) < catalogAge {
		if found := known.match(name); len(found) > 0 {
			return found, known, nil
		}
	}
	fresh, err := readRelations(ctx, conn)
	if err != nil {
		return nil, nil, err
	}
	fresh.read, fresh.made = c.now(), c.derived
	c.mu.Lock()
	c.known = fresh
	c.mu.Unlock()
	return fresh.match(name), fresh, nil
}

func readRelations(ctx context.Context, conn *sql.Conn) (out *relations, err error) {
	rows, err := conn.QueryContext(ctx, relationsSQL)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	defer func() { err = cmp.Or(err, rows.Close()) }()
	out = &relations{byName: map[string][]relation{}}
	for rows.Next() {
		var r relation
		if err := rows.Scan(&out.main, &r.catalog, &r.schema, &r.name); err != nil {
			return nil, fmt.Errorf("list tables: %w", err)
		}
		key := lower(r.name)
		if !slices.Contains(out.byName[key], r) {
			out.byName[key] = append(out.byName[key], r)
		}
	}
	return out, rows.Err()
}

// match follows the engine's rules: a name alone is looked for in the main database and among the
// system's views, "a.b" is table b of schema a or of catalogue a.
func (rs *relations) match(n tableName) []relation {
	var out []relation
	schema, catalog := lower(n.schema), lower(n.catalog)
	for _, r := range rs.byName[lower(n.table)] {
		s, c := lower(r.schema), lower(r.catalog)
		var ok bool
		switch {
		case catalog != "":
			ok = c == catalog && s == schema
		case schema != "":
			ok = s == schema && (r.catalog == rs.main || c == systemCatalog) || c == schema && s == "main"
		default:
			ok = r.catalog == rs.main && s == "main" || c == systemCatalog && (s == "main" || s == "pg_catalog") || c == tempCatalog
		}
		if ok {
			out = append(out, r)
		}
	}
	return out
}

// systemViews are the views of the system catalogue's main schema that may be read; the others tell paths and settings.
var systemViews = []string{"duckdb_columns", "duckdb_constraints", "duckdb_indexes", "duckdb_schemas", "duckdb_tables", "duckdb_types", "duckdb_views", "sqlite_master", "sqlite_schema"}

// allow says whether user may read a relation, which exists.
func (rs *relations) allow(user User, r relation, name tableName) error {
	out := fail(CodeForbidden, "", "you may not read %s", name)
	if user.Schemas != nil {
		out.Hint = "you may read: " + strings.Join(user.Schemas, ", ")
	}
	schema := lower(r.schema)
	switch lower(r.catalog) {
	case lower(rs.main):
		if strings.HasPrefix(schema, internal) || strings.HasPrefix(lower(r.name), internal+"_") {
			out.Hint = "Firth keeps its own books there; firth.runs and firth.freshness show what they say"
			return out
		}
		if mayRead(user, r.schema) {
			return nil
		}
	case lakeCatalog:
		if mayRead(user, rs.made.source(r.name)) {
			return nil
		}
	case firthCatalog:
		if mayRead(user, firthCatalog) {
			return nil
		}
	case systemCatalog:
		listed := schema == "information_schema" || schema == "pg_catalog" && lower(r.name) != "pg_settings" || schema == "main" && slices.Contains(systemViews, lower(r.name))
		if listed && user.Schemas == nil {
			return nil
		}
	}
	return out
}

// readable lists the names that user may read, for advice.
func (rs *relations) readable(user User) []string {
	var out []string
	for _, list := range rs.byName {
		for _, r := range list {
			name := rs.display(r)
			if lower(r.catalog) != systemCatalog && rs.allow(user, r, tableName{table: r.name}) == nil {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// display is the shortest name that finds a relation.
func (rs *relations) display(r relation) string {
	switch {
	case r.catalog != rs.main:
		return r.catalog + "." + r.name
	case r.schema == "main":
		return r.name
	default:
		return r.schema + "." + r.name
	}
}
