package postgres

import (
	"context"
	"slices"
	"strings"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// ids makes the staged ids the list, and takes the rows of others away.
func (w *publishing) ids(ctx context.Context, own bool) error {
	staged, err := w.count(ctx, "SELECT count(*) FROM "+w.qualified())
	if err != nil {
		return err
	}
	if _, err = w.uniqueKeys(ctx, []string{idColumn}, staged); err != nil {
		return err
	}
	id := w.columns[w.find(idColumn)]
	i := slices.IndexFunc(w.record.columns, func(c vector.Column) bool { return c.Name == idColumn })
	if own && i >= 0 {
		m := &merging{publishing: w}
		same := "t.id = s.id"
		if mirrorType(w.record.columns[i]) != mirrorType(id) {
			same = "t.id::text = s.id::text"
		}
		if w.out.Deleted, err = m.removeMissing(ctx, w.qualified(), same, true); err != nil {
			return err
		}
	}
	same, err := w.sameIDs(ctx, id.Type)
	if err != nil || same {
		return err
	}
	name := idsName(w.t.Table)
	if err := w.exec(ctx, "DROP TABLE IF EXISTS "+qualified(w.t.Schema, name), "ALTER TABLE "+w.qualified()+" DROP COLUMN IF EXISTS "+order,
		"ALTER TABLE "+w.qualified()+" RENAME TO "+quote(name)); err != nil {
		return err
	}
	w.record.idType = &id.Type
	return w.attempt(ctx, "CREATE UNIQUE INDEX "+quote(fitName(name+"_key"))+" ON "+qualified(w.t.Schema, name)+" (id)")
}

// sameIDs reports whether the list is as it was.
func (w *publishing) sameIDs(ctx context.Context, idType vector.Type) (bool, error) {
	f, err := w.d.find(ctx, w.t.Schema, idsName(w.t.Table))
	if err != nil || !f.exists() || w.record.idType == nil || !w.record.idType.Equal(idType) {
		return false, err
	}
	old := qualified(w.t.Schema, idsName(w.t.Table))
	var differ bool
	err = w.d.conn.QueryRow(ctx, "SELECT EXISTS (SELECT id FROM "+w.qualified()+" EXCEPT SELECT id FROM "+old+") OR EXISTS (SELECT id FROM "+old+" EXCEPT SELECT id FROM "+w.qualified()+")").Scan(&differ)
	return !differ, err
}

// rejects brings the table of rejects up to date: those of rows that were written or deleted go, those of this stage come.
func (w *publishing) rejects(ctx context.Context) error {
	name := rejectsName(w.t.Table)
	f, err := w.d.find(ctx, w.t.Schema, name)
	if err != nil || !f.exists() && len(w.p.Rejects) == 0 {
		return err
	}
	if !f.exists() {
		if err := w.exec(ctx, createMirror(w.t.Schema, name, warehouse.RejectColumns())); err != nil {
			return err
		}
	} else if err := warehouse.OwnRejects(w.t.Name, name, f.has); err != nil {
		return err
	} else if condition, err := w.settled(ctx); err != nil {
		return err
	} else if condition != "" {
		if err := w.exec(ctx, "DELETE FROM "+qualified(w.t.Schema, name)+" AS r WHERE "+condition); err != nil {
			return err
		}
	}
	if len(w.p.Rejects) == 0 {
		return nil
	}
	c := vector.NewChunk(warehouse.RejectColumns())
	for _, r := range w.p.Rejects {
		for i, s := range []string{r.Key, r.Column, r.Value, r.Reason} {
			c.Vectors[i].AppendString(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD"))
		}
		c.Vectors[4].AppendNum(r.At.UnixMicro())
	}
	r := &chunkReader{rows: len(w.p.Rejects), order: -1}
	var names []string
	for i := range c.Columns {
		names, r.values = append(names, c.Columns[i].Name), append(r.values, fitting{v: c.Vectors[i]})
	}
	_, err = w.d.conn.PgConn().CopyFrom(ctx, r, copyInto(qualified(w.t.Schema, name), names))
	r.end()
	w.out.Rejects = int64(len(w.p.Rejects))
	return err
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
			list = append(list, literal(strings.ReplaceAll(w.p.Asked.Text(row), "\x00", "")))
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
	f, err := w.d.find(ctx, w.t.Schema, w.t.Table)
	if err != nil || !f.exists() || f.kind != "r" {
		return "", err
	}
	kept := "NOT EXISTS (SELECT FROM " + qualified(w.t.Schema, w.t.Table) + " AS t WHERE " + keyText("t", key, w.record.columns) + " = r.key)"
	staged, err := w.d.find(ctx, w.t.Schema, w.table)
	if err != nil || !staged.exists() || w.p.Mode == warehouse.PublishIDs {
		return kept, err
	}
	return kept + " OR r.key IN (SELECT " + keyText("s", key, w.columns) + " FROM " + w.qualified() + " AS s)", nil
}
