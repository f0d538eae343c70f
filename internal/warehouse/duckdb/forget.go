package duckdb

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
)

//go:embed sql/forget_tables.sql
var forgetTablesSQL string

//go:embed sql/forget_runs.sql
var forgetRunsSQL string

// Forget removes what the file has of people, from the tables that loads have made for a source and from the rows of firth.runs that
// name them, in one transaction. Then it writes the file anew, see erase, unless More is set: afterwards no byte of them is in the file.
// A process that is killed before has changed nothing on disk, or something that the next Forget completes.
func (d *DB) Forget(ctx context.Context, f warehouse.Forget) (*warehouse.Forgotten, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &forgetting{db: d, source: f.Source, step: f.Step, now: d.now().UTC().Truncate(time.Microsecond), out: &warehouse.Forgotten{Rows: map[string]int64{}}}
	err := w.begin(ctx, map[string][]string{kindUser: f.UserIDs, kindAnonymous: f.AnonymousIDs, kindRow: f.RowIDs})
	if err == nil {
		err = w.calls(ctx)
	}
	err = errors.Join(err, w.end(ctx))
	if err == nil && !f.More {
		err = d.erase(ctx, w.at)
		w.out.Erased = err == nil
	}
	if err != nil {
		return nil, d.fail("forget people in", f.Source, err)
	}
	return w.out, nil
}

// forgetting is one Forget under way. The writer's lock is held.
type forgetting struct {
	db     *DB
	source string
	step   func(string) error
	now    time.Time
	out    *warehouse.Forgotten
	ids    []string
}

// at tells that a step is about to be taken.
func (w *forgetting) at(name string) error {
	if w.step == nil {
		return nil
	}
	return w.step(name)
}

// idsAtOnce bounds how many ids go into one statement.
const idsAtOnce = 50_000

// begin puts the ids where statements can look for them.
func (w *forgetting) begin(ctx context.Context, ids map[string][]string) error {
	if err := w.at("find"); err != nil {
		return err
	}
	if err := w.db.exec(ctx, forgetTables()); err != nil {
		return fmt.Errorf("make a table of ids: %w", err)
	}
	for kind, list := range ids {
		w.ids = append(w.ids, list...)
		for part := range slices.Chunk(list, idsAtOnce) {
			text, err := json.Marshal(part)
			if err != nil {
				return err
			}
			if err := w.db.exec(ctx, addForgetIDs, kind, string(text)); err != nil {
				return fmt.Errorf("note the ids: %w", err)
			}
		}
	}
	return nil
}

// end drops the tables of ids. The context may have ended.
func (w *forgetting) end(ctx context.Context) error {
	return w.db.exec(context.WithoutCancel(ctx), dropForget())
}

// known is a table that loads have made for the source.
type known struct {
	schema, name string
	*relation
}

// isPerson tells the tables with a row an id from those with a row a call.
func (k *known) isPerson() bool {
	return strings.EqualFold(k.name, "users") || strings.EqualFold(k.name, "accounts")
}

