package duckdb

import (
	"context"
	"slices"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// ids makes the staged ids the list, and takes the rows of others away.
func (w *publishing) ids(ctx context.Context, own bool) error {
	staged, err := w.m.count(ctx, "SELECT count(*) FROM "+w.qualified())
	if err != nil {
		return err
	}
	if _, err = w.uniqueKeys(ctx, []string{idColumn}, staged); err != nil {
		return err
	}
	at := w.find(idColumn)
	if err := w.deleteOthers(ctx, own, w.columns[at].Type); err != nil {
		return err
	}
	same, err := w.sameIDs(ctx, w.columns[at].Type)
	if err != nil || same {
		return err
	}
	w.changed = true
	name := warehouse.IDsPrefix + w.t.Table
	for _, s := range []string{
		"DROP TABLE IF EXISTS " + qualified(w.t.Schema, name),
		"ALTER TABLE " + w.qualified() + " RENAME TO " + quote(name),
	} {
		if err := w.m.db.exec(ctx, s); err != nil {
			return err
		}
	}
	w.record.idType = &w.columns[at].Type
	return nil
}

// deleteOthers takes away the rows of ids that are not staged.
func (w *publishing) deleteOthers(ctx context.Context, own bool, idType vector.Type) error {
	i := slices.IndexFunc(w.record.columns, func(c vector.Column) bool { return strings.EqualFold(c.Name, idColumn) })
	if !own || i < 0 {
		return nil
	}
	m := &merging{publishing: w}
	id := w.record.columns[i]
	listed := "t." + quote(id.Name) + " = s.id"
	if mirrorType(id.Type) != mirrorType(idType) {
		listed = textOfMirror("t."+quote(id.Name), id.Type) + " = " + textOfMirror("s.id", idType)
	}
	gone := m.present("NOT EXISTS (SELECT 1 FROM " + w.qualified() + " AS s WHERE " + listed + ")")
	n, err := w.m.count(ctx, "SELECT count(*) FROM "+m.main()+" AS t WHERE "+gone)
	if err != nil || n == 0 {
		return err
	}
	of, err := w.m.count(ctx, "SELECT count(*) FROM "+m.main()+" AS t"+where(m.present("")))
	if err != nil {
		return err
	}
	if err := w.guard(n, of); err != nil {
		return err
	}
	w.out.Deleted, err = m.remove(ctx, gone)
	return err
}

// sameIDs reports whether the list is as it was.
func (w *publishing) sameIDs(ctx context.Context, idType vector.Type) (bool, error) {
	f, err := w.m.find(ctx, w.t.Schema, warehouse.IDsPrefix+w.t.Table)
	if err != nil || !f.exists || w.record.idType == nil || !w.record.idType.Equal(idType) {
		return false, err
	}
	old := qualified(w.t.Schema, warehouse.IDsPrefix+w.t.Table)
	n, err := w.m.count(ctx, "SELECT (SELECT count(*) FROM (SELECT id FROM "+w.qualified()+" EXCEPT SELECT id FROM "+old+")) + (SELECT count(*) FROM (SELECT id FROM "+old+" EXCEPT SELECT id FROM "+w.qualified()+"))")
	return n == 0, err
}

// rejects brings the table of rejects up to date: those of rows that were written or deleted go, those of this stage come.
func (w *publishing) rejects(ctx context.Context) error {
	name := w.t.Table + warehouse.RejectsSuffix
	f, err := w.m.find(ctx, w.t.Schema, name)
	if err != nil || !f.exists && len(w.p.Rejects) == 0 {
		return err
	}
	if !f.exists {
		if err := w.m.db.exec(ctx, createMirror(w.t.Schema, name, warehouse.RejectColumns())); err != nil {
			return err
		}
	}
	m := &merging{publishing: w}
	if f.exists {
		if err := warehouse.OwnRejects(w.t.Name, name, f.has); err != nil {
			return err
		}
		condition, err := w.settled(ctx)
		if err != nil {
			return err
		}
		if condition != "" {
			if _, err := m.change(ctx, "DELETE FROM "+qualified(w.t.Schema, name)+" AS r WHERE "+condition); err != nil {
				return err
			}
		}
	}
	if len(w.p.Rejects) == 0 {
		return nil
	}
	c := vector.NewChunk(warehouse.RejectColumns())
	for _, r := range w.p.Rejects {
		for i, s := range []string{r.Key, r.Column, r.Value, r.Reason} {
			c.Vectors[i].AppendString(strings.ToValidUTF8(s, "\uFFFD"))
		}
		c.Vectors[4].AppendNum(r.At.UnixMicro())
	}
	var names []string
	var values []fitting
	for i := range c.Columns {
		names, values = append(names, c.Columns[i].Name), append(values, fitting{v: c.Vectors[i]})
	}
	w.changed = true
	w.out.Rejects = int64(len(w.p.Rejects))
	return w.append(ctx, name, names, values, len(w.p.Rejects))
}

// settled is the condition on r that a reject is no more: its row was written anew, or is gone.
func (w *publishing) settled(ctx context.Context) (string, error) {
	switch w.p.Mode {
	case warehouse.PublishReplace:
		return "true", nil
	case warehouse.PublishAppend:
		return "", nil
	case warehouse.PublishGroups:
		var list []string
		for row := range w.p.Asked.Len() {
			list = append(list, literal(w.p.Asked.Text(row)))
		}
		if len(list) == 0 {
			return "", nil
		}
		return "r.key IN (" + strings.Join(list, ", ") + ")", nil
	}
	key := w.p.Key
	if w.p.Mode == warehouse.PublishIDs {
		key = []string{idColumn}
	}
	f, err := w.m.find(ctx, w.t.Schema, w.t.Table)
	if err != nil || !f.exists {
		return "", err
	}
	kept := "r.key NOT IN (SELECT " + keyText("t", key, w.record.columns) + " FROM " + qualified(w.t.Schema, w.t.Table) + " AS t)"
	staged, err := w.m.find(ctx, w.t.Schema, w.table)
	if err != nil || !staged.exists || w.p.Mode == warehouse.PublishIDs {
		return kept, err
	}
	return kept + " OR r.key IN (SELECT " + keyText("s", key, w.columns) + " FROM " + w.qualified() + " AS s)", nil
}

// keyText is the key of a row as rejects have it: the values as texts, with a comma and a blank between.
func keyText(alias string, key []string, columns []vector.Column) string {
	var list []string
	for _, k := range key {
		for _, c := range columns {
			if strings.EqualFold(c.Name, k) {
				list = append(list, "coalesce("+textOfMirror(alias+"."+quote(c.Name), c.Type)+", '')")
			}
		}
	}
	if len(list) == 0 {
		return "''"
	}
	return strings.Join(list, " || ', ' || ")
}
