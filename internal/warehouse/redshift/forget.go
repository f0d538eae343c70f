package redshift

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Forget removes what the tables of a source have of people, a transaction a table, each with what is listed of its rows and the users or
// accounts that they had made; so it may be broken off anywhere and begun again. Then the tables are vacuumed.
func (d *DB) Forget(ctx context.Context, f warehouse.Forget) (*warehouse.Forgotten, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &forgetting{db: d, step: f.Step, now: d.options.Now().UTC().Truncate(time.Microsecond), out: &warehouse.Forgotten{Rows: map[string]int64{}}}
	if err := w.run(ctx, &f); err != nil {
		return nil, d.fail("forget people in", f.Source, err)
	}
	return w.out, nil
}

// forgetting is one Forget under way.
type forgetting struct {
	db      *DB
	step    func(string) error
	now     time.Time
	out     *warehouse.Forgotten
	touched []string // tables that rows may have been deleted from, quoted
}

func (w *forgetting) at(name string) error {
	if w.step == nil {
		return nil
	}
	return w.step(name)
}

func (w *forgetting) run(ctx context.Context, f *warehouse.Forget) error {
	if err := w.at("find"); err != nil {
		return err
	}
	if err := w.db.connected(ctx); err != nil {
		return err
	}
	if err := w.note(ctx, f); err != nil {
		return fmt.Errorf("note the ids: %w", err)
	}
	r, err := w.db.exec(ctx, "SELECT DISTINCT source, schema_name FROM _firth.tables WHERE source = "+literal(f.Source)+" OR source LIKE "+likeRebuild(f.Source)+" ORDER BY source, schema_name")
	if err != nil {
		return fmt.Errorf("read the tables: %w", err)
	}
	if err := w.at("delete"); err != nil {
		return err
	}
	for _, row := range r.rows {
		if err := w.schema(ctx, row[0].String, row[1].String); err != nil {
			return fmt.Errorf("schema %s: %w", row[1].String, err)
		}
	}
	if err := w.at("deleted"); err != nil {
		return err
	}
	if err := w.db.run(ctx, dropForget()); err != nil {
		return err
	}
	return w.vacuum(ctx)
}

// forgetAtOnce is how many ids a statement inserts.
const forgetAtOnce = 1000

// note puts the ids where statements can look for them. What the server cannot hold it has not.
func (w *forgetting) note(ctx context.Context, f *warehouse.Forget) error {
	if err := w.db.run(ctx, dropForget(), createForget); err != nil {
		return err
	}
	for _, one := range []struct {
		kind string
		ids  []string
	}{{kindUser, f.UserIDs}, {kindAnonymous, f.AnonymousIDs}, {kindRow, f.RowIDs}} {
		ids := slices.DeleteFunc(slices.Clone(one.ids), func(id string) bool {
			return len(id) > longest || strings.ContainsRune(id, 0) || !utf8.ValidString(id)
		})
		for part := range slices.Chunk(ids, forgetAtOnce) {
			if err := w.db.run(ctx, insertForget(one.kind, part)); err != nil {
				return err
			}
		}
	}
	return nil
}

// schema removes rows of all tables of a schema.
func (w *forgetting) schema(ctx context.Context, source, schema string) error {
	st, err := w.db.readState(ctx, source, schema, nil)
	if err != nil {
		return err
	}
	for _, name := range st.order {
		rel := st.relations[strings.ToLower(name)]
		if rel == nil || rel.kind != "r" {
			continue
		}
		conditions := ofCalls(rel)
		switch strings.ToLower(name) {
		case "accounts":
			continue
		case "users":
			conditions = ofColumns(rel, "id", kindUser)
		case warehouse.Discards:
			conditions = strings.TrimPrefix(ofColumns(rel, "row_id", kindUser, kindAnonymous, kindRow)+" OR "+ofColumns(rel, "value", kindUser, kindAnonymous), " OR ")
		}
		if conditions == "" {
			continue
		}
		if err := w.db.inTx(ctx, func() error { return w.table(ctx, st, rel, conditions) }); err != nil {
			return fmt.Errorf("delete from %s: %w", name, err)
		}
		w.touched = append(w.touched, qualified(schema, rel.name))
	}
	return nil
}

