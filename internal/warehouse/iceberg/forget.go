package iceberg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// Forget removes people from the tables that loads have made for a source, a schema in one commit. The files that hold rows of theirs are
// written anew; the snapshots before are gone with the commit, and so are the words of manifests about files that are; then what nothing
// names any more is removed at once, without the grace: who reads such a file at that moment fails and reads again. Afterwards no byte of
// them is in the files of the tables.
func (d *DB) Forget(ctx context.Context, f warehouse.Forget) (*warehouse.Forgotten, error) {
	d.sweeping.Lock()
	defer d.sweeping.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.Step == nil {
		f.Step = func(string) error { return nil }
	}
	out := &warehouse.Forgotten{Rows: map[string]int64{}}
	err := d.forget(ctx, f, out)
	if err != nil {
		return nil, d.fail("forget people in", f.Source, err)
	}
	out.Erased = true
	return out, nil
}

func (d *DB) forget(ctx context.Context, f warehouse.Forget, out *warehouse.Forgotten) error {
	schemas, err := d.present(ctx)
	if err != nil {
		return err
	}
	of := map[string]bool{f.Schema: true, rebuildOf(f.Schema): true}
	for _, schema := range schemas {
		b, err := d.readBook(ctx, schema)
		if err != nil && !errors.Is(err, errNoTable) {
			return err
		}
		if err == nil {
			for source := range b.positions {
				if source == f.Source || strings.HasPrefix(source, f.Source+"#") {
					of[schema] = true
					if err := d.forgetIn(ctx, schema, source, f, out); err != nil {
						return fmt.Errorf("schema %s: %w", schema, err)
					}
				}
			}
		}
	}
	if err := f.Step("erase"); err != nil {
		return err
	}
	for _, schema := range schemas {
		if !of[schema] {
			continue
		}
		if err := d.sweepNow(ctx, schema); err != nil {
			return fmt.Errorf("remove old files of schema %s: %w", schema, err)
		}
	}
	return f.Step("erased")
}

// forgetIn removes people from the tables of one schema.
func (d *DB) forgetIn(ctx context.Context, schema, source string, f warehouse.Forget, out *warehouse.Forgotten) error {
	var rows map[string]int64
	_, err := d.work(ctx, &warehouse.Batch{Source: source, Schema: schema}, func(l *loading, ctx context.Context) error {
		w := &forgetting{loading: l, f: f, rows: map[string]int64{}}
		rows = w.rows
		return w.run(ctx)
	})
	for name, n := range rows {
		if err == nil && n > 0 {
			out.Rows[schema+"."+name] += n
		}
	}
	return err
}

// forgetting is one schema's part of a Forget.
type forgetting struct {
	*loading
	f     warehouse.Forget
	rows  map[string]int64 // that were removed, by table
	parts []*part
}

// Tables of the workshop: the ids of people by kind, the ids of rows that go, and the users and accounts that such rows had made.
const (
	idsTable  = "forget_ids"
	goneTable = "forget_rows"
)

// Kinds of ids.
const (
	kindUser      = "user"
	kindAnonymous = "anonymous"
	kindRow       = "row"
)

// madeTable is that of the users or accounts that rows which go had made.
func madeTable(of string) string { return "forget_made_" + of }

func (w *forgetting) run(ctx context.Context) error {
	if err := w.f.Step("find"); err != nil {
		return err
	}
	if err := w.begin(ctx); err != nil {
		return err
	}
	for _, p := range w.parts {
		if err := w.calls(ctx, p); err != nil {
			return fmt.Errorf("table %s: %w", p.table.name, err)
		}
	}
	for _, p := range w.parts {
		var err error
		switch strings.ToLower(p.table.name) {
		case "users":
			err = w.people(ctx, p, "identifies", "user_id", isOf("id", kindUser))
		case "accounts":
			err = w.people(ctx, p, "groups", "group_id", "false")
		case warehouse.Discards:
			err = w.without(ctx, p, p.table.files, discardGoes())
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", p.table.name, err)
		}
	}
	if err := w.f.Step("delete"); err != nil {
		return err
	}
	return w.commitPurge(ctx)
}

