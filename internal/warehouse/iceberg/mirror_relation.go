package iceberg

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// openStage makes the staged rows a relation of the workshop, with rowColumn.
func (w *publishing) openStage(ctx context.Context) error {
	w.columns = w.note.Columns
	w.stage = quote(w.prefix + "stage")
	dir := w.m.stageDir(w.t.Name)
	if err := w.exec(ctx, "CREATE VIEW "+w.stage+" AS "+w.note.relation(dir, w.note.prefix(), w.note.Parts)); err != nil {
		return err
	}
	if w.keys == nil || w.p.Mode != warehouse.PublishUpsert {
		return nil
	}
	w.keysOf = quote(w.prefix + "keys")
	n := note{Columns: w.columns, Shapes: w.keys.shapes}
	return w.exec(ctx, "CREATE VIEW "+w.keysOf+" AS "+n.relation(dir, w.keys.prefix, w.keys.parts))
}

// relation is a query of the rows in the files of a stage, with its columns and rowColumn.
func (n *note) relation(dir stageDir, prefix string, parts int) string {
	var all []string
	for i, s := range n.Shapes {
		to := parts
		if i+1 < len(n.Shapes) {
			to = n.Shapes[i+1].From
		}
		var files []string
		for at := s.From; at < to; at++ {
			files = append(files, literal(dir.part(prefix, at)))
		}
		if len(files) == 0 {
			continue
		}
		list := []string{fmt.Sprintf("((file_index::BIGINT + %d) << 32) + file_row_number AS %s", s.From, rowColumn)}
		for at, c := range n.Columns { // a shape has the first of them, with types that they had then
			e := "NULL::" + columnType(c.Type)
			if at < len(s.Columns) {
				e = castTo(stagedName(at), s.Columns[at].Type, c.Type)
			}
			list = append(list, e+" AS "+quote(c.Name))
		}
		all = append(all, "SELECT "+strings.Join(list, ", ")+" FROM read_parquet(["+strings.Join(files, ", ")+"])")
	}
	if len(all) == 0 {
		return emptyRelation(n.Columns)
	}
	return strings.Join(all, " UNION ALL ")
}

// emptyRelation has rowColumn and columns, and no rows.
func emptyRelation(columns []vector.Column) string {
	list := []string{"0::BIGINT AS " + rowColumn}
	for _, c := range columns {
		list = append(list, "NULL::"+columnType(c.Type)+" AS "+quote(c.Name))
	}
	return "SELECT " + strings.Join(list, ", ") + " WHERE false"
}

// column is one of a table that is being changed: as it is in the files, and as it is to be.
type column struct {
	vector.Column
	from  *vector.Type // nil: the table has no such column
	value string       // what rows that are there have in a new one
}

// columnsOf are all columns of the table after the publication, with those that it adds.
func (w *publishing) columnsOf() []column {
	var out []column
	for _, c := range w.next {
		col := column{Column: c, value: "NULL::" + columnType(c.Type)}
		at := slices.IndexFunc(w.record.Columns, func(have vector.Column) bool { return strings.EqualFold(have.Name, c.Name) })
		if w.own && at >= 0 && w.main.field(c.Name) >= 0 {
			col.from = &w.record.Columns[at].Type
		}
		out = append(out, col)
	}
	extras, values := w.extras()
	if w.own && !w.whole { // those that earlier publications added stay
		at := vector.Type{Kind: vector.TimestampTZ}
		for _, name := range []string{warehouse.SyncedAt, warehouse.ValidFrom, warehouse.ValidTo} {
			if w.main.field(name) >= 0 && !slices.ContainsFunc(extras, func(c vector.Column) bool { return c.Name == name }) {
				extras, values = append(extras, vector.Column{Name: name, Type: at}), append(values, nothing)
			}
		}
	}
	for i, c := range extras {
		col := column{Column: c, value: values[i]}
		if w.own && w.main.field(c.Name) >= 0 {
			col.from = &extras[i].Type
		}
		out = append(out, col)
	}
	return out
}

// fields are the columns of a table in Iceberg; those that stay what they are keep their ids. rewrite says that files that are there must be
// written anew, for a type that Iceberg does not promote, or a value in a new column.
func (w *publishing) fields(t *tbl, columns []column) (out []iceberg.NestedField, rewrite bool) {
	next := func() int { t.lastID++; return t.lastID }
	for _, c := range columns {
		to := stored(c.Type)
		at := t.field(c.Name)
		if at >= 0 && c.from != nil && promotes(stored(*c.from), to) {
			f := t.fields[at]
			if list, ok := f.Type.(*iceberg.ListType); ok {
				f.Type = icebergType(to, func() int { return list.ElementID })
			} else {
				f.Type = icebergType(to, next)
			}
			out = append(out, f)
			continue
		}
		if c.from != nil && c.from.Kind != vector.Null || c.from == nil && !strings.HasPrefix(c.value, "NULL") {
			rewrite = true
		}
		f := iceberg.NestedField{ID: next(), Name: c.Name, Type: icebergType(to, next), Doc: docOf(c.Column)}
		out = append(out, f)
	}
	return out, rewrite
}

// docOf says what a column is at the source where its type there is another.
func docOf(c vector.Column) string {
	if c.Source == "" {
		return ""
	}
	return "from " + c.Source
}

// openMain makes files of the table a relation with the columns that it is to have, and rowColumn: at tells which of the table's files each
// is. The table has its old fields still.
func (w *publishing) openMain(ctx context.Context, name string, columns []column, at []int) error {
	var plain []vector.Column
	for _, c := range columns {
		plain = append(plain, c.Column)
	}
	if len(at) == 0 {
		return w.exec(ctx, "CREATE VIEW "+name+" AS "+emptyRelation(plain))
	}
	files, numbers := make([]dataFile, len(at)), make([]string, len(at))
	for i, n := range at {
		files[i], numbers[i] = w.main.files[n], strconv.Itoa(n)
	}
	// Names that a column has at the source might be those of the engine's own.
	safe := *w.main
	safe.fields = slices.Clone(safe.fields)
	for i := range safe.fields {
		safe.fields[i].Name = "f" + strconv.Itoa(safe.fields[i].ID)
	}
	r, err := w.m.db.scan(ctx, &safe, files)
	if err != nil {
		return err
	}
	w.all.releases = append(w.all.releases, r.release)
	list := []string{"(([" + strings.Join(numbers, ", ") + "][file_index::BIGINT + 1])::BIGINT << 32) + file_row_number AS " + rowColumn}
	for _, c := range columns {
		e := c.value
		if c.from != nil {
			e = castTo(safe.fields[w.main.field(c.Name)].Name, *c.from, c.Type)
		}
		list = append(list, e+" AS "+quote(c.Name))
	}
	return w.exec(ctx, "CREATE VIEW "+name+" AS SELECT "+strings.Join(list, ", ")+" FROM "+r.expr)
}
