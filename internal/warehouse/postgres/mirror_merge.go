package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// merging brings a table that exists to what is staged, by writing the rows that differ.
type merging struct {
	*publishing
	columns []pair
	staged  int64
}

// merge writes the staged rows into the published table.
func (w *publishing) merge(ctx context.Context, own bool) error {
	if !own {
		return errAgain
	}
	staged, err := w.count(ctx, "SELECT count(*) FROM "+w.qualified())
	if err != nil {
		return err
	}
	if w.keyed() {
		all := staged
		if staged, err = w.uniqueKeys(ctx, w.p.Key, staged); err != nil {
			return err
		}
		if staged != all && len(w.kids) > 0 && w.p.Mode == warehouse.PublishUpsert {
			return w.twice()
		}
	}
	m := &merging{publishing: w, columns: w.pairs(), staged: staged}
	switch {
	case w.p.Mode == warehouse.PublishAppend && len(w.p.Key) > 0:
		return m.appendKeys(ctx)
	case w.p.Mode == warehouse.PublishAppend:
		return m.appendRows(ctx)
	case w.p.Mode == warehouse.PublishGroups:
		return m.groups(ctx)
	case w.keyed():
		return m.upsert(ctx, w.p.Key)
	}
	return m.compare(ctx)
}

func (m *merging) main() string { return qualified(m.t.Schema, m.t.Table) }

// key are the columns of the key.
func (m *merging) key(names []string) []pair {
	var out []pair
	for _, c := range m.columns {
		if slices.Contains(names, c.stage.Name) {
			out = append(out, c)
		}
	}
	return out
}

// present is the condition on t that a row is one of the present, with and where there are others.
func (m *merging) present(and string) string {
	var list []string
	if and != "" {
		list = append(list, and)
	}
	if m.p.History {
		list = append(list, "t."+quote(warehouse.ValidTo)+" IS NULL")
	}
	return strings.Join(list, " AND ")
}

func where(condition string) string {
	if condition == "" {
		return ""
	}
	return " WHERE " + condition
}

// insert adds staged rows s for which a condition holds.
func (m *merging) insert(ctx context.Context, condition string) (int64, error) {
	var names, values []string
	for _, c := range m.columns {
		names, values = append(names, c.main.Name), append(values, c.staged("s"))
	}
	extras, at := m.extras()
	for i, c := range extras {
		names, values = append(names, c.Name), append(values, at[i])
	}
	return m.d.count(ctx, "INSERT INTO "+m.main()+" ("+strings.Join(quoteAll(names), ", ")+") SELECT "+strings.Join(values, ", ")+" FROM "+m.qualified()+" AS s"+where(condition))
}

// remove takes rows t away for which a condition holds: with history they end.
func (m *merging) remove(ctx context.Context, condition string) (int64, error) {
	if m.p.History {
		return m.d.count(ctx, "UPDATE "+m.main()+" AS t SET "+quote(warehouse.ValidTo)+" = "+instantOf(m.p.At)+where(condition))
	}
	return m.d.count(ctx, "DELETE FROM "+m.main()+" AS t"+where(condition))
}

// guard fails where more rows would go than may.
func (w *publishing) guard(gone, of int64) error {
	if w.p.Allows(gone, of) {
		return nil
	}
	return &ill{
		kind: warehouse.TooManyDeletes, err: fmt.Errorf("%d of %d rows would be deleted, more than max_delete allows (%.4g)", gone, of, w.p.Deletes),
		hint: "see whether the source was read as a whole; if the rows are really gone, set max_delete: 100% for one run",
	}
}

// removeMissing takes away the present rows for which there is no row s in a relation; guarded says that there may be too many.
func (m *merging) removeMissing(ctx context.Context, relation, same string, guarded bool) (int64, error) {
	gone := m.present("NOT EXISTS (SELECT FROM " + relation + " AS s WHERE " + same + ")")
	if guarded && m.p.Deletes < 1 {
		n, err := m.count(ctx, "SELECT count(*) FROM "+m.main()+" AS t"+where(gone))
		if err != nil || n == 0 {
			return 0, err
		}
		of, err := m.count(ctx, "SELECT count(*) FROM "+m.main()+" AS t"+where(m.present("")))
		if err != nil {
			return 0, err
		}
		if err := m.guard(n, of); err != nil {
			return 0, err
		}
	}
	return m.remove(ctx, gone)
}

