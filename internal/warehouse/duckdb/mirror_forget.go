package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"firth/internal/warehouse"
)

// ForgetMirror removes rows of the past and rejects of people from the table of a mirror and from those of its arrays. Rows of the
// present are counted, those of a table with history that are not closed and all of one without. It takes turns with the runs of mirrors
// statement by statement: what a run has staged is counted as present. Without More the file is written anew, see Forget.
func (m *Mirrors) ForgetMirror(ctx context.Context, f warehouse.ForgetMirror) (*warehouse.ForgottenMirror, error) {
	out := &warehouse.ForgottenMirror{Forgotten: warehouse.Forgotten{Rows: map[string]int64{}}}
	err := m.locked(ctx, "forget people in", f.Table, func() error {
		w := &forgetting{db: m.db, step: f.Step, now: m.now(), out: &out.Forgotten}
		err := w.begin(ctx, map[string][]string{kindUser: f.Values})
		if err == nil {
			err = m.forget(ctx, w, f.Table, out)
		}
		if err = errors.Join(err, w.end(ctx)); err != nil || f.More {
			return err
		}
		err = m.db.erase(ctx, w.at)
		out.Erased = err == nil
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// forget removes rows from all tables of the mirror in one transaction.
func (m *Mirrors) forget(ctx context.Context, w *forgetting, t warehouse.MirrorTable, out *warehouse.ForgottenMirror) error {
	names, err := m.texts(ctx, "SELECT name FROM _firth.mirrors WHERE name = $1 OR starts_with(name, $1 || '/')", t.Name)
	if err != nil {
		return fmt.Errorf("read the bookkeeping of the mirror: %w", err)
	}
	if err := w.at("delete"); err != nil {
		return err
	}
	err = m.db.inTx(ctx, func() error {
		for _, name := range names {
			r, err := m.record(ctx, name)
			if err != nil {
				return err
			}
			if err := m.forgetTable(ctx, w, r, out); err != nil {
				return fmt.Errorf("table %s.%s: %w", r.schema, r.table, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.db.dirty = true
	return w.at("deleted")
}

// forgetTable removes rows of one table, and of its rejects.
func (m *Mirrors) forgetTable(ctx context.Context, w *forgetting, r *record, out *warehouse.ForgottenMirror) error {
	if r.columns != nil {
		theirs, history, err := m.theirs(ctx, r.schema, r.table)
		if err != nil {
			return err
		}
		if theirs != "" && history {
			if err := w.delete(ctx, r.schema, r.table, "("+theirs+") AND NOT "+present); err != nil {
				return err
			}
			theirs = "(" + theirs + ") AND " + present
		}
		if err := m.countTheirs(ctx, r.schema, r.table, theirs, out); err != nil {
			return err
		}
	}
	staged, _, err := m.theirs(ctx, r.schema, warehouse.StagePrefix+r.table)
	if err != nil {
		return err
	}
	if err := m.countTheirs(ctx, r.schema, warehouse.StagePrefix+r.table, staged, out); err != nil {
		return err
	}
	rejects, err := m.find(ctx, r.schema, r.table+warehouse.RejectsSuffix)
	if err != nil || !rejects.exists || rejects.view || !ownRejects(rejects) {
		return err
	}
	return w.delete(ctx, r.schema, r.table+warehouse.RejectsSuffix, ofRejects())
}

// ownRejects reports whether a table with the name of rejects has their columns.
func ownRejects(f *found) bool {
	for _, c := range warehouse.RejectColumns() {
		if !f.has(c.Name) {
			return false
		}
	}
	return true
}

func (m *Mirrors) countTheirs(ctx context.Context, schema, name, theirs string, out *warehouse.ForgottenMirror) error {
	if theirs == "" {
		return nil
	}
	n, err := m.count(ctx, "SELECT count(*) FROM "+qualified(schema, name)+" WHERE "+theirs)
	out.Present += n
	return err
}

// theirs is the condition that a row is one of the people's, "" where the table is not there or has no column that could say so; and
// whether the table has a history.
func (m *Mirrors) theirs(ctx context.Context, schema, name string) (condition string, history bool, err error) {
	rows, err := m.db.writer.QueryContext(ctx, "SELECT c.column_name, c.data_type FROM duckdb_columns() AS c JOIN duckdb_tables() AS t ON t.table_oid = c.table_oid AND t.database_name = c.database_name AND t.schema_name = c.schema_name "+
		"WHERE c.database_name = $1 AND lower(c.schema_name) = lower($2) AND lower(c.table_name) = lower($3) ORDER BY c.column_index", m.db.catalog, schema, name)
	if err != nil {
		return "", false, err
	}
	var list []string
	for rows.Next() {
		var column, kind string
		if err = rows.Scan(&column, &kind); err != nil {
			break
		}
		history = history || column == warehouse.ValidTo
		if c := ofValues(column, kind); c != "" {
			list = append(list, c)
		}
	}
	return strings.Join(list, " OR "), history, errors.Join(err, rows.Err(), rows.Close())
}
