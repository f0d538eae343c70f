package postgres

import (
	"context"
	"fmt"
	"strings"

	"firth/internal/source"
)

// Digits tells how many digits the values of numeric columns have, in one statement that reads them once. NaN and Infinity have no scale.
func (t *Table) Digits(ctx context.Context, r source.Request) (map[string]source.Digits, error) {
	p, fields, condition, err := t.scanned(ctx, r)
	if err != nil {
		return nil, t.fail("read", err)
	}
	out := map[string]source.Digits{}
	err = t.use(ctx, func(l *link) error {
		values := make([]int64, 4*len(fields))
		places := make([]any, len(values))
		for i := range values {
			places[i] = &values[i]
		}
		if err := l.conn.QueryRow(ctx, p.digits(fields, l.version(), condition...)).Scan(places...); err != nil {
			return fmt.Errorf("count the digits: %w", err)
		}
		for i, f := range fields {
			v := values[4*i:]
			out[f.Name] = source.Digits{Whole: int(v[0]), Scale: int(v[1]), Least: int(v[2]), Others: v[3]}
		}
		return nil
	})
	if err != nil {
		return nil, t.fail("read", err)
	}
	return out, nil
}

// digits is the statement that counts digits: four numbers a column, in the order of source.Digits. The least scale has a function since
// version 13.
func (p *plan) digits(fields []field, version int, conditions ...string) string {
	list := make([]field, len(fields))
	for i, f := range fields {
		x := "(" + f.expr + ")"
		least := "pg_catalog.min_scale(" + x + ")"
		if version < 13 {
			least = "CASE WHEN pg_catalog.scale(" + x + ") > 0 THEN pg_catalog.length(pg_catalog.rtrim(pg_catalog.split_part(" + x + "::pg_catalog.text, '.', 2), '0')) ELSE 0 END"
		}
		whole := "pg_catalog.trunc(pg_catalog.max(pg_catalog.abs(" + x + ")) FILTER (WHERE pg_catalog.scale(" + x + ") IS NOT NULL))"
		list[i].expr = strings.Join([]string{
			"CASE WHEN " + whole + " > 0 THEN pg_catalog.length(" + whole + "::pg_catalog.text) ELSE 0 END::pg_catalog.int8",
			"coalesce(pg_catalog.max(pg_catalog.scale(" + x + ")), 0)::pg_catalog.int8",
			"coalesce(pg_catalog.max(" + least + "), 0)::pg_catalog.int8",
			"pg_catalog.count(*) FILTER (WHERE " + x + " IS NOT NULL AND pg_catalog.scale(" + x + ") IS NULL)",
		}, ", ")
	}
	return p.selection(list, conditions...)
}
