package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"math/big"
	"slices"

	"github.com/jackc/pgx/v5"

	"firth/internal/source"
	"firth/internal/vector"
)

var (
	//go:embed sql/blocks.sql
	blocksSQL string
	//go:embed sql/rangekey.sql
	rangeKeySQL string
)

// tidRanges is the first version that reads a range of blocks without reading the rest of the table.
const tidRanges = 14

// Ranges cuts a table into pieces: by blocks where the server can read them (version 14 on), which is in the order of the disk
// and needs no key; else by a unique column. Both leave the last piece open, so that they hold every row of the snapshot they are read in, also
// one taken later. Pieces by blocks are as good for going on after a kill as others: a row that moved from one to another in between changes the digests of both.
// A view, a foreign table, a query, and a table read without a shared snapshot are one piece.
func (t *Table) Ranges(ctx context.Context, pieces int) ([]source.Range, error) {
	t.mu.Lock()
	alone := t.reading != nil && t.reading.snapshot == ""
	t.mu.Unlock()
	p, err := t.planned(ctx)
	if err != nil {
		return nil, t.fail("read", err)
	}
	if pieces < 2 || alone || p.oid == 0 || p.kind == "v" || p.kind == "f" {
		return []source.Range{{}}, nil
	}
	var out []source.Range
	err = t.use(ctx, func(l *link) error {
		if l.version() >= tidRanges {
			var blocks *int64
			if err := l.conn.QueryRow(ctx, blocksSQL, p.oid).Scan(&blocks); err != nil {
				return fmt.Errorf("ask for the size: %w", err)
			}
			if blocks != nil {
				out = blockRanges(*blocks, int64(pieces))
				return nil
			}
		}
		var err error
		out, err = l.keyRanges(ctx, p, pieces)
		return err
	})
	if err != nil {
		return nil, t.fail("read", err)
	}
	return out, nil
}

// blockRanges cuts so many blocks into pieces.
func blockRanges(blocks, pieces int64) []source.Range {
	pieces = min(pieces, blocks)
	if pieces < 2 {
		return []source.Range{{}}
	}
	out := make([]source.Range, pieces)
	for i := range pieces {
		first, past := i*blocks/pieces, (i+1)*blocks/pieces
		if i == pieces-1 {
			out[i] = source.Range{Label: fmt.Sprintf("from block %d", first), Text: fmt.Sprintf("blocks %d -1", first)}
			continue
		}
		out[i] = source.Range{Label: fmt.Sprintf("blocks %d to %d", first, past-1), Text: fmt.Sprintf("blocks %d %d", first, past)}
	}
	return out
}

// keyRanges cuts by a unique column: by the statistics where there are some, else evenly between least and greatest, of numbers.
func (l *link) keyRanges(ctx context.Context, p *plan, pieces int) ([]source.Range, error) {
	var name string
	var oid int64
	var bounds []string
	err := l.conn.QueryRow(ctx, rangeKeySQL, p.oid, p.schema, p.table).Scan(&name, &oid, &bounds)
	if err == pgx.ErrNoRows { //nolint:errorlint // pgx returns it as it is
		return []source.Range{{}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask for a key to cut by: %w", err)
	}
	number := oid == 20 || oid == 21 || oid == 23
	var cuts []string
	switch {
	case len(bounds) >= pieces:
		for i := 1; i < pieces; i++ {
			cuts = append(cuts, bounds[i*len(bounds)/pieces])
		}
	case oid == 2950:
		for i := 1; i < min(pieces, 1<<16); i++ {
			cuts = append(cuts, fmt.Sprintf("%04x0000-0000-0000-0000-000000000000", i<<16/pieces))
		}
	case number:
		var lo, hi *int64
		sql := fmt.Sprintf("SELECT pg_catalog.min(%[1]s)::pg_catalog.int8, pg_catalog.max(%[1]s)::pg_catalog.int8 FROM %[2]s", quote(name), p.from)
		if err := l.conn.QueryRow(ctx, sql).Scan(&lo, &hi); err != nil {
			return nil, fmt.Errorf("ask for the least and the greatest key: %w", err)
		}
		if lo != nil && hi != nil {
			cuts = evenly(*lo, *hi, pieces)
		}
	}
	cuts = slices.Compact(cuts)
	out := make([]source.Range, len(cuts)+1)
	for i := range out {
		out[i].Text = "key " + name
		if i > 0 {
			out[i].Lo = vector.Value{Kind: vector.Text, Text: cuts[i-1]}
		}
		if i < len(cuts) {
			out[i].Hi = vector.Value{Kind: vector.Text, Text: cuts[i]}
		}
		out[i].Label = label(name, out[i])
	}
	if len(cuts) == 0 {
		return []source.Range{{}}, nil
	}
	return out, nil
}

func label(name string, r source.Range) string {
	switch {
	case r.Lo.Text == "":
		return name + " below " + r.Hi.Text
	case r.Hi.Text == "":
		return name + " from " + r.Lo.Text
	}
	return name + " from " + r.Lo.Text + " to below " + r.Hi.Text
}

// evenly are the bounds between pieces of equal width.
func evenly(lo, hi int64, pieces int) []string {
	from := big.NewInt(lo)
	width := new(big.Int).Sub(big.NewInt(hi), from)
	width.Add(width, big.NewInt(1))
	var out []string
	for i := 1; i < pieces; i++ {
		at := new(big.Int).Mul(width, big.NewInt(int64(i)))
		at.Div(at, big.NewInt(int64(pieces))).Add(at, from)
		out = append(out, at.String())
	}
	return out
}
