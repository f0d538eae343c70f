package iceberg

import (
	"context"
	"slices"
	"strings"

	"firth/internal/table"
)

// upsert puts the rows of a batch, one an id, into their table: the files that have a row of one of the ids are written anew with what
// changes, and with the rows that are new.
func (l *loading) upsert(ctx context.Context, p *part, t *table.Batch) error {
	if err := l.bring(ctx, p, t); err != nil {
		return err
	}
	key := t.Columns[0].Name
	l.result.Rows[t.Name] += int64(len(t.Rows))
	return l.merge(ctx, p, key, p.source, textsOf(t))
}

// textsOf are the values of the first column, sorted.
func textsOf(t *table.Batch) []string {
	out := make([]string, len(t.Rows))
	for i := range t.Rows {
		out[i] = t.Get(i, t.Columns[0].Name).Text
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// merge upserts the rows of a relation of the workshop, whose ids are given, into a table. What is NULL there leaves what is stored;
// received_at only grows.
func (l *loading) merge(ctx context.Context, p *part, key, source string, ids []string) error {
	w, err := l.workshop(ctx)
	if err != nil {
		return err
	}
	t := p.table
	touched, err := l.holding(ctx, p, key, "SELECT "+quote(key)+" FROM "+source, ids)
	if err != nil {
		return err
	}
	given, err := given(ctx, w, t, "SELECT * FROM "+source)
	if err != nil {
		return err
	}
	columns := make([]string, len(given))
	for i, f := range given {
		columns[i] = f.Name
	}
	if len(touched) == 0 {
		return l.add(ctx, p, "SELECT "+quoted(columns)+" FROM "+source)
	}
	r, err := l.db.scan(ctx, t, touched)
	if err != nil {
		return err
	}
	l.held = append(l.held, r.release)
	p.remove = append(p.remove, touched...)
	all := make([]string, len(t.fields))
	for i, f := range t.fields {
		all[i] = f.Name
	}
	return l.add(ctx, p, mergeRows(all, columns, key, r.expr, source))
}

// holding are the files of a table, as it was before this loading, that have a row whose key is among those that a query gives. Texts are
// the same, to leave out files whose bounds say that they have none.
func (l *loading) holding(ctx context.Context, p *part, key, keys string, texts []string) ([]dataFile, error) {
	at := p.table.field(key)
	if at < 0 {
		return nil, nil
	}
	id := p.table.fields[at].ID
	var maybe []dataFile
	for _, f := range p.table.files {
		if mayHoldText(f, id, texts) {
			maybe = append(maybe, f)
		}
	}
	if len(maybe) == 0 {
		return nil, nil
	}
	r, err := l.db.scan(ctx, p.table, maybe)
	if err != nil {
		return nil, err
	}
	defer r.release()
	w, err := l.workshop(ctx)
	if err != nil {
		return nil, err
	}
	return r.named(ctx, w, quote(key)+" IN ("+keys+")")
}

// mayHoldText says whether a file may have one of some sorted texts in a column, as far as its bounds tell.
func mayHoldText(f dataFile, id int, texts []string) bool {
	if !mayHoldValues(f, id) {
		return false
	}
	lower, bounded := f.LowerBoundValues()[id]
	if !bounded {
		return len(texts) > 0
	}
	at, _ := slices.BinarySearch(texts, string(lower))
	upper, bounded := f.UpperBoundValues()[id]
	return at < len(texts) && (!bounded || texts[at] <= string(upper))
}

// mergeRows are all rows of a relation with what those of another of the same key have, and the rows of that other whose key is not there.
func mergeRows(all, columns []string, key, stored, source string) string {
	list := make([]string, len(all))
	for i, c := range all {
		q := quote(c)
		list[i] = "t." + q
		switch {
		case strings.EqualFold(c, key) || !slices.Contains(columns, c):
		case c == "received_at":
			list[i] = "greatest(t." + q + ", s." + q + ") AS " + q
		default:
			list[i] = "coalesce(s." + q + ", t." + q + ") AS " + q
		}
	}
	k := quote(key)
	return "SELECT " + strings.Join(list, ", ") + " FROM " + stored + " AS t LEFT JOIN " + source + " AS s ON t." + k + " = s." + k +
		" UNION ALL BY NAME SELECT " + quoted(columns) + " FROM " + source + " AS s WHERE NOT EXISTS (SELECT 1 FROM " + stored + " AS t WHERE t." + k + " = s." + k + ")"
}