// begin opens the tables of the source, and puts the ids where queries look for them.
func (w *forgetting) begin(ctx context.Context) error {
	var err error
	if w.book, err = w.db.openBook(ctx, w.batch.Schema); err != nil {
		return err
	}
	names, err := w.db.tables(ctx, w.batch.Schema)
	if err != nil {
		return err
	}
	for _, name := range names {
		t, err := w.db.load(ctx, w.batch.Schema, name)
		if err != nil {
			return err
		}
		if t.props[sourceKey] == w.batch.Source {
			p := &part{change: change{table: t, purge: true}, ours: ours(t.props)}
			w.parts, w.order = append(w.parts, p), append(w.order, p)
		}
	}
	shop, err := w.workshop(ctx)
	if err != nil {
		return err
	}
	if err := shop.Exec(ctx, "CREATE TABLE "+idsTable+" (kind VARCHAR, id VARCHAR); CREATE TABLE "+goneTable+" (id VARCHAR); CREATE TABLE "+
		madeTable("users")+" (id VARCHAR); CREATE TABLE "+madeTable("accounts")+" (id VARCHAR)"); err != nil {
		return err
	}
	for kind, ids := range map[string][]string{kindUser: w.f.UserIDs, kindAnonymous: w.f.AnonymousIDs, kindRow: w.f.RowIDs} {
		for some := range slices.Chunk(ids, 50_000) {
			text, err := json.Marshal(some)
			if err != nil {
				return err
			}
			if err := shop.Exec(ctx, "INSERT INTO "+idsTable+` SELECT DISTINCT $1, unnest(from_json($2::JSON, '["VARCHAR"]'))`, kind, string(text)); err != nil {
				return fmt.Errorf("note the ids: %w", err)
			}
		}
	}
	return nil
}

// isOf is the condition that a text column is an id of one of the kinds.
func isOf(column string, kinds ...string) string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = literal(k)
	}
	return quote(column) + "::VARCHAR IN (SELECT id FROM " + idsTable + " WHERE kind IN (" + strings.Join(list, ", ") + "))"
}

// callGoes is the condition that a row of a table of calls goes; "" where the table has no column that says whose it is.
func callGoes(t *tbl) string {
	var list []string
	for _, c := range callColumns() {
		if t.field(c.name) >= 0 {
			list = append(list, isOf(c.name, c.kinds...))
		}
	}
	return strings.Join(list, " OR ")
}

type callColumn struct {
	name  string
	kinds []string
}

// callColumns say whose a call is.
func callColumns() []callColumn {
	return []callColumn{
		{"user_id", []string{kindUser}}, {"anonymous_id", []string{kindAnonymous}}, {"previous_id", []string{kindUser, kindAnonymous}}, {"id", []string{kindRow}},
	}
}

// discardGoes is the condition that a discard goes: its row does, or it is of a person, or it says who.
func discardGoes() string {
	return "row_id IN (SELECT id FROM " + goneTable + ") OR " + isOf("row_id", kindUser, kindAnonymous, kindRow) + " OR " + isOf("value", kindUser, kindAnonymous)
}

// idsOf are the ids of some kinds, sorted.
func (w *forgetting) idsOf(kinds ...string) []string {
	var out []string
	for _, k := range kinds {
		out = append(out, map[string][]string{kindUser: w.f.UserIDs, kindAnonymous: w.f.AnonymousIDs, kindRow: w.f.RowIDs}[k]...)
	}
	slices.Sort(out)
	return out
}

// calls writes the files of a table of calls anew that have rows which go, and notes what those rows had made.
func (w *forgetting) calls(ctx context.Context, p *part) error {
	t := p.table
	goes := callGoes(t)
	if goes == "" || upserted(t.name) || t.name == warehouse.Discards {
		return nil
	}
	var maybe []dataFile
	for _, f := range t.files {
		if slices.ContainsFunc(callColumns(), func(c callColumn) bool {
			at := t.field(c.name)
			return at >= 0 && (typeOf(t.fields[at].Type) != table.String || mayHoldText(f, t.fields[at].ID, w.idsOf(c.kinds...)))
		}) {
			maybe = append(maybe, f)
		}
	}
	if len(maybe) == 0 {
		return nil
	}
	r, err := w.db.scan(ctx, t, maybe)
	if err != nil {
		return err
	}
	w.held = append(w.held, r.release)
	shop, err := w.workshop(ctx)
	if err != nil {
		return err
	}
	note := func(into, column, condition string) error {
		if t.field(column) < 0 {
			return nil
		}
		return shop.Exec(ctx, "INSERT INTO "+into+" SELECT DISTINCT "+quote(column)+"::VARCHAR FROM "+r.expr+" WHERE ("+condition+") AND "+quote(column)+" IS NOT NULL")
	}
	err = note(goneTable, "id", goes)
	switch strings.ToLower(t.name) {
	case "identifies":
		err = errors.Join(err, note(madeTable("users"), "user_id", goes))
	case "groups":
		err = errors.Join(err, note(madeTable("accounts"), "group_id", isOf("id", kindRow)))
	}
	if err != nil {
		return err
	}
	return w.without(ctx, p, maybe, goes)
}

// without writes those of the files anew that have rows for which a condition holds, without them.
func (w *forgetting) without(ctx context.Context, p *part, maybe []dataFile, goes string) error {
	touched, err := w.having(ctx, p, maybe, goes)
	if err != nil || len(touched) == 0 {
		return err
	}
	return w.rewrite(ctx, p, touched, func(from string) string { return "SELECT * FROM " + from + " WHERE (" + goes + ") IS NOT TRUE" })
}

