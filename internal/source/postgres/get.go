package postgres

import (
	"context"
	"io"

	"firth/internal/source"
	"firth/internal/vector"
)

// Get reads the rows of some ids. They go to the server as one list of texts, which it reads as the type that they are compared with.
// Ids that cannot be values of the key's type have no rows.
func (t *Table) Get(ctx context.Context, ids []vector.Value) (source.Rows, error) {
	p, err := t.planned(ctx)
	if err != nil {
		return nil, t.fail("get", err)
	}
	key := t.spec.Key
	if key == "" {
		key = "id"
	}
	ref, ok := p.all[key]
	if !ok {
		return nil, t.fail("get", t.noColumn(p, key))
	}
	texts := p.idTexts(key, ids)
	if len(texts) == 0 {
		return nothing{}, nil
	}
	at := *p
	condition := ""
	if p.query != "" {
		at.from = "(\n" + p.bind(texts) + "\n) AS q"
	}
	if len(p.ids) == 0 {
		condition = ref + " = ANY (" + literal(arrayText(texts)) + ")"
	}
	return t.rows(ctx, &at, p.fields, copyOut(at.selection(p.fields, p.where, condition)))
}

func (p *plan) idTexts(key string, ids []vector.Value) []string {
	var of *field
	for i := range p.fields {
		if p.fields[i].Name == key && p.fields[i].expr == p.fields[i].ref {
			of = &p.fields[i]
		}
	}
	var out []string
	for _, id := range ids {
		if text, ok := valueText(id); ok && (of == nil || of.fits(text)) {
			out = append(out, text)
		}
	}
	return out
}

// nothing is rows of which there are none.
type nothing struct{}

// Next implements source.Rows.
func (nothing) Next(context.Context, *source.Batch) error { return io.EOF }

// Close implements source.Rows.
func (nothing) Close() error { return nil }
