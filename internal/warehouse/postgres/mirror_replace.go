package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

//go:embed sql/mirror_obstacles.sql
var obstaclesSQL string

//go:embed sql/mirror_parts.sql
var mirrorPartsSQL string

//go:embed sql/mirror_indexes.sql
var mirrorIndexesSQL string

// replace makes the published table hold the staged rows. Where nothing but indexes hangs on the old one the staging table takes its place;
// else the rows that differ are written, so that views and foreign keys stay.
func (w *publishing) replace(ctx context.Context, f *found) error {
	obstacles, err := w.d.texts(ctx, obstaclesSQL, f.oid)
	if err != nil {
		return fmt.Errorf("look for what stands on the table: %w", err)
	}
	if len(obstacles) > 0 {
		return w.refill(ctx, f)
	}
	indexes, err := w.buildIndexes(ctx, f)
	if err != nil {
		return err
	}
	notices := len(w.out.Notices)
	return w.l.ddl(ctx, f.oid, w.t.Table, func(ctx context.Context) error {
		w.out.Notices = w.out.Notices[:notices]
		return w.swap(ctx, f, indexes)
	})
}

// tableIndex is an index of the published table, and what it is called on the staging one.
type tableIndex struct {
	name, made string
	unique     bool
	rest       string
}

// buildIndexes gives the staging table the indexes of the published one, which nobody waits for.
func (w *publishing) buildIndexes(ctx context.Context, f *found) ([]tableIndex, error) {
	rows, err := w.d.conn.Query(ctx, mirrorIndexesSQL, f.oid)
	if err != nil {
		return nil, err
	}
	var out []tableIndex
	var i tableIndex
	if _, err := pgx.ForEachRow(rows, []any{&i.name, &i.unique, &i.rest}, func() error {
		out = append(out, i)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the indexes: %w", err)
	}
	made := out[:0]
	for _, i := range out {
		i.made = fitName("_firth_new_" + i.name)
		create := "CREATE "
		if i.unique {
			create += "UNIQUE "
		}
		create += "INDEX " + quote(i.made) + " ON " + w.qualified() + i.rest
		err := w.exec(ctx, "DROP INDEX IF EXISTS "+qualified(w.t.Schema, i.made), create)
		var pg *pgconn.PgError
		switch {
		case err == nil:
			made = append(made, i)
		case errors.As(err, &pg) && (pg.Code == "42703" || pg.Code == "42704" || pg.Code == "42883" || pg.Code == "54000"):
			w.out.Notices = append(w.out.Notices, fmt.Sprintf("the index %s does not go with the columns that the table has now, and is gone: %s", i.name, pg.Message))
		case errors.As(err, &pg) && pg.Code == "23505":
			return nil, &ill{kind: warehouse.Unexpected, err: err, hint: fmt.Sprintf("the rows are not unique as the index %s asks: DROP INDEX %s", i.name, qualified(w.t.Schema, i.name))}
		default:
			return nil, err
		}
	}
	return made, nil
}

// swap puts the staging table in the place of the published one.
func (w *publishing) swap(ctx context.Context, f *found, indexes []tableIndex) error {
	_, own, err := w.look(ctx, true)
	if err != nil {
		return err
	}
	if !own {
		return errAgain
	}
	if w.out.Inserted, err = w.count(ctx, "SELECT count(*) FROM "+w.qualified()); err != nil {
		return err
	}
	if w.out.Deleted, err = w.count(ctx, "SELECT count(*) FROM "+qualified(w.t.Schema, w.t.Table)); err != nil {
		return err
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	names := make([]string, len(w.columns))
	for i, c := range w.columns {
		names[i] = c.Name
	}
	parts, err := w.d.texts(ctx, mirrorPartsSQL, f.oid, w.qualified(), names)
	if err != nil {
		return fmt.Errorf("read the grants and comments: %w", err)
	}
	if err := w.exec(ctx, parts...); err != nil {
		return err
	}
	// The state and the rejects before: from the lock on others wait.
	w.record.columns = append([]vector.Column{}, w.columns...)
	if err := w.rejects(ctx); err != nil {
		return fmt.Errorf("write to %s: %w", rejectsName(w.t.Table), err)
	}
	if err := w.children(ctx); err != nil {
		return err
	}
	w.record.state = w.p.State
	if err := w.d.saveRecord(ctx, w.t.Name, w.record); err != nil {
		return fmt.Errorf("record the state: %w", err)
	}
	statements := []string{"DROP TABLE " + qualified(w.t.Schema, w.t.Table), "ALTER TABLE " + w.qualified() + " RENAME TO " + quote(w.t.Table)}
	for _, i := range indexes {
		statements = append(statements, "ALTER INDEX "+qualified(w.t.Schema, i.made)+" RENAME TO "+quote(i.name))
	}
	if err := w.exec(ctx, statements...); err != nil {
		return err
	}
	return w.d.dropStages(ctx, w.t.Name)
}

// refill writes what differs, by the key where the rows have one that is theirs alone.
func (w *publishing) refill(ctx context.Context, f *found) error {
	if err := w.evolve(ctx, f); err != nil {
		return err
	}
	key := w.p.Key
	if len(key) == 0 {
		var err error
		if key, err = w.d.texts(ctx, "SELECT a.attname::text FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = $1::oid AND i.indisprimary", f.oid); err != nil {
			return err
		}
	}
	err := w.transact(ctx, func(ctx context.Context, own bool) error {
		if !own {
			return errAgain
		}
		staged, err := w.count(ctx, "SELECT count(*) FROM "+w.qualified())
		if err != nil {
			return err
		}
		m := &merging{publishing: w, columns: w.pairs(), staged: staged}
		unique, err := w.unique(ctx, key, staged)
		if err != nil {
			return err
		}
		if !unique {
			return m.compare(ctx)
		}
		return m.upsert(ctx, key)
	})
	if err != nil {
		return err
	}
	return w.dropColumns(ctx)
}

// unique reports whether staged rows are told apart by a key without NULLs.
func (w *publishing) unique(ctx context.Context, key []string, staged int64) (bool, error) {
	if len(key) == 0 || slices.ContainsFunc(key, func(k string) bool { return w.find(k) < 0 }) {
		return false, nil
	}
	list := strings.Join(quoteAll(key), ", ")
	n, err := w.count(ctx, "SELECT count(*) FROM (SELECT FROM "+w.qualified()+" WHERE ROW("+list+") IS NOT NULL GROUP BY "+list+") AS g")
	return n == staged, err
}

// dropColumns drops columns that the source has no more, in a table that is replaced. Where something stands on one it stays, with NULLs.
func (w *publishing) dropColumns(ctx context.Context) error {
	var gone []vector.Column
	for _, c := range w.record.columns {
		if w.find(c.Name) < 0 {
			gone = append(gone, c)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	f, err := w.d.find(ctx, w.t.Schema, w.t.Table)
	if err != nil {
		return err
	}
	for _, c := range gone {
		err := w.l.ddl(ctx, f.oid, w.t.Table, func(ctx context.Context) error {
			if err := w.exec(ctx, "ALTER TABLE "+qualified(w.t.Schema, w.t.Table)+" DROP COLUMN IF EXISTS "+quote(c.Name)); err != nil {
				return err
			}
			at := slices.IndexFunc(w.record.columns, func(have vector.Column) bool { return have.Name == c.Name })
			w.record.columns = slices.Delete(slices.Clone(w.record.columns), at, at+1)
			return w.d.saveRecord(ctx, w.t.Name, w.record)
		})
		var pg *pgconn.PgError
		if errors.As(err, &pg) && (pg.Code == "2BP01" || pg.Code == "0A000") {
			if _, err := w.d.count(ctx, "UPDATE "+qualified(w.t.Schema, w.t.Table)+" SET "+quote(c.Name)+" = NULL WHERE "+quote(c.Name)+" IS NOT NULL"); err != nil {
				return err
			}
			w.out.Notices = append(w.out.Notices, fmt.Sprintf("column %s is gone at the source; it stays, with NULLs, because something stands on it: %s", c.Name, pg.Message))
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}
