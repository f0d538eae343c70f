package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"firth/internal/warehouse"
)

//go:embed sql/forget_tables.sql
var forgetTablesSQL string

// Forget removes what the tables of a source have of people. Each transaction deletes a bounded number of rows of one table, with what is
// listed of them and the users or accounts that they had made, so that it may be broken off anywhere and begun again. Readers are not
// held up. Then the tables are vacuumed; what stays where nonetheless, notices say.
func (d *DB) Forget(ctx context.Context, f warehouse.Forget) (*warehouse.Forgotten, error) {
	w := &forgetting{db: d, step: f.Step, out: &warehouse.Forgotten{Rows: map[string]int64{}}, kinds: map[string][]string{
		kindUser: storable(f.UserIDs), kindAnonymous: storable(f.AnonymousIDs), kindRow: storable(f.RowIDs),
	}}
	err := d.turn(ctx, "forget people in", f.Source, swapWithin, func(ctx context.Context) error {
		schemas, err := w.tables(ctx, f.Source)
		if err != nil {
			return err
		}
		for _, s := range schemas {
			if err := w.schema(ctx, s); err != nil {
				return &inSchema{s.name, err}
			}
		}
		return w.vacuum(ctx)
	})
	if err != nil {
		return nil, err
	}
	return w.out, nil
}

// storable are the ids that the server's texts can hold; of others it has none.
func storable(ids []string) []string {
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return strings.ContainsRune(id, 0) || !utf8.ValidString(id) })
}

// forgetting is one Forget under way.
type forgetting struct {
	db      *DB
	step    func(string) error
	kinds   map[string][]string
	out     *warehouse.Forgotten
	touched []string // tables that may have dead rows, quoted
}

func (w *forgetting) at(name string) error {
	if w.step == nil {
		return nil
	}
	return w.step(name)
}

// forgottenSchema is a schema with the tables in it that a source, or its rebuild, has.
type forgottenSchema struct {
	source, name string
	tables       []string
}

func (w *forgetting) tables(ctx context.Context, source string) ([]*forgottenSchema, error) {
	if err := w.at("find"); err != nil {
		return nil, err
	}
	rows, err := w.db.conn.Query(ctx, forgetTablesSQL, source)
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	var out []*forgottenSchema
	var of, schema, name string
	var oid int64
	_, err = pgx.ForEachRow(rows, []any{&of, &schema, &name, &oid}, func() error {
		if n := len(out); n == 0 || out[n-1].source != of || out[n-1].name != schema {
			out = append(out, &forgottenSchema{source: of, name: schema})
		}
		out[len(out)-1].tables = append(out[len(out)-1].tables, name)
		return nil
	})
	return out, err
}

// schema removes rows of all tables of a schema. Calls go first, since users and accounts follow from them.
func (w *forgetting) schema(ctx context.Context, s *forgottenSchema) error {
	if err := w.at("delete"); err != nil {
		return err
	}
	state, err := w.db.readState(ctx, s.source, s.name, s.tables)
	if err != nil {
		return err
	}
	for _, name := range s.tables {
		r := state[name]
		switch name {
		case "users":
			err = w.person(ctx, s.name, r)
		case "accounts":
		case warehouse.Discards:
			err = w.plain(ctx, s.name, r, ofDiscards())
		default:
			err = w.calls(ctx, s.name, r, state)
		}
		if err != nil {
			return fmt.Errorf("delete from %s: %w", name, err)
		}
	}
	return w.at("deleted")
}

// bounded reports whether rows of the table have a place to tell them by.
func bounded(r *relation) bool { return r.kind == "r" && r.method == "heap" }

// inStages runs fn in a transaction in which the ids are staged.
func (w *forgetting) inStages(ctx context.Context, fn func(ctx context.Context) error) error {
	return w.db.inTx(ctx, func(ctx context.Context) error {
		for n, columns := range [][]string{forgetIDs: {"kind", "id"}, forgetRows: {"id"}, forgetKeys: {"id"}} {
			if _, err := w.db.conn.Exec(ctx, createStage(n, columns, []string{"text", "text"})); err != nil {
				return fmt.Errorf("stage the ids: %w", err)
			}
		}
		for kind, ids := range w.kinds {
			if len(ids) == 0 {
				continue
			}
			if _, err := w.db.conn.Exec(ctx, "INSERT INTO "+stage(forgetIDs)+" SELECT $1::text, unnest($2::text[])", kind, ids); err != nil {
				return fmt.Errorf("stage the ids: %w", err)
			}
		}
		if _, err := w.db.conn.Exec(ctx, "ANALYZE "+stage(forgetIDs)); err != nil {
			return fmt.Errorf("stage the ids: %w", err)
		}
		return fn(ctx)
	})
}

// plain deletes rows of which nothing follows.
func (w *forgetting) plain(ctx context.Context, schema string, r *relation, condition string) error {
	target := qualified(schema, r.name)
	for more := true; more; {
		err := w.inStages(ctx, func(ctx context.Context) error {
			n, err := w.db.count(ctx, deleteTheirs(target, condition, bounded(r), "", ""))
			w.removed(schema, r.name, n)
			more = n == forgetAtOnce
			return err
		})
		if err != nil {
			return err
		}
	}
	w.touched = append(w.touched, target)
	return nil
}

