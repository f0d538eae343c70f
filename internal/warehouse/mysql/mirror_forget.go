package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"firth/internal/warehouse"
)

// ForgetMirror removes rows of the past and rejects of people from the table of a mirror and from those of its arrays; rows of the present
// and those that a run has staged are counted. Runs of the mirror may be under way.
func (m *Mirrors) ForgetMirror(ctx context.Context, f warehouse.ForgetMirror) (*warehouse.ForgottenMirror, error) {
	out := &warehouse.ForgottenMirror{Forgotten: warehouse.Forgotten{Rows: map[string]int64{}}}
	w := &forgetting{db: m.db, step: f.Step, out: &out.Forgotten}
	err := m.db.withSession(ctx, func(s session) error {
		w.session = s
		if _, err := m.settled(ctx, s, f.Table, lockSeconds); err != nil {
			return err
		}
		if err := w.begin(ctx, map[string][]string{kindUser: f.Values}); err != nil {
			return err
		}
		var tables [][2]string
		err := s.each(ctx, "SELECT DISTINCT schema_name, table_name FROM `_firth`.`mirrors` WHERE name = ? OR LEFT(name, CHAR_LENGTH(?) + 1) = CONCAT(?, '/')",
			[]any{f.Table.Name, f.Table.Name, f.Table.Name}, func(rows *sql.Rows) error {
				var t [2]string
				err := rows.Scan(&t[0], &t[1])
				tables = append(tables, t)
				return err
			})
		if err := errors.Join(err, w.at("delete")); err != nil {
			return err
		}
		for _, t := range tables {
			if err := w.mirrorTable(ctx, t[0], t[1], out); err != nil {
				return fmt.Errorf("table %s.%s: %w", t[0], t[1], err)
			}
		}
		if err := w.at("deleted"); err != nil {
			return err
		}
		if err := w.stagedRows(ctx, f.Table.Name, out); err != nil {
			return err
		}
		return errors.Join(w.rewrite(ctx), s.exec(ctx, dropForget()))
	})
	if err != nil {
		return nil, m.db.fail("forget people in", f.Table.Name, err)
	}
	return out, nil
}

// mirrorTable removes rows of one table, and of its rejects.
func (w *forgetting) mirrorTable(ctx context.Context, schema, name string, out *warehouse.ForgottenMirror) error {
	columns, err := physicals(ctx, w.session, schema, name)
	if err != nil {
		return err
	}
	_, history := columns[warehouse.ValidTo]
	for _, theirs := range ofTheirs(columns) {
		if history {
			if err := w.plain(ctx, schema, name, theirs+" AND "+quote(warehouse.ValidTo)+" IS NOT NULL"); err != nil {
				return err
			}
		}
	}
	if err := w.countTheirs(ctx, schema, name, columns, out); err != nil {
		return err
	}
	rejects := name + warehouse.RejectsSuffix
	columns, err = physicals(ctx, w.session, schema, rejects)
	if err != nil {
		return err
	}
	for _, c := range warehouse.RejectColumns() {
		if _, ok := columns[c.Name]; !ok {
			return nil // there are none, or the table is somebody else's
		}
	}
	for _, condition := range ofRejects() {
		if err := w.plain(ctx, schema, rejects, condition); err != nil {
			return err
		}
	}
	return nil
}

// ofTheirs are the conditions under which a row is one of the people's, a column each.
func ofTheirs(columns map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		if one := ofValues(name, columns[name]); one != "" && name != rowColumn {
			out = append(out, one)
		}
	}
	return out
}

// countTheirs counts rows that are of the people by any column. MySQL opens a temporary table once a statement, hence one for each column
// that notes the rows by their own key.
func (w *forgetting) countTheirs(ctx context.Context, schema, name string, columns map[string]string, out *warehouse.ForgottenMirror) error {
	list := ofTheirs(columns)
	if _, ok := columns[rowColumn]; !ok || len(list) == 0 {
		return nil
	}
	if err := w.session.exec(ctx, deleteWhere(forgetRows, "true")); err != nil {
		return err
	}
	for _, theirs := range list {
		if _, history := columns[warehouse.ValidTo]; history {
			theirs += " AND " + quote(warehouse.ValidTo) + " IS NULL"
		}
		if err := w.session.exec(ctx, "INSERT INTO "+forgetRows+" SELECT "+bytesOf(quote(rowColumn))+" FROM "+qualified(schema, name)+" WHERE "+theirs); err != nil {
			return err
		}
	}
	var n int64
	err := w.session.QueryRowContext(ctx, tagged("SELECT count(DISTINCT id) FROM "+forgetRows)).Scan(&n)
	out.Present += n
	return err
}

// stagedRows counts rows that a run has staged.
func (w *forgetting) stagedRows(ctx context.Context, name string, out *warehouse.ForgottenMirror) error {
	var schema, stage string
	err := w.session.QueryRowContext(ctx, tagged("SELECT schema_name, stage_name FROM `_firth`.`mirror_stages` WHERE name = ? AND run IS NOT NULL"), name).Scan(&schema, &stage)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for what is staged: %w", err)
	}
	columns, err := physicals(ctx, w.session, schema, stage)
	if err != nil {
		return err
	}
	return w.countTheirs(ctx, schema, stage, columns, out)
}
