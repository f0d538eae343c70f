package postgres

import (
	"context"
	"fmt"
	"strings"

	"firth/internal/warehouse"
)

// ForgetMirror removes rows of the past and rejects of people from the table of a mirror and from those of its arrays; rows of the present
// and those that a run has staged are counted. Runs of the mirror may be under way.
func (m *Mirrors) ForgetMirror(ctx context.Context, f warehouse.ForgetMirror) (*warehouse.ForgottenMirror, error) {
	out := &warehouse.ForgottenMirror{Forgotten: warehouse.Forgotten{Rows: map[string]int64{}}}
	err := m.turn(ctx, "forget people in", f.Table.Name, func(ctx context.Context, d *DB) error {
		w := &forgetting{db: d, step: f.Step, out: &out.Forgotten, kinds: map[string][]string{kindUser: storable(f.Values)}}
		if err := w.at("find"); err != nil {
			return err
		}
		rows, err := d.conn.Query(ctx, "SELECT DISTINCT schema_name, table_name FROM _firth.mirrors WHERE name = $1 OR left(name, length($1) + 1) = $1 || '/' ORDER BY 1, 2", f.Table.Name)
		if err != nil {
			return fmt.Errorf("read the bookkeeping of the mirror: %w", err)
		}
		var tables [][2]string
		for rows.Next() {
			var t [2]string
			if err := rows.Scan(&t[0], &t[1]); err != nil {
				rows.Close()
				return fmt.Errorf("read the bookkeeping of the mirror: %w", err)
			}
			tables = append(tables, t)
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("read the bookkeeping of the mirror: %w", err)
		}
		if err := w.at("delete"); err != nil {
			return err
		}
		for _, t := range tables {
			if err := w.mirrorTable(ctx, t[0], t[1], out); err != nil {
				return &inSchema{t[0], fmt.Errorf("table %s: %w", t[1], err)}
			}
		}
		if err := w.at("deleted"); err != nil {
			return err
		}
		return w.vacuum(ctx)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// mirrorTable removes rows of one table, and of its rejects.
func (w *forgetting) mirrorTable(ctx context.Context, schema, name string, out *warehouse.ForgottenMirror) error {
	staged, rejects := warehouse.StagePrefix+name, name+warehouse.RejectsSuffix
	s, err := w.db.readState(ctx, "", schema, []string{name, staged, rejects})
	if err != nil {
		return err
	}
	if r := s[name]; r.exists() && r.kind != "v" {
		theirs := ofTheirs(r)
		if theirs != "" && r.get(warehouse.ValidTo) != nil {
			if err := w.plain(ctx, schema, r, "("+theirs+") AND t."+quote(warehouse.ValidTo)+" IS NOT NULL"); err != nil {
				return err
			}
			theirs = "(" + theirs + ") AND t." + quote(warehouse.ValidTo) + " IS NULL"
		}
		if err := w.countTheirs(ctx, schema, r, theirs, out); err != nil {
			return err
		}
	}
	if r := s[staged]; r.exists() {
		if err := w.countTheirs(ctx, schema, r, ofTheirs(r), out); err != nil {
			return err
		}
	}
	r := s[rejects]
	if !r.exists() || r.kind == "v" {
		return nil
	}
	for _, c := range warehouse.RejectColumns() {
		if r.get(c.Name) == nil {
			return nil // somebody else's
		}
	}
	return w.plain(ctx, schema, r, ofRejects())
}

// ofTheirs is the condition that a row t is one of the people's; "" where no column could say so.
func ofTheirs(r *relation) string {
	var list []string
	for _, c := range r.columns {
		if one := ofValues(c.name, c.sqlType); one != "" {
			list = append(list, one)
		}
	}
	return strings.Join(list, " OR ")
}

func (w *forgetting) countTheirs(ctx context.Context, schema string, r *relation, theirs string, out *warehouse.ForgottenMirror) error {
	if theirs == "" {
		return nil
	}
	return w.inStages(ctx, func(ctx context.Context) error {
		var n int64
		err := w.db.conn.QueryRow(ctx, "SELECT count(*) FROM "+qualified(schema, r.name)+" AS t WHERE "+theirs).Scan(&n)
		out.Present += n
		return err
	})
}