// upsert writes by key.
func (m *merging) upsert(ctx context.Context, names []string) error {
	key := m.key(names)
	same := sameKey(key)
	var err error
	if err := m.index(ctx, key); err != nil {
		return err
	}
	switch {
	case m.p.Mode == warehouse.PublishReplace:
		m.out.Deleted, err = m.removeMissing(ctx, m.qualified(), same, false)
	case m.p.DeleteMissing && m.keys:
		m.out.Deleted, err = m.removeMissing(ctx, m.keysTable(), same, true)
	case m.p.DeleteMissing:
		m.out.Deleted, err = m.removeMissing(ctx, m.qualified(), same, true)
	}
	if err != nil || m.staged == 0 {
		return err
	}
	if m.out.Updated, err = m.update(ctx, key); err != nil {
		return err
	}
	if m.out.Inserted, err = m.insert(ctx, "NOT EXISTS (SELECT FROM "+m.main()+" AS t WHERE "+m.present(same)+")"); err != nil {
		return err
	}
	if m.p.History {
		m.out.Inserted -= m.out.Updated
	}
	m.out.Unchanged = m.staged - m.out.Inserted - m.out.Updated
	return nil
}

// index makes an index on the key where there is none of ours; where the server makes none of such values it goes without.
func (m *merging) index(ctx context.Context, key []pair) error {
	name := keyIndex(m.t.Table)
	f, err := m.d.find(ctx, m.t.Schema, name)
	if err != nil || f.exists() || len(key) == 0 {
		return err
	}
	var list []string
	for _, c := range key {
		list = append(list, quote(c.main.Name))
	}
	return m.attempt(ctx, "CREATE INDEX "+quote(name)+" ON "+m.main()+" ("+strings.Join(list, ", ")+")")
}

// attempt runs a statement that may fail without harm.
func (w *publishing) attempt(ctx context.Context, statement string) error {
	if err := w.exec(ctx, "SAVEPOINT attempt"); err != nil {
		return err
	}
	if err := w.exec(ctx, statement); err != nil {
		if ctx.Err() != nil || w.d.conn.IsClosed() {
			return err
		}
		return w.exec(ctx, "ROLLBACK TO SAVEPOINT attempt")
	}
	return w.exec(ctx, "RELEASE SAVEPOINT attempt")
}

// update changes the rows that differ from the staged ones of their key; with history they end, and insert brings the new ones.
func (m *merging) update(ctx context.Context, key []pair) (int64, error) {
	var set, differ []string
	for _, c := range m.columns {
		if slices.ContainsFunc(key, func(k pair) bool { return k.main.Name == c.main.Name }) {
			continue
		}
		set = append(set, quote(c.main.Name)+" = "+c.staged("s"))
		differ = append(differ, differs(c.of("t"), c.staged("s"), c.main))
	}
	if len(set) == 0 {
		return 0, nil
	}
	// A column that the source has no more is NULL in rows that are written.
	for _, c := range m.record.columns {
		if !slices.ContainsFunc(m.columns, func(p pair) bool { return p.main.Name == c.Name }) {
			set = append(set, quote(c.Name)+" = NULL")
		}
	}
	if m.p.Synced {
		set = append(set, quote(warehouse.SyncedAt)+" = "+instantOf(m.p.At))
	}
	if m.p.History {
		set = []string{quote(warehouse.ValidTo) + " = " + instantOf(m.p.At)}
	}
	return m.d.count(ctx, "UPDATE "+m.main()+" AS t SET "+strings.Join(set, ", ")+" FROM "+m.qualified()+" AS s WHERE "+m.present(sameKey(key)+" AND ("+strings.Join(differ, " OR ")+")"))
}

// behind is the condition on t that a row is among those that an append may bring again.
func (m *merging) behind() string {
	for _, c := range m.columns {
		if c.stage.Name == m.p.Cursor && m.p.From.Kind != vector.Null {
			return m.present(c.of("t") + " >= " + literalOf(m.p.From))
		}
	}
	return m.present("")
}

// appendKeys adds the rows whose key is not there.
func (m *merging) appendKeys(ctx context.Context) (err error) {
	if m.staged == 0 {
		return nil
	}
	same := sameKey(m.key(m.p.Key))
	if b := m.behind(); b != "" {
		same += " AND " + b
	}
	m.out.Inserted, err = m.insert(ctx, "NOT EXISTS (SELECT FROM "+m.main()+" AS t WHERE "+same+")")
	m.out.Unchanged = m.staged - m.out.Inserted
	return err
}

// sides are the rows of the table for which a condition holds and the staged ones, numbered.
func (m *merging) sides(of string, group *pair) (table, stage string) {
	a, b := "NULL::text", "NULL::text"
	if group != nil {
		a, b = group.of("t"), group.staged("t")
	}
	table = numbered(m.main(), rowDigest(m.columns, func(c pair) string { return c.of("t") }), a, of)
	return table, numbered(m.qualified(), rowDigest(m.columns, func(c pair) string { return c.staged("t") }), b, "")
}

