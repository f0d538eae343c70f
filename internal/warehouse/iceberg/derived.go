package iceberg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/derive"
	"firth/internal/disk"
	"firth/internal/warehouse/duckdb"
)

// DerivedSchema is the namespace of the tables that statements make of events.
const DerivedSchema = "derived"

// Derived are the tables of [DerivedSchema]. Each is replaced as a whole, by one caller at a time; it is a derive.Store.
type Derived struct{ db *DB }

// Derived are the tables that statements make of events.
func (d *DB) Derived() *Derived { return &Derived{d} }

// Bench implements derive.Store.
func (s *Derived) Bench(ctx context.Context, fn func(e derive.Engine) error) error {
	return s.db.inWorkshop(ctx, func(w *duckdb.Workshop) error { return fn(w) })
}

// Properties implements derive.Store.
func (s *Derived) Properties(ctx context.Context, name string) (map[string]string, error) {
	t, err := s.find(ctx, name)
	if err != nil || t == nil {
		return nil, err
	}
	return t.props, nil
}

// find is a table; nil: there is none. A schema is not made by asking.
func (s *Derived) find(ctx context.Context, name string) (*tbl, error) {
	there, err := s.there(ctx)
	if err != nil || !there {
		return nil, err
	}
	t, err := s.db.load(ctx, DerivedSchema, name)
	if errors.Is(err, errNoTable) {
		return nil, nil //nolint:nilnil // no table is an answer
	}
	if err != nil {
		return nil, s.db.fail("read", DerivedSchema+"."+name, err)
	}
	return t, nil
}

func (s *Derived) there(ctx context.Context) (bool, error) {
	all, err := s.db.schemas(ctx)
	if err != nil {
		return false, s.db.fail("list", DerivedSchema, err)
	}
	return slices.Contains(all, DerivedSchema), nil
}

// Files implements derive.Store.
func (s *Derived) Files(ctx context.Context, name string) (local []string, release func(), err error) {
	t, err := s.find(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	var paths []string
	if t != nil {
		for _, f := range t.files {
			paths = append(paths, f.path)
		}
	}
	if local, release, err = disk.Fetch(ctx, s.db.o.IO.FS(), paths); err != nil {
		return nil, nil, s.db.fail("read", DerivedSchema+"."+name, err)
	}
	return local, release, nil
}

// Replace implements derive.Store.
func (s *Derived) Replace(ctx context.Context, name string, columns []derive.Column, set map[string]string, erase bool,
	statement func(present map[string]string, stored string) (string, error),
) error {
	fields, err := derivedFields(columns)
	if err == nil {
		err = s.db.again(ctx, func() error {
			return s.db.inWorkshop(ctx, func(w *duckdb.Workshop) error { return s.replace(ctx, w, name, fields, set, erase, statement) })
		})
	}
	if err == nil && erase {
		err = s.sweep(ctx)
	}
	if err != nil {
		return s.db.fail("merge", DerivedSchema+"."+name, err)
	}
	return nil
}

// sweep removes at once what nothing names any more.
func (s *Derived) sweep(ctx context.Context) error {
	s.db.sweeping.Lock()
	defer s.db.sweeping.Unlock()
	return s.db.sweepNow(ctx, DerivedSchema)
}

func (s *Derived) replace(ctx context.Context, w *duckdb.Workshop, name string, fields []iceberg.NestedField, set map[string]string, erase bool,
	statement func(present map[string]string, stored string) (string, error),
) error {
	before, err := s.find(ctx, name)
	if err != nil {
		return err
	}
	var files []dataFile
	next := before
	if before != nil {
		files = before.files
	}
	if before == nil || !sameColumns(before.fields, fields) {
		if next, err = s.db.fresh(ctx, DerivedSchema, name, fields, "", nil); err != nil {
			return err
		}
		if before == nil {
			before = next
		}
	}
	err = s.fill(ctx, w, before, next, files, set, erase, statement)
	return errors.Join(err, s.db.abandon(ctx, next))
}

// fill commits the rows of the statement, which may read those of before, to next.
func (s *Derived) fill(ctx context.Context, w *duckdb.Workshop, before, next *tbl, files []dataFile, set map[string]string, erase bool,
	statement func(present map[string]string, stored string) (string, error),
) error {
	stored, err := s.db.scan(ctx, before, files)
	if err != nil {
		return err
	}
	defer stored.release()
	query, err := statement(before.props, stored.expr)
	if err != nil {
		return err
	}
	added, err := s.db.write(ctx, w, next, query)
	if err != nil {
		return err
	}
	return s.db.commit(ctx, DerivedSchema, []change{{table: next, remove: next.files, add: added, set: set, purge: erase}})
}

// Only drops the tables but those named, and leaves nothing of what they held.
func (s *Derived) Only(ctx context.Context, names []string) error {
	there, err := s.there(ctx)
	if err != nil || !there {
		return err
	}
	all, err := s.db.tables(ctx, DerivedSchema)
	if err != nil {
		return s.db.fail("list", DerivedSchema, err)
	}
	var drop []change
	for _, name := range all {
		if slices.Contains(names, name) {
			continue
		}
		t, err := s.db.load(ctx, DerivedSchema, name)
		if err != nil {
			return s.db.fail("drop", DerivedSchema+"."+name, err)
		}
		drop = append(drop, change{table: t, drop: true})
	}
	if len(drop) == 0 {
		return nil
	}
	if err = s.db.commit(ctx, DerivedSchema, drop); err == nil {
		err = s.sweep(ctx)
	}
	if err != nil {
		return s.db.fail("drop", DerivedSchema, err)
	}
	return nil
}

// Tend removes what nothing has named for the grace.
func (s *Derived) Tend(ctx context.Context) error { return s.db.Tend(ctx) }

func sameColumns(a, b []iceberg.NestedField) bool {
	return slices.EqualFunc(a, b, func(x, y iceberg.NestedField) bool { return x.Name == y.Name && x.Type.Equals(y.Type) })
}

func derivedFields(columns []derive.Column) ([]iceberg.NestedField, error) {
	out := make([]iceberg.NestedField, len(columns))
	for i, c := range columns {
		t, err := derivedType(c.Type)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.Name, err)
		}
		out[i] = iceberg.NestedField{Name: c.Name, Type: t}
	}
	return out, nil
}

// derivedType is the inverse of engineType.
func derivedType(engine string) (iceberg.Type, error) {
	for _, t := range []iceberg.Type{
		iceberg.PrimitiveTypes.Bool, iceberg.PrimitiveTypes.Int32, iceberg.PrimitiveTypes.Int64, iceberg.PrimitiveTypes.Float32, iceberg.PrimitiveTypes.Float64,
		iceberg.PrimitiveTypes.Date, iceberg.PrimitiveTypes.Timestamp, iceberg.PrimitiveTypes.TimestampTz, iceberg.PrimitiveTypes.String, iceberg.PrimitiveTypes.Binary,
	} {
		if name, err := engineType(t); err == nil && name == engine {
			return t, nil
		}
	}
	if inner, ok := strings.CutPrefix(engine, "DECIMAL("); ok {
		p, s, _ := strings.Cut(strings.TrimSuffix(inner, ")"), ",")
		precision, perr := strconv.Atoi(p)
		scale, serr := strconv.Atoi(strings.TrimSpace(s))
		if err := errors.Join(perr, serr); err != nil {
			return nil, fmt.Errorf("type %s: %w", engine, err)
		}
		return iceberg.DecimalTypeOf(precision, scale), nil
	}
	return nil, fmt.Errorf("type %s, which the tables do not have", engine)
}
