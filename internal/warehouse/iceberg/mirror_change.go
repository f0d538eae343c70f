package iceberg

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/warehouse"
)

// Files of a table that are written anew together, once there are so many small ones, with a commit that changes the table anyway.
const (
	smallBytes = 8 << 20
	smallFiles = 12
)

// become lets the table hold what is staged alone: a new one, or other files of the one that is there.
func (w *publishing) become(ctx context.Context) error {
	columns := w.columnsOf()
	if w.own {
		w.reshape(columns)
		return nil
	}
	t := &tbl{lastID: len(columns)}
	fields, _ := w.fields(t, columns)
	highest := t.lastID
	var err error
	w.table, err = w.fresh(ctx, w.t.Table, fields, "", iceberg.Properties{mirrorProperty: w.t.Name})
	if err == nil {
		w.table.lastID = highest
	}
	return err
}

// reshape gives the table its new fields, and says whether all its files must be written anew for that.
func (w *publishing) reshape(columns []column) (rewrite bool) {
	t := *w.main
	fields, rewrite := w.fields(&t, columns)
	t.fields = fields
	w.table = &t
	return rewrite
}

// change writes what the table is to hold, and adds that to the changes. Nothing is written where nothing differs.
func (w *publishing) change(ctx context.Context) error {
	if !w.whole && w.gone == "" {
		return nil
	}
	columns := w.columnsOf()
	var c change
	var parts []string
	if w.whole {
		if w.own {
			c.remove = w.main.files
		}
	} else {
		at, err := w.touched(ctx)
		if err != nil {
			return err
		}
		for _, n := range at {
			c.remove = append(c.remove, w.main.files[n])
		}
		if len(at) > 0 {
			name := quote(w.prefix + "touched")
			if err := w.openMain(ctx, name, columns, at); err != nil {
				return err
			}
			parts = append(parts, w.stay(name, columns, w.p.History))
		}
	}
	if w.comes {
		parts = append(parts, w.arrivals(columns))
	}
	c.table = w.table
	if len(parts) > 0 {
		var err error
		if c.add, err = w.m.db.write(ctx, w.shop, w.table, strings.Join(parts, " UNION ALL ")); err != nil {
			return err
		}
	}
	if w.own && len(c.add)+len(c.remove) == 0 && sameFields(w.main.fields, w.table.fields) {
		return nil
	}
	w.record.Columns = w.next
	w.all.changes = append(w.all.changes, c)
	return nil
}

// touched are the files that must be written anew, by their places: those with rows that go, all of them where a column asks for that, and
// small ones that add up.
func (w *publishing) touched(ctx context.Context) ([]int, error) {
	rewrite := w.reshape(w.columnsOf())
	all := make([]int, len(w.main.files))
	for i := range all {
		all[i] = i
	}
	if rewrite {
		return all, nil
	}
	var out []int
	rows, err := w.shop.Query(ctx, "SELECT DISTINCT (r >> 32)::VARCHAR FROM "+w.gone)
	if err != nil {
		return nil, err
	}
	if err := scanTexts(rows, func(text string) error {
		n, err := strconv.Atoi(text)
		out = append(out, n)
		return err
	}); err != nil {
		return nil, err
	}
	if len(out) == 0 && !w.comes {
		return nil, nil
	}
	small := slices.DeleteFunc(all, func(n int) bool { return w.main.files[n].FileSizeBytes() >= smallBytes || slices.Contains(out, n) })
	if len(small) >= smallFiles {
		out = append(out, small...)
	}
	slices.Sort(out)
	return out, nil
}

// stay is a query of the rows of a relation of the table that do not go; with history they end.
func (w *publishing) stay(relation string, columns []column, history bool) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = "t." + quote(c.Name)
		if history && c.Name == warehouse.ValidTo {
			list[i] = "CASE WHEN g.r IS NULL THEN t." + quote(c.Name) + " ELSE " + instantOf(w.p.At) + " END AS " + quote(c.Name)
		}
	}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + relation + " AS t"
	if history {
		return query + " LEFT JOIN (SELECT DISTINCT r FROM " + w.gone + ") AS g ON g.r = t." + rowColumn
	}
	return query + " ANTI JOIN " + w.gone + " AS g ON g.r = t." + rowColumn
}

// arrivals is a query of the staged rows that come, as they are in the table.
func (w *publishing) arrivals(columns []column) string {
	list := make([]string, len(columns))
	extras, values := w.extras()
	for i, c := range columns {
		e := "NULL::" + columnType(c.Type)
		for _, s := range w.columns {
			if strings.EqualFold(s.Name, c.Name) {
				e = castTo("s."+quote(s.Name), s.Type, c.Type)
			}
		}
		for j, x := range extras {
			if x.Name == c.Name {
				e = values[j]
			}
		}
		list[i] = e + " AS " + quote(c.Name)
	}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + w.stage + " AS s"
	if w.come != "" {
		query += " WHERE s." + rowColumn + " IN (SELECT r FROM " + w.come + ")"
	}
	return query
}

// after is a relation of the rows of the table as they are to be; those of the past are among them.
func (w *publishing) after() string {
	columns := w.columnsOf()
	if w.whole {
		return "(" + w.arrivals(columns) + ")"
	}
	if w.p.History {
		return "(" + w.stayAll(columns) + ")"
	}
	query := w.stay(w.mainName(), columns, false)
	if w.comes {
		query += " UNION ALL " + w.arrivals(columns)
	}
	return "(" + query + ")"
}

// stayAll is after where nothing ever goes.
func (w *publishing) stayAll(columns []column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = "t." + quote(c.Name)
	}
	query := "SELECT " + strings.Join(list, ", ") + " FROM " + w.mainName() + " AS t"
	if w.comes {
		query += " UNION ALL " + w.arrivals(columns)
	}
	return query
}

// mainName is the relation of all rows of the table, with the columns that it is to have; openMain must have made it.
func (w *publishing) mainName() string { return quote(w.prefix + "main") }