// tables are those of the source that are there, with those of a rebuild, as they stand.
func (w *forgetting) tables(ctx context.Context) ([]*known, error) {
	rows, err := w.db.writer.QueryContext(ctx, forgetTablesSQL, w.source, w.db.catalog)
	if err != nil {
		return nil, err
	}
	var out []*known
	for rows.Next() {
		var schema, name, column, kind string
		if err = rows.Scan(&schema, &name, &column, &kind); err != nil {
			break
		}
		if len(out) == 0 || out[len(out)-1].schema != schema || out[len(out)-1].name != name {
			out = append(out, &known{schema: schema, name: name, relation: &relation{types: map[string]table.Type{}}})
		}
		last := out[len(out)-1]
		last.types[strings.ToLower(column)] = typeOf(kind)
		last.width++
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}

// calls removes rows of calls with what they had made.
func (w *forgetting) calls(ctx context.Context) error {
	list, err := w.tables(ctx)
	if err != nil {
		return fmt.Errorf("read the tables: %w", err)
	}
	for _, t := range list {
		if err := w.look(ctx, t); err != nil {
			return fmt.Errorf("look for rows in %s: %w", t.name, err)
		}
	}
	runs, err := w.runs(ctx)
	if err != nil {
		return fmt.Errorf("look through the runs: %w", err)
	}
	if err := w.at("delete"); err != nil {
		return err
	}
	err = w.db.inTx(ctx, func() error {
		for _, t := range list {
			if err := w.remove(ctx, t); err != nil {
				return fmt.Errorf("delete from %s: %w", t.name, err)
			}
		}
		for _, t := range list {
			if err := w.anew(ctx, t, list); err != nil {
				return fmt.Errorf("compute rows of %s anew: %w", t.name, err)
			}
		}
		return w.rewrite(ctx, runs)
	})
	if err != nil {
		return err
	}
	w.db.dirty = true
	return w.at("deleted")
}

// look notes the ids of the rows that go, and whom they had made. Nobody else writes meanwhile; it is not part of the transaction, since
// one writes either to the session's tables or to the file.
func (w *forgetting) look(ctx context.Context, t *known) error {
	condition := ofCalls(t.relation)
	if t.isPerson() || strings.EqualFold(t.name, warehouse.Discards) || condition == "" {
		return nil
	}
	statements := []string{}
	if _, ok := t.types["id"]; ok {
		statements = append(statements, collect(forgetRows, t.schema, t.name, textOf("id", t.relation), condition))
	}
	switch {
	case strings.EqualFold(t.name, "identifies") && hasColumn(t, "user_id"):
		statements = append(statements, collect(forgetUsers, t.schema, t.name, textOf("user_id", t.relation), condition))
	case strings.EqualFold(t.name, "groups") && hasColumn(t, "group_id"):
		statements = append(statements, collect(forgetAccounts, t.schema, t.name, textOf("group_id", t.relation), isOf(textOf("id", t.relation), kindRow)))
	}
	for _, s := range statements {
		if err := w.db.exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func hasColumn(t *known, column string) bool { _, ok := t.types[column]; return ok }

// remove deletes the rows of one table.
func (w *forgetting) remove(ctx context.Context, t *known) error {
	condition := ""
	switch {
	case strings.EqualFold(t.name, warehouse.Discards):
		condition = ofDiscards()
	case strings.EqualFold(t.name, "users"):
		condition = isOf(textOf("id", t.relation), kindUser)
	case strings.EqualFold(t.name, "accounts"):
	default:
		condition = ofCalls(t.relation)
	}
	if condition == "" {
		return nil
	}
	return w.delete(ctx, t.schema, t.name, condition)
}

func (w *forgetting) delete(ctx context.Context, schema, name, condition string) error {
	return w.counted(ctx, schema, name, deleteWhere(schema, name, condition))
}

// counted runs a statement that deletes rows.
func (w *forgetting) counted(ctx context.Context, schema, name, statement string) error {
	res, err := w.db.writer.ExecContext(ctx, statement)
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if n > 0 {
		w.out.Rows[schema+"."+name] += n
	}
	return err
}

// anew computes rows of users and accounts anew that calls which go had made.
func (w *forgetting) anew(ctx context.Context, t *known, list []*known) error {
	calls, key, touched := "identifies", "user_id", forgetUsers
	switch strings.ToLower(t.name) {
	case "users":
	case "accounts":
		calls, key, touched = "groups", "group_id", forgetAccounts
	default:
		return nil
	}
	i := slices.IndexFunc(list, func(o *known) bool { return o.schema == t.schema && strings.EqualFold(o.name, calls) })
	if i < 0 || !hasColumn(list[i], key) {
		return nil
	}
	from := list[i]
	l := &loading{db: w.db, batch: &warehouse.Batch{Source: w.source, Schema: t.schema}}
	recorded, err := l.recorded(ctx, t.name)
	if err != nil {
		return err
	}
	var columns []table.Column
	for _, c := range recorded {
		lowered := strings.ToLower(c.Name)
		if slices.Contains([]string{"id", "received_at", warehouse.UUIDTS, warehouse.LoadedAt}, lowered) || !hasColumn(from, lowered) || t.types[lowered] == table.Null {
			continue
		}
		columns = append(columns, table.Column{Name: c.Name, Type: t.types[lowered]})
	}
	statements, err := anewFrom(t.schema, t.name, touched, from.name, key, columns, w.now)
	if err != nil {
		return err
	}
	if err := w.counted(ctx, t.schema, t.name, statements[0]); err != nil {
		return err
	}
	return w.db.exec(ctx, statements[1])
}

// namelessRun is a row of the runs whose texts name somebody, without the names.
type namelessRun struct{ id, notices, err, hint string }

// runs finds the runs whose texts name somebody.
func (w *forgetting) runs(ctx context.Context) ([]namelessRun, error) {
	rows, err := w.db.writer.QueryContext(ctx, forgetRunsSQL)
	if err != nil {
		return nil, err
	}
	var out []namelessRun
	for rows.Next() {
		var r namelessRun
		if err = rows.Scan(&r.id, &r.notices, &r.err, &r.hint); err != nil {
			break
		}
		was := r
		for _, id := range w.ids {
			for _, text := range []*string{&r.notices, &r.err, &r.hint} {
				if strings.Contains(*text, id) {
					*text = warehouse.Nameless(*text, id)
				}
			}
		}
		if r != was {
			out = append(out, r)
		}
	}
	return out, errors.Join(err, rows.Err(), rows.Close())
}

// rewrite writes runs without the names.
func (w *forgetting) rewrite(ctx context.Context, runs []namelessRun) error {
	for _, r := range runs {
		if err := w.db.exec(ctx, "UPDATE _firth.runs SET notices = $2, error = $3, hint = $4 WHERE id = $1", r.id, r.notices, optional(r.err), optional(r.hint)); err != nil {
			return fmt.Errorf("write a run without names: %w", err)
		}
	}
	if len(runs) > 0 {
		w.out.Rows["_firth.runs"] += int64(len(runs))
	}
	return nil
}