// appendRows adds the rows that are not there as often.
func (m *merging) appendRows(ctx context.Context) (err error) {
	if m.staged == 0 {
		return nil
	}
	table, stage := m.sides(m.behind(), nil)
	m.out.Inserted, err = m.insert(ctx, "s.ctid IN (SELECT u.r FROM "+unmatched(stage, table)+" AS u)")
	m.out.Unchanged = m.staged - m.out.Inserted
	return err
}

// compare brings the table to the staged rows, compared as a whole.
func (m *merging) compare(ctx context.Context) (err error) {
	table, stage := m.sides(m.present(""), nil)
	if m.out.Deleted, err = m.remove(ctx, "t.ctid IN (SELECT u.r FROM "+unmatched(table, stage)+" AS u)"); err != nil {
		return err
	}
	m.out.Inserted, err = m.insert(ctx, "s.ctid IN (SELECT u.r FROM "+unmatched(stage, table)+" AS u)")
	m.out.Unchanged = m.staged - m.out.Inserted
	return err
}

// idColumn is the one that groups go by.
const idColumn = "id"

// groups brings the rows of the ids that were asked for to the staged ones.
func (m *merging) groups(ctx context.Context) error {
	key := m.key([]string{idColumn})
	if len(key) == 0 || m.p.Asked == nil {
		return &ill{kind: warehouse.NoKey, err: errors.New("the rows have no column id"), hint: "let get give each row its id"}
	}
	if err := m.index(ctx, key); err != nil {
		return err
	}
	if err := m.asked(ctx); err != nil {
		return err
	}
	id := key[0]
	of := m.present(id.of("t") + "::text IN (SELECT id::text FROM " + askedTable + ")")
	if sqlType(m.p.Asked.Type) == mirrorType(id.main) {
		of = m.present(id.of("t") + " IN (SELECT id FROM " + askedTable + ")")
	}
	table, stage := m.sides(of, &id)
	if err := m.exec(ctx,
		"CREATE TEMPORARY TABLE firth_gone ON COMMIT DROP AS SELECT u.r, u.g FROM "+unmatched(table, stage)+" AS u",
		"CREATE TEMPORARY TABLE firth_come ON COMMIT DROP AS SELECT u.r, u.g FROM "+unmatched(stage, table)+" AS u"); err != nil {
		return err
	}
	var updated, deleted, inserted int64
	err := m.d.conn.QueryRow(ctx, "SELECT coalesce(sum(least(d, i)), 0)::bigint, coalesce(sum(d - least(d, i)), 0)::bigint, coalesce(sum(i - least(d, i)), 0)::bigint FROM "+
		"(SELECT count(*) FILTER (WHERE w = 0) AS d, count(*) FILTER (WHERE w = 1) AS i FROM (SELECT g, 0 AS w FROM pg_temp.firth_gone UNION ALL SELECT g, 1 FROM pg_temp.firth_come) AS u GROUP BY g) AS c").
		Scan(&updated, &deleted, &inserted)
	if err != nil {
		return err
	}
	m.out.Updated, m.out.Deleted, m.out.Inserted, m.out.Unchanged = updated, deleted, inserted, m.staged-updated-inserted
	if updated+deleted > 0 {
		if _, err := m.remove(ctx, "t.ctid IN (SELECT r FROM pg_temp.firth_gone)"); err != nil {
			return err
		}
	}
	if updated+inserted > 0 {
		_, err = m.insert(ctx, "s.ctid IN (SELECT r FROM pg_temp.firth_come)")
	}
	return err
}

// askedTable holds the ids that were asked for, for as long as the transaction lasts.
const askedTable = "pg_temp.firth_asked"

func (m *merging) asked(ctx context.Context) error {
	c := vector.Column{Name: idColumn, Type: m.p.Asked.Type}
	if err := m.exec(ctx, "CREATE TEMPORARY TABLE firth_asked (id "+mirrorType(c)+") ON COMMIT DROP"); err != nil {
		return err
	}
	f := fitting{v: m.p.Asked, typ: mirrorType(c)}
	m.m.limits.unfit(f.v, func(row int, _ string) { f.drop(row) })
	r := &chunkReader{values: []fitting{f}, rows: f.v.Len(), order: -1}
	_, err := m.d.conn.PgConn().CopyFrom(ctx, r, copyInto(askedTable, []string{idColumn}))
	r.end()
	if err != nil {
		return err
	}
	return m.exec(ctx, "ANALYZE "+askedTable)
}
