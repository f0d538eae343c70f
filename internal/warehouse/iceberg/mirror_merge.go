package iceberg

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// merging finds out by which rows a table differs from what is staged.
type merging struct {
	*publishing
	columns []pair
	staged  int64
}

// evolve finds the columns that the table is to have, and returns those that the stage has. The table is a relation then.
func (w *publishing) evolve(ctx context.Context) ([]pair, error) {
	w.next = slices.Clone(w.record.Columns)
	var out []pair
	for _, c := range w.columns {
		at := slices.IndexFunc(w.next, func(have vector.Column) bool { return strings.EqualFold(have.Name, c.Name) })
		if at < 0 {
			at, w.next = len(w.next), append(w.next, c)
		} else {
			to, lossless := vector.Grow(w.next[at].Type, c.Type)
			if !lossless {
				return nil, &warehouse.Error{Op: "publish", Object: w.t.Name, Kind: warehouse.Unexpected,
					Err: fmt.Errorf("column %s is %s in the warehouse and %s at the source", c.Name, w.next[at].Type, c.Type), Hint: "read it anew as a whole: firth sync " + w.t.Name + " --full"}
			}
			w.next[at].Type, w.next[at].Path, w.next[at].Source = to, c.Path, c.Source
		}
		out = append(out, pair{name: w.next[at].Name, from: c.Name, is: c.Type, as: w.next[at].Type})
	}
	files, err := w.holding(ctx)
	if err != nil {
		return nil, err
	}
	return out, w.openFiles(ctx, files)
}

// openAll makes the whole table a relation, and a table of the rows that go.
func (w *publishing) openAll(ctx context.Context) error {
	all := make([]int, len(w.main.files))
	for i := range all {
		all[i] = i
	}
	return w.openFiles(ctx, all)
}

// openFiles is openAll for files of the table, by their places: no others have rows that matter.
func (w *publishing) openFiles(ctx context.Context, files []int) error {
	if err := w.openMain(ctx, w.mainName(), w.columnsOf(), files); err != nil {
		return err
	}
	w.gone = quote(w.prefix + "gone")
	return w.exec(ctx, "CREATE TABLE "+w.gone+" (r BIGINT)")
}

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

// now is the condition on t that a row is one of the present, with and where there are others.
func (w *publishing) now(and string) string {
	var list []string
	if and != "" {
		list = append(list, and)
	}
	if w.p.History {
		list = append(list, "t."+quote(warehouse.ValidTo)+" IS NULL")
	}
	return strings.Join(list, " AND ")
}

// leave lets rows go that a query gives.
func (w *publishing) leave(ctx context.Context, rows string) (int64, error) {
	return w.shop.Change(ctx, "INSERT INTO "+w.gone+" "+rows)
}

// arrive lets staged rows come that a query gives (r).
func (w *publishing) arrive(ctx context.Context, rows string) (int64, error) {
	w.come = quote(w.prefix + "come")
	if err := w.exec(ctx, "CREATE TABLE "+w.come+" AS "+rows); err != nil {
		return 0, err
	}
	n, err := w.number(ctx, "SELECT count(*) FROM "+w.come)
	w.comes = n > 0
	return n, err
}

// guard fails where more rows would go than may.
func (w *publishing) guard(ctx context.Context, gone int64) error {
	of, err := w.number(ctx, "SELECT count(*) FROM "+w.mainName()+" AS t"+whereOf(w.now("")))
	if err != nil || w.p.Allows(gone, of) {
		return err
	}
	return &warehouse.Error{
		Op: "publish", Object: w.t.Name, Kind: warehouse.TooManyDeletes,
		Err:  fmt.Errorf("%d of %d rows would be deleted, more than max_delete allows (%.4g)", gone, of, w.p.Deletes),
		Hint: "see whether the source was read as a whole; if the rows are really gone, set max_delete: 100% for one run",
	}
}

// upsert writes by key.
func (m *merging) upsert(ctx context.Context) error {
	same := sameKey(m.key(m.p.Key))
	if m.p.DeleteMissing || m.p.Mode == warehouse.PublishReplace {
		in := m.stage
		if m.keysOf != "" {
			in = m.keysOf
		}
		n, err := m.leave(ctx, "SELECT t."+rowColumn+" FROM "+m.mainName()+" AS t WHERE "+m.now("NOT EXISTS (SELECT 1 FROM "+in+" AS s WHERE "+same+")"))
		if err == nil && m.p.DeleteMissing && m.p.Mode == warehouse.PublishUpsert {
			err = m.guard(ctx, n)
		}
		if err != nil {
			return err
		}
		m.out.Deleted = n
	}
	if m.staged == 0 {
		return nil
	}
	differ := []string{"t." + rowColumn + " IS NULL"}
	for _, c := range m.columns {
		if !slices.Contains(m.key(m.p.Key), c) {
			differ = append(differ, differs(c.main("t"), c.staged("s"), c.as))
		}
	}
	changed := quote(m.prefix + "changed")
	err := m.exec(ctx, "CREATE TABLE "+changed+" AS SELECT s."+rowColumn+" AS r, t."+rowColumn+" AS was FROM "+m.stage+" AS s LEFT JOIN (SELECT * FROM "+m.mainName()+" AS t"+
		whereOf(m.now(""))+") AS t ON "+same+" WHERE "+strings.Join(differ, " OR "))
	if err != nil {
		return err
	}
	if m.out.Updated, err = m.leave(ctx, "SELECT was FROM "+changed+" WHERE was IS NOT NULL"); err != nil {
		return err
	}
	n, err := m.arrive(ctx, "SELECT DISTINCT r FROM "+changed)
	m.out.Inserted = max(n-m.out.Updated, 0)
	m.out.Unchanged = m.staged - n
	return err
}

