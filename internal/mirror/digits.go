package mirror

import (
	"context"
	"slices"

	"firth/internal/source"
	"firth/internal/vector"
)

// DigitsSource is a relational Source that can tell cheaply how many digits the values of its unbounded decimals have: those of the request's
// Only, in the rows that the request would read, at the moment of the reading. Columns without a value may be left out. Of other sources the
// columns are read twice.
type DigitsSource interface {
	Digits(ctx context.Context, r source.Request) (map[string]source.Digits, error)
}

const (
	// maxDigits is the most digits of a decimal where the target says nothing else: what DuckDB has.
	maxDigits = 38
	// roomBefore is the least room before the point, so that a larger amount does not change the column.
	roomBefore = 18
)

// narrow gives the unbounded decimals of a source the types that hold their values, where the target has none without bounds: a decimal that
// fits all, those that the table has already included; else they stay as they are, which such a target stores as exact text. A type never
// becomes narrower, and text stays text, while the source's type is the same. Only a full run of a table that is replaced decides anew.
func (c *copying) narrow(ctx context.Context) (map[string]vector.Type, error) {
	o := &c.m.o
	if o.Unbounded {
		return nil, nil
	}
	anew := c.o.Full && c.cfg.Mode == ModeReplace && !c.cfg.History
	known := map[string]vector.Type{}
	var ask []string
	for _, s := range c.info.Columns {
		r := c.cfg.rule(s.Path)
		if s.Type.Kind != vector.Decimal || s.Type.Width > 0 || !c.cfg.wants(s.Path) || r.Type != nil || r.Mask != "" {
			continue
		}
		i := slices.IndexFunc(c.prior.Columns, func(p vector.Column) bool { return p.Path == s.Path })
		if i >= 0 && !anew && (c.prior.Columns[i].Source == s.Source || c.cfg.Mode != ModeReplace || c.cfg.History) {
			t := c.prior.Columns[i].Type
			if t.Kind == vector.Text || t.Kind == vector.Decimal && t.Width == 0 {
				continue // it holds whatever comes
			}
			if t.Kind == vector.Decimal {
				known[s.Path] = t
			}
		}
		ask = append(ask, s.Path)
	}
	if len(ask) == 0 {
		return nil, nil
	}
	found, err := c.digits(ctx, source.Request{Only: ask, From: c.from})
	if err != nil {
		return nil, err
	}
	out := map[string]vector.Type{}
	for _, path := range ask {
		d, t := found[path], known[path]
		if out[path] = o.decimalFor(d, t); out[path].Width == 0 {
			c.notice("the values of column %s have %d digits before the point and %d behind it, more than the warehouse has in one decimal: it holds them as text", path, d.Whole, d.Least)
		} else if d.Others > 0 {
			c.notice("column %s has %d values that are NaN or Infinity, which no decimal is: they are rejected; as text (types: { %s: text }) they stay", path, d.Others, path)
		}
	}
	return out, nil
}

// decimalFor is the decimal for values of so many digits, and for those of a type that the table has already (none: the zero Type). It has no
// width where the target has no decimal for all of them.
func (o *Options) decimalFor(d source.Digits, have vector.Type) vector.Type {
	for _, scale := range []int{d.Scale, d.Least} { // zeros at the end are kept where there is room for them
		for _, most := range slices.Compact([]int{maxDigits, max(maxDigits, o.Digits)}) {
			limit := most
			if o.Scale > 0 {
				limit = min(limit, o.Scale)
			}
			behind := max(scale, int(have.Scale))
			room := max(d.Whole, int(have.Width)-int(have.Scale))
			if have.Width == 0 {
				room = max(room, min(roomBefore, most-behind))
			}
			if behind <= limit && room >= 0 && room+behind <= most {
				return vector.Type{Kind: vector.Decimal, Width: uint16(max(room+behind, 1)), Scale: uint16(behind)}
			}
		}
	}
	return vector.Type{Kind: vector.Decimal}
}

// digits asks the source, or counts.
func (c *copying) digits(ctx context.Context, r source.Request) (map[string]source.Digits, error) {
	if s, ok := c.src.(DigitsSource); ok {
		return s.Digits(ctx, r)
	}
	rows, err := c.src.Scan(ctx, r)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // it was read
	out := map[string]source.Digits{}
	var b source.Batch
	for {
		err := rows.Next(ctx, &b)
		if source.AtEnd(err) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		for i, col := range b.Chunk.Columns {
			d, v := out[col.Path], b.Chunk.Vectors[i]
			for row := range b.Chunk.Rows {
				if v.Valid[row] {
					d.Add(v.Bytes(row))
				}
			}
			out[col.Path] = d
		}
	}
}
