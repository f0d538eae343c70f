package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"

	"firth/internal/source"
)

// RawColumns are the types in which ScanRaw writes, in SQL. Enums, domains and what else has no type of the server's own come as what
// they are made of, or as text. ok is false where a column has a type that a warehouse keeps in another form (oid, xid8), or where
// what cannot be described is left to Describe.
func (t *Table) RawColumns(ctx context.Context) (types []string, ok bool) {
	p, err := t.planned(ctx)
	if err != nil {
		return nil, false
	}
	for _, f := range p.fields {
		if f.raw == "" {
			return nil, false
		}
		types = append(types, f.raw)
	}
	return types, true
}

// ScanRaw writes a range as the server sends it, in the binary format of COPY. What was written when it fails is of no use.
func (t *Table) ScanRaw(ctx context.Context, r source.Request, w io.Writer) error {
	_, fields, sql, err := t.scanSQL(ctx, r)
	if err != nil {
		return t.fail("read", err)
	}
	s, err := t.start(ctx, sql, len(fields))
	if err != nil {
		return t.fail("read", err)
	}
	var last [2]byte // the mark of the end are the last two bytes
	var writing error
	err = s.within(ctx, func() error {
		for {
			data, err := s.next()
			if err != nil {
				return err
			}
			if n := len(data); n >= 2 {
				last = [2]byte{data[n-2], data[n-1]}
			} else if n == 1 {
				last = [2]byte{last[1], data[0]}
			}
			if _, writing = w.Write(data); writing != nil {
				return writing
			}
		}
	})
	switch {
	case writing != nil:
		s.release(false)
		return fmt.Errorf("hand on the rows: %w", writing)
	case source.AtEnd(err) && s.ended && last == [2]byte{0xff, 0xff}:
		s.release(true)
		return nil
	case source.AtEnd(err):
		err = errors.New("the copy ended without its mark")
	}
	s.release(false)
	return t.fail("read", err)
}
