package redshift

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"firth/internal/table"
)

// column is one that a table really has.
type column struct {
	name, physical   string // physical is the type as the catalogue names it: int8, varchar, ...
	kind             table.Type
	foreign          bool // of a type that none of ours goes into: it is read as text and never written
	length           int  // of strings, in bytes
	precision, scale int  // of decimals
}

// relation is a table or a view that exists.
type relation struct {
	name, kind string // kind is r for a table
	columns    []column
	byName     map[string]int // by name in lower case
}

func (r *relation) find(name string) *column {
	if i, ok := r.byName[strings.ToLower(name)]; ok {
		return &r.columns[i]
	}
	return nil
}

// known is a table as the bookkeeping has it.
type known struct {
	columns        []table.Column
	adoptedThrough time.Time // zero: made by loads, or empty when it was taken over
	width          int       // the highest ordinal
}

// state is what one schema looks like. It is read anew for each load: whatever people did in between is seen, and a load reads some
// catalogue rows where it writes files and runs a transaction.
type state struct {
	schema    string
	exists    bool
	relations map[string]*relation // by name in lower case
	known     map[string]*known    // likewise
	order     []string             // the known ones, in the order of names
}

// maxFiltered is how many tables are asked for by name; of more, all are read.
const maxFiltered = 200

// readState reads the schema and what is known of it for the source; only the named tables, or all for nil.
func (d *DB) readState(ctx context.Context, source, schema string, names []string) (*state, error) {
	st := &state{schema: schema, relations: map[string]*relation{}, known: map[string]*known{}}
	var err error
	if st.exists, err = d.schemaExists(ctx, schema); err != nil {
		return nil, fmt.Errorf("look for the schema %s: %w", schema, err)
	}
	if err := d.readRelations(ctx, st, names); err != nil {
		return nil, fmt.Errorf("read the tables of %s: %w", schema, err)
	}
	if err := d.readKnown(ctx, st, source, names); err != nil {
		return nil, fmt.Errorf("read the catalogue of %s: %w", source, err)
	}
	return st, nil
}

// among is a condition on a column of names; it is empty where all are wanted.
func among(expr string, names []string) string {
	if names == nil || len(names) > maxFiltered {
		return ""
	}
	lower := make([]string, len(names))
	for i, n := range names {
		lower[i] = strings.ToLower(n)
	}
	return " AND lower(CAST(" + expr + " AS varchar(256))) IN (" + literals(lower) + ")"
}

func (d *DB) readRelations(ctx context.Context, st *state, names []string) error {
	r, err := d.exec(ctx, strings.NewReplacer("{{schema}}", literal(st.schema), "{{tables}}", among("c.relname", names)).Replace(columnsSQL))
	if err != nil {
		return err
	}
	for _, row := range r.rows {
		name := row[0].String
		rel := st.relations[strings.ToLower(name)]
		if rel == nil {
			rel = &relation{name: name, kind: row[1].String, byName: map[string]int{}}
			st.relations[strings.ToLower(name)] = rel
		}
		modifier, err := strconv.Atoi(row[4].String)
		if err != nil {
			return fmt.Errorf("type of column %s.%s: %w", name, row[2].String, err)
		}
		rel.byName[strings.ToLower(row[2].String)] = len(rel.columns)
		rel.columns = append(rel.columns, columnOf(row[2].String, row[3].String, modifier))
	}
	return nil
}

// columnOf reads a type of the server's catalogue and its modifier.
func columnOf(name, physical string, modifier int) column {
	c := column{name: name, physical: physical}
	switch physical {
	case "bool":
		c.kind = table.Boolean
	case "int2", "int4", "int8":
		c.kind = table.Integer
	case "float4", "float8":
		c.kind = table.Float
	case "numeric":
		c.kind = table.Float
		if modifier > 4 {
			c.precision, c.scale = (modifier-4)>>16, (modifier-4)&0xffff
		}
	case "timestamp", "timestamptz":
		c.kind = table.Timestamp
	case "varchar", "bpchar", "text":
		c.kind, c.length = table.String, longest
		if modifier > 4 && physical != "text" {
			c.length = modifier - 4
		}
	default:
		c.kind, c.foreign = table.String, true
	}
	return c
}

func (d *DB) readKnown(ctx context.Context, st *state, source string, names []string) error {
	where := " WHERE source = " + literal(source) + " AND schema_name = " + literal(st.schema) + among("table_name", names)
	r, err := d.exec(ctx, "SELECT table_name, adopted_through FROM _firth.tables"+where+" ORDER BY table_name")
	if err != nil {
		return err
	}
	for _, row := range r.rows {
		k := &known{}
		if row[1].Valid {
			if k.adoptedThrough, err = parseTime(row[1].String); err != nil {
				return err
			}
		}
		st.known[strings.ToLower(row[0].String)] = k
		st.order = append(st.order, row[0].String)
	}
	if r, err = d.exec(ctx, "SELECT table_name, column_name, type, path, ordinal FROM _firth.columns"+where+" ORDER BY table_name, ordinal"); err != nil {
		return err
	}
	for _, row := range r.rows {
		k := st.known[strings.ToLower(row[0].String)]
		if k == nil {
			continue
		}
		kind, ok := table.ParseType(row[2].String)
		if !ok {
			return fmt.Errorf("table %s, column %s: unknown type %q", row[0].String, row[1].String, row[2].String)
		}
		if k.width, err = strconv.Atoi(row[4].String); err != nil {
			return fmt.Errorf("table %s, column %s: %w", row[0].String, row[1].String, err)
		}
		k.columns = append(k.columns, table.Column{Name: row[1].String, Type: kind, Path: row[3].String})
	}
	return nil
}