// behind is the condition on t that a row is among those that an append may bring again.
func (m *merging) behind() string {
	for _, c := range m.columns {
		if strings.EqualFold(c.from, m.p.Cursor) && m.p.From.Kind != vector.Null && ordered(c.as) {
			return m.now(c.main("t") + " >= " + valueOf(m.p.From, c.as))
		}
	}
	return m.now("")
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
	m.out.Inserted, err = m.arrive(ctx, "SELECT s."+rowColumn+" AS r FROM "+m.stage+" AS s WHERE NOT EXISTS (SELECT 1 FROM "+m.mainName()+" AS t WHERE "+same+")")
	m.out.Unchanged = m.staged - m.out.Inserted
	return err
}

// sides are the rows of the table for which a condition holds and the staged ones, numbered.
func (m *merging) sides(of string) (table, stage string) {
	table = numbered(m.mainName(), m.columns, func(c pair) string { return c.main("t") }, of)
	return table, numbered(m.stage, m.columns, func(c pair) string { return c.staged("t") }, "")
}

// appendRows adds the rows that are not there as often.
func (m *merging) appendRows(ctx context.Context) (err error) {
	if m.staged == 0 {
		return nil
	}
	table, stage := m.sides(m.behind())
	m.out.Inserted, err = m.arrive(ctx, "SELECT r FROM "+unmatched(stage, table, len(m.columns)))
	m.out.Unchanged = m.staged - m.out.Inserted
	return err
}

// compare brings the rows of the table for which a condition holds to the staged ones, compared as a whole.
func (m *merging) compare(ctx context.Context, of string) (err error) {
	table, stage := m.sides(m.now(of))
	if m.out.Deleted, err = m.leave(ctx, "SELECT r FROM "+unmatched(table, stage, len(m.columns))); err != nil {
		return err
	}
	m.out.Inserted, err = m.arrive(ctx, "SELECT r FROM "+unmatched(stage, table, len(m.columns)))
	m.out.Unchanged = m.staged - m.out.Inserted
	return err
}

// idColumn is the one that groups and lists go by.
const idColumn = "id"

// groups brings the rows of the ids that were asked for to the staged ones.
func (m *merging) groups(ctx context.Context) error {
	key := m.key([]string{idColumn})
	if len(key) == 0 || m.p.Asked == nil {
		return &warehouse.Error{Op: "publish", Object: m.t.Name, Kind: warehouse.NoKey, Err: fmt.Errorf("the rows have no column id"), Hint: "let get give each row its id"}
	}
	asked := m.prefix + "asked"
	ids := &vector.Chunk{Rows: m.p.Asked.Len(), Vectors: []*vector.Vector{store(m.p.Asked, func(int, string) {})}}
	ids.Columns = []vector.Column{{Name: idColumn, Type: ids.Vectors[0].Type}}
	if err := m.shop.CreateTable(ctx, asked, ids.Columns); err != nil {
		return err
	}
	if _, err := m.shop.AppendChunk(ctx, asked, ids); err != nil {
		return err
	}
	id := key[0]
	of := m.now(id.main("t") + " IN (SELECT id FROM " + quote(asked) + ")")
	if columnType(m.p.Asked.Type) != columnType(id.as) {
		of = m.now(textOf(id.main("t"), id.as) + " IN (SELECT " + textOf("id", m.p.Asked.Type) + " FROM " + quote(asked) + ")")
	}
	table, stage := m.sides(of)
	gone, come := quote(m.prefix+"old"), quote(m.prefix+"new")
	at := fmt.Sprintf("c%d", slices.Index(m.columns, id))
	err := m.exec(ctx, "CREATE TABLE "+gone+" AS SELECT r, "+at+" AS id FROM "+unmatched(table, stage, len(m.columns)),
		"CREATE TABLE "+come+" AS SELECT r, "+at+" AS id FROM "+unmatched(stage, table, len(m.columns)))
	if err != nil {
		return err
	}
	err = m.shop.One(ctx, "SELECT coalesce(sum(least(d, i)), 0)::BIGINT, coalesce(sum(d - least(d, i)), 0)::BIGINT, coalesce(sum(i - least(d, i)), 0)::BIGINT FROM "+
		"(SELECT count(*) FILTER (WHERE w = 0) AS d, count(*) FILTER (WHERE w = 1) AS i FROM (SELECT id, 0 AS w FROM "+gone+" UNION ALL SELECT id, 1 FROM "+come+") GROUP BY id)",
		&m.out.Updated, &m.out.Deleted, &m.out.Inserted)
	if err != nil {
		return err
	}
	m.out.Unchanged = m.staged - m.out.Updated - m.out.Inserted
	if _, err := m.leave(ctx, "SELECT r FROM "+gone); err != nil {
		return err
	}
	_, err = m.arrive(ctx, "SELECT r FROM "+come)
	return err
}
