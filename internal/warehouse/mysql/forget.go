package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Forget removes what the tables of a source have of people. Each transaction deletes a bounded number of rows of one table, with what is
// listed of them and the users or accounts that they had made, so that it may be broken off anywhere and begun again. Then the tables are
// written anew beside their readers, since InnoDB leaves what is deleted in free space of its pages; those that are large are named in a
// notice instead.
func (d *DB) Forget(ctx context.Context, f warehouse.Forget) (*warehouse.Forgotten, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &forgetting{db: d, step: f.Step, out: &warehouse.Forgotten{Rows: map[string]int64{}}}
	err := d.withSession(ctx, func(s session) error {
		w.session = s
		if err := d.settled(ctx, s); err != nil {
			return err
		}
		if err := w.begin(ctx, map[string][]string{kindUser: f.UserIDs, kindAnonymous: f.AnonymousIDs, kindRow: f.RowIDs}); err != nil {
			return err
		}
		schemas, err := w.schemas(ctx, f.Source)
		if err != nil {
			return err
		}
		for _, one := range schemas {
			if err := w.schema(ctx, one[0], one[1]); err != nil {
				return fmt.Errorf("schema %s: %w", one[1], err)
			}
		}
		if err := w.rewrite(ctx); err != nil {
			return err
		}
		return s.exec(ctx, dropForget())
	})
	if err != nil {
		return nil, d.fail("forget people in", f.Source, err)
	}
	return w.out, nil
}

// forgetting is one Forget under way.
type forgetting struct {
	db      *DB
	session session
	step    func(string) error
	out     *warehouse.Forgotten
}

func (w *forgetting) at(name string) error {
	if w.step == nil {
		return nil
	}
	return w.step(name)
}

// begin puts the ids where statements can look for them.
func (w *forgetting) begin(ctx context.Context, kinds map[string][]string) error {
	if err := w.at("find"); err != nil {
		return err
	}
	for _, statement := range createForget(w.db.server.collation) {
		if err := w.session.exec(ctx, statement); err != nil {
			return fmt.Errorf("make a table of ids: %w", err)
		}
	}
	for kind, ids := range kinds {
		for len(ids) > 0 {
			statement, n := []byte("INSERT INTO "+forgetIDs+" VALUES "), 0
			for ; n < len(ids) && (n == 0 || len(statement)+2*len(ids[n]) < w.db.server.mostBatch); n++ {
				if n > 0 {
					statement = append(statement, ',')
				}
				statement = append(statement, "('"+kind+"', "...)
				statement = append(appendLiteral(statement, ids[n]), ')')
			}
			if err := w.session.exec(ctx, string(statement)); err != nil {
				return fmt.Errorf("note the ids: %w", err)
			}
			ids = ids[n:]
		}
	}
	return nil
}