// person deletes rows of users.
func (w *forgetting) person(ctx context.Context, schema string, r *relation) error {
	if r.get("id") == nil || len(w.kinds[kindUser]) == 0 {
		return nil
	}
	return w.plain(ctx, schema, r, isOf("t."+quote("id")+"::text", kindUser))
}

// calls deletes rows of calls, with their discards and what they had made.
func (w *forgetting) calls(ctx context.Context, schema string, r *relation, s state) error {
	condition := ofCalls(func(column string) bool { return r.get(column) != nil })
	if condition == "" {
		return nil
	}
	rowID, key, made := "NULL::text", "", (*relation)(nil)
	if r.get("id") != nil {
		rowID = "t." + quote("id") + "::text"
	}
	for name, one := range s {
		origin, by := origins(name)
		if origin != r.name || r.get(by) == nil || !one.exists() || one.get("id") == nil || r.get("id") == nil || r.get("received_at") == nil {
			continue
		}
		made, key = one, "t."+quote(by)+"::text"
		if name == "accounts" {
			key = "CASE WHEN " + isOf(rowID, kindRow) + " THEN " + key + " END"
		}
	}
	target := qualified(schema, r.name)
	for more := true; more; {
		err := w.inStages(ctx, func(ctx context.Context) error {
			n, err := w.db.count(ctx, deleteTheirs(target, condition, bounded(r), rowID, key))
			if err != nil || n == 0 {
				more = false
				return err
			}
			w.removed(schema, r.name, n)
			more = n == forgetAtOnce
			if d := s[warehouse.Discards]; d.exists() {
				gone, err := w.db.count(ctx, deleteTheirDiscards(schema))
				if err != nil {
					return err
				}
				w.removed(schema, warehouse.Discards, gone)
			}
			if made == nil {
				return nil
			}
			return w.anew(ctx, schema, r, made)
		})
		if err != nil {
			return err
		}
	}
	w.touched = append(w.touched, target)
	return nil
}

// anew computes the users or accounts in the stage of keys from the calls that are left.
func (w *forgetting) anew(ctx context.Context, schema string, from, made *relation) error {
	_, by := origins(made.name)
	target, origin := qualified(schema, made.name), qualified(schema, from.name)
	columns, casts := shared(made, from, by)
	query := recomputeStaged(origin, stage(forgetKeys), by, columns, casts)
	statement := updateAnew(target, query, columns, stampsOf(made))
	if made.adopted {
		// Rows of before the take-over may come from calls that are not in the table.
		statement = updateRecomputed(target, query, columns, stampsOf(made), false)
	} else {
		n, err := w.db.count(ctx, deleteOrphans(target, origin, by))
		if err != nil {
			return fmt.Errorf("delete from %s: %w", made.name, err)
		}
		w.removed(schema, made.name, n)
	}
	if _, err := w.db.conn.Exec(ctx, statement, w.db.now()); err != nil {
		return fmt.Errorf("work out %s anew: %w", made.name, err)
	}
	w.touched = append(w.touched, target)
	return nil
}

func (w *forgetting) removed(schema, name string, n int64) {
	if n > 0 {
		w.out.Rows[schema+"."+name] += n
	}
}

// vacuum frees what deleted rows take, and makes the statistics anew, which hold frequent values. It holds nobody up. Where it cannot be
// done the server does it by itself in its time.
func (w *forgetting) vacuum(ctx context.Context) error {
	slices.Sort(w.touched)
	w.touched = slices.Compact(w.touched)
	if len(w.touched) == 0 {
		w.out.Erased = true // there is nothing that could have been theirs
		return nil
	}
	if err := w.at("vacuum"); err != nil {
		return err
	}
	var failed, changed []string
	for _, t := range w.touched {
		if _, err := w.db.conn.Exec(ctx, "VACUUM (ANALYZE) "+t); err != nil {
			if ctx.Err() != nil || w.db.conn.IsClosed() {
				return errors.Join(err, ctx.Err())
			}
			failed = append(failed, t)
		}
	}
	for name := range w.out.Rows {
		schema, table, _ := strings.Cut(name, ".")
		changed = append(changed, "VACUUM FULL "+qualified(schema, table))
	}
	slices.Sort(changed)
	if len(failed) > 0 {
		w.out.Notices = append(w.out.Notices, "not vacuumed by this login, and left to the server's own vacuum: "+strings.Join(failed, ", "))
	}
	w.out.Notices = append(w.out.Notices, leftOnServer)
	if len(changed) > 0 {
		w.out.Notices = append(w.out.Notices, "to write the tables anew at once, which holds up their readers meanwhile: "+strings.Join(changed, "; "))
	}
	return nil
}

// leftOnServer says where bytes of rows may be that no statement shows any more.
const leftOnServer = "the rows are deleted and vacuumed; their bytes may be in free space of the tables' pages until that is used again, " +
	"and are in the server's write-ahead log, replicas' logs and backups for as long as these are kept"