// table deletes the rows of one table and what follows from them.
func (w *forgetting) table(ctx context.Context, st *state, rel *relation, condition string) error {
	made, key, by := w.made(st, rel)
	discards := st.relations[warehouse.Discards]
	follow := rel.find("id") != nil && !strings.EqualFold(rel.name, "users") && !strings.EqualFold(rel.name, warehouse.Discards)
	if follow {
		if err := w.db.run(ctx, collect(forgetRows, st.schema, rel.name, "id", condition)); err != nil {
			return err
		}
	}
	if made != nil {
		of := condition
		if by == kindRow {
			of = ofColumns(rel, "id", kindRow)
		}
		if err := w.db.run(ctx, collect(forgetKeys, st.schema, rel.name, key, of)); err != nil {
			return err
		}
	}
	n, err := w.delete(ctx, st.schema, rel.name, condition)
	if err != nil {
		return err
	}
	if n > 0 && follow && discards != nil && st.known[warehouse.Discards] != nil {
		if _, err := w.delete(ctx, st.schema, discards.name, within("row_id", forgetRows)); err != nil {
			return err
		}
	}
	if n > 0 && made != nil {
		if err := w.anew(ctx, st, rel, made, key); err != nil {
			return fmt.Errorf("work out %s anew: %w", made.name, err)
		}
	}
	return w.db.run(ctx, dropTemp(forgetRows), dropTemp(forgetKeys))
}

// made is the table of which rows follow from the calls of rel, the column of rel that names them, and the kind of id by which they do.
func (w *forgetting) made(st *state, rel *relation) (made *relation, key, by string) {
	for _, name := range []string{"users", "accounts"} {
		from, key := history(name)
		one := st.relations[name]
		if one == nil || one.kind != "r" || st.known[name] == nil || one.find("id") == nil || !strings.EqualFold(from, rel.name) || rel.find(key) == nil || rel.find("received_at") == nil || rel.find("id") == nil {
			continue
		}
		if name == "accounts" {
			return one, key, kindRow
		}
		return one, key, ""
	}
	return nil, "", ""
}

func (w *forgetting) delete(ctx context.Context, schema, name, condition string) (int64, error) {
	r, err := w.db.exec(ctx, "DELETE FROM "+qualified(schema, name)+" WHERE "+condition)
	if err != nil {
		return 0, err
	}
	if r.affected > 0 {
		w.out.Rows[schema+"."+name] += r.affected
	}
	return r.affected, nil
}

// anew computes the noted users or accounts from the calls that are left.
func (w *forgetting) anew(ctx context.Context, st *state, from, made *relation, key string) error {
	known := st.known[strings.ToLower(made.name)]
	adopted := !known.adoptedThrough.IsZero() // rows of before may come from calls that are not in the table
	var columns []column
	var names []string
	for _, c := range known.columns {
		to, said := made.find(c.Name), from.find(c.Name)
		if to == nil || said == nil || to.foreign || said.foreign || strings.EqualFold(c.Name, "id") || strings.EqualFold(c.Name, "received_at") || isStamp(table.Column{Name: to.name, Type: to.kind}) {
			continue
		}
		if said.kind == to.kind || said.kind == table.Integer && to.kind == table.Float {
			columns, names = append(columns, *said), append(names, to.name)
		}
	}
	var stamps []string
	for _, name := range []string{warehouse.UUIDTS, warehouse.LoadedAt} {
		if c := made.find(name); c != nil && c.kind == table.Timestamp {
			stamps = append(stamps, name)
		}
	}
	if !adopted {
		if _, err := w.delete(ctx, st.schema, made.name, orphans(st.schema, from.name, key)); err != nil {
			return err
		}
	}
	const again = "firth_again"
	w.touched = append(w.touched, qualified(st.schema, made.name))
	return w.db.run(ctx, lastSaid(again, st.schema, from.name, key, forgetKeys, columns), updateAnew(st.schema, made.name, again, names, stamps, stamp(w.now), adopted), "DROP TABLE "+again)
}

// vacuum frees what deleted rows take. Where the login may not, or another vacuum is under way, the cluster does it by itself in its time.
func (w *forgetting) vacuum(ctx context.Context) error {
	slices.Sort(w.touched)
	w.touched = slices.Compact(w.touched)
	w.out.Erased = len(w.touched) == 0
	if w.out.Erased {
		return nil
	}
	if err := w.at("vacuum"); err != nil {
		return err
	}
	var left []string
	for _, t := range w.touched {
		if err := w.db.run(ctx, vacuum(t)); err != nil {
			if ctx.Err() != nil || w.db.conn == nil || w.db.conn.Closed() {
				return err
			}
			left = append(left, vacuum(t))
		}
	}
	w.out.Notices = append(w.out.Notices, leftOnServer)
	if len(left) > 0 {
		w.out.Notices = append(w.out.Notices, "not vacuumed by this login, and left to the cluster's own vacuum; by hand: "+strings.Join(left, "; "))
	}
	return nil
}

// leftOnServer says where bytes of rows may be that no statement shows any more.
const leftOnServer = "the rows are deleted and their blocks were given to the vacuum; they are in the cluster's snapshots, and the ids in its logs of statements, for as long as these are kept"