// schemas are those where tables of the source, or of its rebuild, are, each behind the key of its bookkeeping.
func (w *forgetting) schemas(ctx context.Context, source string) ([][2]string, error) {
	var out [][2]string
	err := w.session.each(ctx, "SELECT DISTINCT source, schema_name FROM `_firth`.`tables` WHERE source = ? OR LEFT(source, CHAR_LENGTH(?) + 1) = CONCAT(?, '#') ORDER BY 1, 2",
		[]any{source, source, source}, func(rows *sql.Rows) error {
			var one [2]string
			err := rows.Scan(&one[0], &one[1])
			out = append(out, one)
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("read the tables: %w", err)
	}
	return out, nil
}

// schema removes rows of all tables of a schema.
func (w *forgetting) schema(ctx context.Context, source, schema string) error {
	if err := w.at("delete"); err != nil {
		return err
	}
	all, err := w.db.readSchema(ctx, w.session, source, schema)
	if err != nil {
		return err
	}
	var names []string
	for key, r := range all {
		if r.known && r.exists && !r.view {
			names = append(names, key)
		}
	}
	sort.Strings(names)
	for _, key := range names {
		r := all[key]
		switch strings.ToLower(r.name) {
		case "accounts":
		case "users":
			if r.find("id") != nil {
				err = w.plain(ctx, schema, r.name, isOf("id", kindUser))
			}
		case warehouse.Discards:
			err = errors.Join(w.plain(ctx, schema, r.name, isOf("row_id", kindUser, kindAnonymous, kindRow)), w.plain(ctx, schema, r.name, isOf("value", kindUser, kindAnonymous)))
		default:
			err = w.calls(ctx, source, schema, r, all)
		}
		if err != nil {
			return fmt.Errorf("delete from %s: %w", r.name, err)
		}
	}
	delete(w.db.known, source+"\x00"+schema)
	return w.at("deleted")
}

// removed counts rows of a table, and writes down that its file is to be written anew, in the transaction that deletes them.
func (w *forgetting) removed(ctx context.Context, schema, name string, n int64) error {
	if n <= 0 {
		return nil
	}
	w.out.Rows[schema+"."+name] += n
	return w.session.exec(ctx, "INSERT IGNORE INTO "+forgetTables+" VALUES (?, ?)", schema, name)
}

// plain deletes rows of which nothing follows.
func (w *forgetting) plain(ctx context.Context, schema, name, condition string) error {
	for more := true; more; {
		err := w.session.inTx(ctx, func() error {
			n, err := w.session.count(ctx, deleteSome(qualified(schema, name), condition))
			more = n == forgetAtOnce
			return errors.Join(err, w.removed(ctx, schema, name, n))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// calls deletes rows of calls, with their discards and what they had made.
func (w *forgetting) calls(ctx context.Context, source, schema string, r *relation, all tables) error {
	for _, condition := range ofCalls(r) {
		for more := r.find("id") != nil; more; {
			err := w.session.inTx(ctx, func() (err error) {
				more, err = w.some(ctx, source, schema, r, all, condition)
				return err
			})
			if err != nil {
				return err
			}
		}
		if err := w.plain(ctx, schema, r.name, condition); err != nil { // rows without an id
			return err
		}
	}
	return nil
}

// some deletes the rows of some ids.
func (w *forgetting) some(ctx context.Context, source, schema string, r *relation, all tables, condition string) (more bool, err error) {
	target := qualified(schema, r.name)
	for _, t := range []string{forgetRows, forgetKeys} {
		if err := w.session.exec(ctx, deleteWhere(t, "true")); err != nil {
			return false, err
		}
	}
	found, err := w.session.count(ctx, collectRows(target, condition))
	if err != nil || found == 0 {
		return false, err
	}
	made, key := w.made(r, all)
	if made != nil {
		of := condition
		if strings.EqualFold(made.name, "accounts") {
			of = isOf("id", kindRow)
		}
		if err := w.session.exec(ctx, collectKeys(target, key, of)); err != nil {
			return false, fmt.Errorf("look for what they had made: %w", err)
		}
	}
	n, err := w.session.count(ctx, deleteWhere(target, condition+" AND "+ofNoted()))
	if err := errors.Join(err, w.removed(ctx, schema, r.name, n)); err != nil {
		return false, err
	}
	if d := all[w.db.key(warehouse.Discards)]; d != nil && d.exists && d.known {
		n, err := w.session.count(ctx, deleteWhere(qualified(schema, d.name), bytesOf("row_id")+" IN (SELECT r.id FROM "+forgetRows+" r)"))
		if err := errors.Join(err, w.removed(ctx, schema, d.name, n)); err != nil {
			return false, err
		}
	}
	if made != nil {
		if err := w.anew(ctx, source, schema, r, made, key, all); err != nil {
			return false, fmt.Errorf("work out %s anew: %w", made.name, err)
		}
	}
	return true, nil
}

// made is the table of which rows follow from the calls of r, and the column of r that names them; nil: there is none.
func (w *forgetting) made(r *relation, all tables) (made *relation, key string) {
	for _, name := range []string{"users", "accounts"} {
		from, _ := originOf(name)
		one := all[w.db.key(name)]
		if one != nil && one.exists && !one.view && one.known && one.find("id") != nil && strings.EqualFold(from.table, r.name) && r.find(from.id) != nil && r.find("received_at") != nil {
			return one, from.id
		}
	}
	return nil, ""
}

// anew computes the noted users or accounts from the calls that are left.
func (w *forgetting) anew(ctx context.Context, source, schema string, from, made *relation, key string, all tables) error {
	target, origin := qualified(schema, made.name), qualified(schema, from.name)
	if !made.adopted { // rows of before a take-over may come from calls that are not in the table
		n, err := w.session.count(ctx, "DELETE t FROM "+target+" t WHERE "+ofOrphans(origin, key))
		if err := errors.Join(err, w.removed(ctx, schema, made.name, n)); err != nil {
			return err
		}
		if c := made.find("received_at"); c != nil && c.nullable && !c.computed {
			if err := w.session.exec(ctx, "UPDATE "+target+" t SET t.received_at = NULL WHERE "+ofKeys()); err != nil {
				return err
			}
		}
	}
	batch := &table.Batch{Name: made.name, Columns: []table.Column{{Name: made.find("id").name, Type: table.String}}}
	err := w.session.each(ctx, "SELECT CONVERT(k.id USING utf8mb4) FROM "+forgetKeys+" k JOIN "+target+" t ON "+bytesOf("t.id")+" = k.id", nil, func(rows *sql.Rows) error {
		var id string
		err := rows.Scan(&id)
		batch.Rows = append(batch.Rows, table.Row{Cells: []table.Cell{{Value: table.Text(id)}}})
		return err
	})
	if err != nil || len(batch.Rows) == 0 {
		return err
	}
	l := &loading{
		db: w.db, session: w.session, batch: &warehouse.Batch{Source: source, Schema: schema}, now: w.db.now().UTC().Truncate(time.Microsecond), tables: all,
		stuck: map[*column]bool{}, result: &warehouse.Result{Rows: map[string]int64{}},
	}
	if err := l.planAnew(ctx, batch); err != nil {
		return err
	}
	for _, do := range l.work {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return w.removed(ctx, schema, made.name, 0)
}

// rewriteMost is the largest table, in bytes, that is written anew by itself.
const rewriteMost = 1 << 30

// rewrite writes the files of tables anew that rows were deleted from, also those that an earlier call was cut off before.
func (w *forgetting) rewrite(ctx context.Context) error {
	if err := w.at("rewrite"); err != nil {
		return err
	}
	type one struct {
		schema, name string
		bytes        sql.NullInt64
	}
	var list []one
	err := w.session.each(ctx, "SELECT f.schema_name, f.table_name, t.data_length + t.index_length FROM "+forgetTables+" f LEFT JOIN information_schema.tables t "+
		"ON CONVERT(t.table_schema USING utf8mb4) = CONVERT(f.schema_name USING utf8mb4) AND CONVERT(t.table_name USING utf8mb4) = CONVERT(f.table_name USING utf8mb4) ORDER BY 1, 2", nil, func(rows *sql.Rows) error {
		var o one
		err := rows.Scan(&o.schema, &o.name, &o.bytes)
		list = append(list, o)
		return err
	})
	if err != nil {
		return fmt.Errorf("read which tables are to be written anew: %w", err)
	}
	var left []string
	for _, o := range list {
		statement := rewriteTable(qualified(o.schema, o.name))
		switch {
		case !o.bytes.Valid: // it is gone
		case o.bytes.Int64 > rewriteMost:
			left = append(left, statement)
			continue
		default:
			if err := w.session.exec(ctx, statement); err != nil {
				if number(err) == 0 || ctx.Err() != nil {
					return fmt.Errorf("write %s anew: %w", o.name, err)
				}
				left = append(left, statement)
				continue
			}
		}
		if err := w.session.exec(ctx, "DELETE FROM "+forgetTables+" WHERE schema_name = ? AND table_name = ?", o.schema, o.name); err != nil {
			return err
		}
	}
	w.out.Notices = append(w.out.Notices, leftOnServer)
	if len(left) > 0 {
		slices.Sort(left)
		w.out.Notices = append(w.out.Notices, "the rows are deleted, and bytes of them may be in free space of the tables' pages until that is used again; to write the tables anew when it suits: "+strings.Join(left, "; "))
	}
	return nil
}

// leftOnServer says where bytes of rows may be that no statement shows any more.
const leftOnServer = "bytes of the rows are in the server's undo and redo logs until these are used again, and in its binary logs, replicas' logs and backups for as long as these are kept"
