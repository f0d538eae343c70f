package duckdb

import (
	"context"
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

func (m *merging) main() string { return qualified(m.t.Schema, m.t.Table) }

// key are the columns of the key.
func (m *merging) key(names []string) []pair {
	var out []pair
	for _, c := range m.columns {
		if slices.ContainsFunc(names, func(k string) bool { return strings.EqualFold(k, c.from) }) {
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

// change runs a statement and counts its rows.
func (m *merging) change(ctx context.Context, statement string) (int64, error) {
	res, err := m.m.db.writer.ExecContext(ctx, statement)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	m.changed = m.changed || n > 0
	return n, err
}

// insert adds staged rows s for which a condition holds.
func (m *merging) insert(ctx context.Context, where string) (int64, error) {
	var names, values []string
	for _, c := range m.columns {
		names, values = append(names, quote(c.name)), append(values, c.staged("s"))
	}
	extras, at := m.extras()
	for i, c := range extras {
		names, values = append(names, quote(c.Name)), append(values, at[i])
	}
	b := "INSERT INTO " + m.main() + " (" + strings.Join(names, ", ") + ") SELECT " + strings.Join(values, ", ") + " FROM " + m.qualified() + " AS s"
	if where != "" {
		b += " WHERE " + where
	}
	return m.change(ctx, b)
}

// remove takes rows t away for which a condition holds: with history they end.
func (m *merging) remove(ctx context.Context, where string) (int64, error) {
	if m.p.History {
		return m.change(ctx, "UPDATE "+m.main()+" AS t SET "+quote(warehouse.ValidTo)+" = "+instantOf(m.p.At)+" WHERE "+where)
	}
	return m.change(ctx, "DELETE FROM "+m.main()+" AS t WHERE "+where)
}

// guard fails where more rows would go than may.
func (w *publishing) guard(gone, of int64) error {
	if w.p.Allows(gone, of) {
		return nil
	}
	return &warehouse.Error{
		Op: "publish", Object: w.t.Name, Kind: warehouse.TooManyDeletes,
		Err:  fmt.Errorf("%d of %d rows would be deleted, more than max_delete allows (%.4g)", gone, of, w.p.Deletes),
		Hint: "see whether the source was read as a whole; if the rows are really gone, set max_delete: 100% for one run",
	}
}

// upsert writes by key.
func (m *merging) upsert(ctx context.Context) error {
	key := m.key(m.p.Key)
	same := sameKey(key)
	all := m.p.DeleteMissing || m.p.Mode == warehouse.PublishReplace
	if all {
		in := m.qualified()
		if m.keys && m.p.Mode == warehouse.PublishUpsert {
			in = m.keysTable()
		}
		gone := m.present("NOT EXISTS (SELECT 1 FROM " + in + " AS s WHERE " + same + ")")
		n, err := m.m.count(ctx, "SELECT count(*) FROM "+m.main()+" AS t WHERE "+gone)
		if err != nil {
			return err
		}
		if m.p.DeleteMissing && m.p.Mode == warehouse.PublishUpsert {
			of, err := m.m.count(ctx, "SELECT count(*) FROM "+m.main()+" AS t"+where(m.present("")))
			if err != nil {
				return err
			}
			if err := m.guard(n, of); err != nil {
				return err
			}
		}
		if n > 0 {
			if m.out.Deleted, err = m.remove(ctx, gone); err != nil {
				return err
			}
		}
	}
	if m.staged == 0 {
		return nil
	}
	ended, err := m.update(ctx, key)
	if err != nil {
		return err
	}
	there := "EXISTS (SELECT 1 FROM " + m.main() + " AS t WHERE " + m.present(same) + ")"
	come, err := m.insert(ctx, "NOT "+there)
	if err != nil {
		return err
	}
	m.out.Updated, m.out.Inserted = ended, come
	if m.p.History {
		m.out.Inserted -= ended
	}
	m.out.Unchanged = m.staged - m.out.Inserted - m.out.Updated
	return nil
}

func where(condition string) string {
	if condition == "" {
		return ""
	}
	return " WHERE " + condition
}

// update changes the rows that differ from the staged ones of their key; with history they end, and insert brings the new ones.
func (m *merging) update(ctx context.Context, key []pair) (int64, error) {
	var set, differ []string
	for _, c := range m.columns {
		if slices.Contains(key, c) {
			continue
		}
		set = append(set, quote(c.name)+" = "+c.staged("s"))
		differ = append(differ, differs(c.main("t"), c.staged("s"), c.as))
	}
	if len(set) == 0 {
		return 0, nil
	}
	// A column that the source has no more is NULL in rows that are written.
	for _, c := range m.record.columns {
		if !slices.ContainsFunc(m.columns, func(p pair) bool { return p.name == c.Name }) {
			set = append(set, quote(c.Name)+" = NULL")
		}
	}
	if m.p.Synced {
		set = append(set, quote(warehouse.SyncedAt)+" = "+instantOf(m.p.At))
	}
	if m.p.History {
		set = []string{quote(warehouse.ValidTo) + " = " + instantOf(m.p.At)}
	} else if err := m.clear(ctx, key); err != nil {
		return 0, err
	}
	return m.change(ctx, "UPDATE "+m.main()+" AS t SET "+strings.Join(set, ", ")+" FROM "+m.qualified()+" AS s WHERE "+
		m.present(sameKey(key)+" AND ("+strings.Join(differ, " OR ")+")"))
}

// clear puts others in the place of values that an update would leave, because the engine has them for equal to the new ones.
func (m *merging) clear(ctx context.Context, key []pair) error {
	var set, differ []string
	for _, c := range m.columns {
		if !slices.Contains(key, c) && loose(c.as) {
			set = append(set, fmt.Sprintf("%s = CASE WHEN %s THEN %s ELSE %s END", quote(c.name), alike(c.main("t"), c.staged("s"), c.as), another(c.main("t"), c.as), c.main("t")))
			differ = append(differ, "("+alike(c.main("t"), c.staged("s"), c.as)+")")
		}
	}
	if len(set) == 0 {
		return nil
	}
	_, err := m.change(ctx, "UPDATE "+m.main()+" AS t SET "+strings.Join(set, ", ")+" FROM "+m.qualified()+" AS s WHERE "+
		m.present(sameKey(key)+" AND ("+strings.Join(differ, " OR ")+")"))
	return err
}

// behind is the condition on t that a row is among those that an append may bring again.
func (m *merging) behind() string {
	for _, c := range m.columns {
		if strings.EqualFold(c.from, m.p.Cursor) && m.p.From.Kind != vector.Null && (c.as.Kind != vector.Decimal || bounded(c.as)) {
			return m.present(c.main("t") + " >= " + literalOf(m.p.From))
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
	m.out.Inserted, err = m.insert(ctx, "NOT EXISTS (SELECT 1 FROM "+m.main()+" AS t WHERE "+same+")")
	m.out.Unchanged = m.staged - m.out.Inserted
	return err
}

// sides are the rows of the table for which a condition holds and the staged ones, numbered.
func (m *merging) sides(of string) (table, stage string) {
	table = numbered(m.main(), m.columns, func(c pair) string { return c.main("t") }, of)
	return table, numbered(m.qualified(), m.columns, func(c pair) string { return c.staged("t") }, "")
}

// appendRows adds the rows that are not there as often.
func (m *merging) appendRows(ctx context.Context) (err error) {
	if m.staged == 0 {
		return nil
	}
	table, stage := m.sides(m.behind())
	m.out.Inserted, err = m.insert(ctx, "s.rowid IN (SELECT r FROM "+unmatched(stage, table, len(m.columns))+")")
	m.out.Unchanged = m.staged - m.out.Inserted
	return err
}

// compare brings the table to the staged rows, compared as a whole.
func (m *merging) compare(ctx context.Context) (err error) {
	table, stage := m.sides(m.present(""))
	if m.out.Deleted, err = m.remove(ctx, "t.rowid IN (SELECT r FROM "+unmatched(table, stage, len(m.columns))+")"); err != nil {
		return err
	}
	m.out.Inserted, err = m.insert(ctx, "s.rowid IN (SELECT r FROM "+unmatched(stage, table, len(m.columns))+")")
	m.out.Unchanged = m.staged - m.out.Inserted
	return err
}

// idColumn is the one that groups go by.
const idColumn = "id"

// groups brings the rows of the ids that were asked for to the staged ones.
func (m *merging) groups(ctx context.Context) error {
	key := m.key([]string{idColumn})
	if len(key) == 0 || m.p.Asked == nil {
		return &warehouse.Error{Op: "publish", Object: m.t.Name, Kind: warehouse.NoKey, Err: fmt.Errorf("the rows have no column id"), Hint: "let get give each row its id"}
	}
	asked, err := m.asked(ctx)
	if err != nil {
		return err
	}
	id := key[0]
	of := m.present("t." + quote(id.name) + "::VARCHAR IN (SELECT id::VARCHAR FROM " + asked + ")")
	if mirrorType(m.p.Asked.Type) == mirrorType(id.as) {
		of = m.present("t." + quote(id.name) + " IN (SELECT id FROM " + asked + ")")
	}
	table, stage := m.sides(of)
	gone, come := unmatched(table, stage, len(m.columns)), unmatched(stage, table, len(m.columns))
	at := slices.Index(m.columns, id)
	var updated, deleted, inserted int64
	err = m.m.db.writer.QueryRowContext(ctx, fmt.Sprintf("SELECT coalesce(sum(least(d, i)), 0)::BIGINT, coalesce(sum(d - least(d, i)), 0)::BIGINT, coalesce(sum(i - least(d, i)), 0)::BIGINT FROM "+
		"(SELECT count(*) FILTER (WHERE w = 0) AS d, count(*) FILTER (WHERE w = 1) AS i FROM (SELECT c%[1]d AS id, 0 AS w FROM %[2]s UNION ALL SELECT c%[1]d, 1 FROM %[3]s) GROUP BY id)", at, gone, come)).
		Scan(&updated, &deleted, &inserted)
	if err != nil {
		return err
	}
	m.out.Updated, m.out.Deleted, m.out.Inserted, m.out.Unchanged = updated, deleted, inserted, m.staged-updated-inserted
	if updated+deleted > 0 {
		if _, err := m.remove(ctx, "t.rowid IN (SELECT r FROM "+gone+")"); err != nil {
			return err
		}
	}
	if updated+inserted > 0 {
		if _, err := m.insert(ctx, "s.rowid IN (SELECT r FROM "+come+")"); err != nil {
			return err
		}
	}
	return m.m.db.exec(ctx, "DROP TABLE "+asked)
}

// asked makes a table of the ids that were asked for, for as long as the transaction lasts.
func (m *merging) asked(ctx context.Context) (string, error) {
	name := "_firth_asked_" + m.t.Table
	if err := m.m.db.exec(ctx, createMirror(m.t.Schema, name, []vector.Column{{Name: idColumn, Type: m.p.Asked.Type}})); err != nil {
		return "", err
	}
	ids, _ := fit(m.p.Asked)
	return qualified(m.t.Schema, name), m.append(ctx, name, []string{idColumn}, []fitting{ids}, m.p.Asked.Len())
}