// having are those of the files that have rows for which a condition holds.
func (w *forgetting) having(ctx context.Context, p *part, files []dataFile, condition string) ([]dataFile, error) {
	if len(files) == 0 {
		return nil, nil
	}
	r, err := w.db.scan(ctx, p.table, files)
	if err != nil {
		return nil, err
	}
	w.held = append(w.held, r.release)
	shop, err := w.workshop(ctx)
	if err != nil {
		return nil, err
	}
	return r.named(ctx, shop, condition)
}

// rewrite writes files anew as a query over them says, a bounded part of them at a time, and counts the rows that go.
func (w *forgetting) rewrite(ctx context.Context, p *part, files []dataFile, query func(from string) string) error {
	for _, group := range grouped(files) {
		r, err := w.db.scan(ctx, p.table, group)
		if err != nil {
			return err
		}
		w.held = append(w.held, r.release)
		before := len(p.add)
		if err := w.add(ctx, p, query(r.expr)); err != nil {
			return err
		}
		for _, f := range group {
			w.rows[p.table.name] += f.Count()
		}
		for _, f := range p.add[before:] {
			w.rows[p.table.name] -= f.Count()
		}
	}
	p.remove = append(p.remove, files...)
	return nil
}

// people removes rows of users or accounts for which a condition holds, and computes those anew that calls which go had made: of each
// column the last value that is left; where no call is left the row goes.
func (w *forgetting) people(ctx context.Context, p *part, calls, key, goes string) error {
	made := madeTable(strings.ToLower(p.table.name))
	touched, err := w.having(ctx, p, p.table.files, "("+goes+") OR id IN (SELECT id FROM "+made+")")
	if err != nil || len(touched) == 0 {
		return err
	}
	var columns []iceberg.NestedField
	anew := "(SELECT NULL::VARCHAR AS id, NULL::TIMESTAMPTZ AS received_at, NULL::TIMESTAMPTZ AS uuid_ts, NULL::TIMESTAMPTZ AS loaded_at WHERE false)"
	computed := false
	if at := slices.IndexFunc(w.parts, func(o *part) bool { return strings.EqualFold(o.table.name, calls) }); at >= 0 && w.parts[at].table.field(key) >= 0 {
		from := w.parts[at].table
		columns = w.recomputed(p.table, from, &table.Batch{Columns: columnsOf(p.table.fields)})
		columns = slices.DeleteFunc(columns, func(f iceberg.NestedField) bool { return !p.ours[f.ID] })
		if anew, err = w.anew(ctx, from, key, made, columns); err != nil {
			return err
		}
		computed = true
	}
	return w.rewrite(ctx, p, touched, func(from string) string {
		list := make([]string, len(p.table.fields))
		for i, f := range p.table.fields {
			q := quote(f.Name)
			list[i] = "t." + q
			stamped := slices.Contains([]string{"received_at", warehouse.UUIDTS, warehouse.LoadedAt}, f.Name)
			if stamped || slices.ContainsFunc(columns, func(c iceberg.NestedField) bool { return c.ID == f.ID }) {
				list[i] = "CASE WHEN s.id IS NULL THEN t." + q + " ELSE s." + q + " END AS " + q
			}
		}
		stays := "(" + strings.ReplaceAll(goes, quote("id"), "t."+quote("id")) + ") IS NOT TRUE"
		if computed {
			stays += " AND (t.id IN (SELECT id FROM " + made + ") AND s.id IS NULL) IS NOT TRUE"
		}
		return "SELECT " + strings.Join(list, ", ") + " FROM " + from + " AS t LEFT JOIN " + anew + " AS s ON t.id = s.id WHERE " + stays
	})
}

// anew makes a table of the workshop of what the calls that stay say of those whom calls that go had made.
func (w *forgetting) anew(ctx context.Context, from *tbl, key, made string, columns []iceberg.NestedField) (string, error) {
	r, err := w.db.scan(ctx, from, from.files)
	if err != nil {
		return "", err
	}
	w.held = append(w.held, r.release)
	stay := "(SELECT * FROM " + r.expr + " WHERE (" + callGoes(from) + ") IS NOT TRUE)"
	statement, err := recomputeRows(stay, key, made, columns, w.loading)
	if err != nil {
		return "", err
	}
	shop, err := w.workshop(ctx)
	if err != nil {
		return "", err
	}
	name := w.temp()
	return name, shop.Exec(ctx, "CREATE TABLE "+name+" AS "+statement)
}

// commitPurge commits what changed, and lets go of the past of all tables of the source.
func (w *forgetting) commitPurge(ctx context.Context) error {
	var changes []change
	for _, p := range w.parts {
		if len(p.add)+len(p.remove) == 0 && len(p.table.t.Metadata().Snapshots()) < 2 {
			continue
		}
		changes = append(changes, p.change)
		p.add = nil
	}
	if len(changes) == 0 {
		return nil
	}
	return w.db.commit(ctx, w.batch.Schema, changes)
}
