package app

import (
	"context"
	"errors"
	"strings"

	"firth/internal/derive"
	"firth/internal/lake"
	"firth/internal/query"
	"firth/internal/warehouse/duckdb"
)

// Derived implements query.Deriver: a derived table is made of files of its source, and of its own.
func (l *lakeSQL) Derived(ctx context.Context, table string) (*query.Derivation, error) {
	for _, s := range derivedSpecs(l.tables.cfg) {
		if query.SchemaKey(s.Name) != query.SchemaKey(table) {
			continue
		}
		snap, err := l.reader.Snapshot(ctx, s.From)
		if errors.Is(err, lake.ErrNoTable) {
			return nil, query.NewError(query.CodeUnknownTable, "it is there with the first event", "the source "+s.From+" has no events yet")
		}
		if err != nil {
			return nil, l.unreachable(err)
		}
		r, err := l.tables.Reading(ctx, s.Name, snap)
		var fault *derive.Fault
		if errors.As(err, &fault) {
			return nil, query.NewError(query.CodeFailed, fault.Hint, "the derived table "+s.Name+": "+fault.Text)
		}
		if err != nil {
			return nil, l.unreachable(err)
		}
		return derivation(l.reader, r), nil
	}
	return nil, nil //nolint:nilnil // most tables are made of no other
}

func derivation(reader *lake.Reader, r *derive.Reading) *query.Derivation {
	d := &query.Derivation{
		Select: func(names []string) string { return r.Statement("(" + duckdb.LakeSelect(false, names) + ")") },
	}
	for _, f := range r.Events {
		d.Files = append(d.Files, query.LakeFile{Path: f.Path, URL: reader.Location(f), Day: f.Day, Rows: f.Rows, Bytes: f.Bytes})
	}
	list := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		list[i] = "TRY_CAST(CAST(range AS VARCHAR) AS " + c.Type + `) AS "` + strings.ReplaceAll(c.Name, `"`, `""`) + `"`
	}
	d.Probe = "SELECT " + strings.Join(list, ", ") + " FROM range(3)"
	return d
}
