package mysql

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strconv"

	"firth/internal/source"
	"firth/internal/vector"
)

// Ranges cuts a table by the first column of its primary key where that is an integer. The cuts lie on multiples of a power of two, so
// that they are the same after the table has grown a little; the first piece has no lower bound and the last no upper one.
func (t *Table) Ranges(ctx context.Context, pieces int) ([]source.Range, error) {
	whole := []source.Range{{}}
	d, err := t.current(ctx)
	if err != nil || pieces < 2 || len(d.key) == 0 {
		return whole, err
	}
	key := d.find(d.key[0])
	if key == nil || key.Type.Kind != vector.Int && key.Type.Kind != vector.Uint {
		return whole, nil
	}
	least, most := vector.New(key.Type), vector.New(key.Type)
	err = t.with(ctx, func(s *session) error {
		q := quote(key.Name)
		return s.each(ctx, "SELECT min("+q+"), max("+q+") FROM "+d.relation.quoted(), func(row []driver.Value) error {
			for i, v := range []*vector.Vector{least, most} {
				if row[i] == nil || key.parse(row[i], v) != "" {
					return nil
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, t.fail("read", err)
	}
	if least.Len() == 0 || most.Len() == 0 || !least.Valid[0] || !most.Valid[0] {
		return whole, nil
	}
	return cut(key.Name, key.Type, least.Num(0), most.Num(0), pieces), nil
}

// cut makes the pieces between two keys.
func cut(name string, t vector.Type, least, most int64, pieces int) []source.Range {
	// Keys are moved so that all of them count from zero.
	shift := uint64(0)
	if t.Kind == vector.Int {
		shift = 1 << 63
	}
	lo, hi := uint64(least)^shift, uint64(most)^shift
	span := hi - lo
	width := uint(bits.Len64(span / uint64(pieces))) // 2^width is more than span/pieces
	if width >= 64 || span == 0 {
		return []source.Range{{}}
	}
	var out []source.Range
	var from vector.Value
	for at := (lo>>width + 1) << width; at > lo && at <= hi; at += 1 << width {
		to := vector.Value{Kind: t.Kind, Bits: t.Bits, Num: int64(at ^ shift)}
		out = append(out, piece(name, from, to))
		from = to
		if at+1<<width < at {
			break
		}
	}
	return append(out, piece(name, from, vector.Value{}))
}

func piece(name string, from, to vector.Value) source.Range {
	text := func(v vector.Value, add int64) string {
		if v.Kind == vector.Uint {
			return strconv.FormatUint(uint64(v.Num+add), 10)
		}
		return strconv.FormatInt(v.Num+add, 10)
	}
	r := source.Range{Lo: from, Hi: to}
	switch {
	case from.Kind == vector.Null && to.Kind == vector.Null:
	case from.Kind == vector.Null:
		r.Label = name + " to " + text(to, -1)
	case to.Kind == vector.Null:
		r.Label = name + " from " + text(from, 0)
	default:
		r.Label = name + " from " + text(from, 0) + " to " + text(to, -1)
	}
	return r
}

// Scan reads the rows of a piece. The context ends the reading also later, while rows are handed out.
func (t *Table) Scan(ctx context.Context, req source.Request) (source.Rows, error) {
	fields, r, err := t.scanned(ctx, req)
	if err != nil {
		return nil, err
	}
	if t.spec.Table == "" && req.Only == nil && len(t.spec.Columns) == 0 && len(t.spec.Exclude) == 0 && len(r.where) == 0 {
		r.columns = nil
	}
	return t.open(ctx, r, fields, nil)
}

// scanned is what a scan reads.
func (t *Table) scanned(ctx context.Context, req source.Request) (fields []field, r reading, err error) {
	d, err := t.current(ctx)
	if err != nil {
		return nil, r, err
	}
	fields = d.fields
	if req.Only != nil {
		fields = nil
		for _, name := range req.Only {
			f := d.find(name)
			if f == nil {
				return nil, r, t.noColumn(d, name)
			}
			fields = append(fields, *f)
		}
	}
	r = t.base(d, fields)
	if t.spec.Where != "" {
		r.where = append(r.where, userCondition(t.spec.Where))
	}
	key := ""
	if len(d.key) > 0 {
		key = d.key[0]
	}
	bounds, ok := inRange(key, req.Range)
	if !ok {
		return nil, r, &source.Error{Op: "read", Name: t.subject(), Err: errors.New("the table has no longer the key that its pieces were cut by"), Advice: "it is read again from the beginning", Changed: true}
	}
	r.where = append(r.where, bounds...)
	if req.From.Kind != vector.Null {
		condition, err := t.since(d, req.From)
		if err != nil {
			return nil, r, err
		}
		r.where = append(r.where, condition)
	}
	return fields, r, nil
}

// base reads fields from where the specification says.
func (t *Table) base(d *description, fields []field) reading {
	r := reading{query: t.spec.Query, columns: fieldNames(fields)}
	if t.spec.Table != "" {
		r.from = d.relation.quoted()
	}
	return r
}

// since is the condition for rows from a cursor's value on.
func (t *Table) since(d *description, from vector.Value) (string, error) {
	f := d.find(t.spec.Cursor)
	if f == nil {
		return "", t.noColumn(d, t.spec.Cursor)
	}
	text, ok := constantOf(from, f.Type)
	if !ok {
		return "", &source.Error{Op: "read", Name: t.subject(), Changed: true,
			Err:    fmt.Errorf("the cursor stands at a value (%s) that column %s, now %s, cannot have", vector.Type{Kind: from.Kind, Bits: from.Bits}, f.Name, f.Source),
			Advice: "copy all of it once: firth sync --full"}
	}
	return quote(f.Name) + " >= " + text, nil
}

// Get reads the rows of ids. Texts are equal only where every byte is, whatever the column's collation takes for equal.
func (t *Table) Get(ctx context.Context, ids []vector.Value) (source.Rows, error) {
	d, err := t.current(ctx)
	if err != nil {
		return nil, err
	}
	name := t.spec.Key
	if name == "" {
		name = "id"
	}
	key := d.find(name)
	if key == nil {
		return nil, t.noColumn(d, name)
	}
	var list []byte
	for _, id := range ids {
		text, ok := constantOf(id, key.Type)
		if !ok {
			continue // no row can have it
		}
		if list != nil {
			list = append(list, ',', ' ')
		}
		list = append(list, text...)
	}
	fields := d.fields
	if findField(fields, key.Name) == nil {
		fields = append(slices.Clone(fields), *key) // a row without its id is nobody's
	}
	r := t.base(d, fields)
	switch {
	case t.spec.Table != "":
		if list == nil {
			list = []byte("NULL")
		}
		r.where = append(r.where, quote(key.Name)+" IN ("+string(list)+")")
		if t.spec.Where != "" {
			r.where = append(r.where, userCondition(t.spec.Where))
		}
	default:
		if list == nil {
			list = []byte("NULL")
		}
		query, found := fillIDs(t.spec.Query, string(list))
		if !found {
			return nil, &source.Error{Op: "get", Name: t.subject(), Err: errors.New("the query does not say where the ids go"), Advice: "write :ids in it: select ... where id in (:ids)"}
		}
		r.query = query
		if len(t.spec.Columns) == 0 && len(t.spec.Exclude) == 0 {
			r.columns = nil
		}
	}
	return t.open(ctx, r, fields, asked(fields, key, ids))
}

// asked is the set of texts that a get of texts may return; nil: there is nothing to look at.
func asked(fields []field, key *field, ids []vector.Value) *filter {
	if key.Type.Kind != vector.Text {
		return nil
	}
	f := &filter{column: -1, texts: make(map[string]bool, len(ids))}
	for i := range fields {
		if fields[i].Name == key.Name {
			f.column = i
		}
	}
	for _, id := range ids {
		switch id.Kind {
		case vector.Text, vector.Decimal:
			f.texts[id.Text] = true
		case vector.Int, vector.Uint:
			text, _ := constant(id)
			f.texts[text] = true
		default:
			return nil
		}
	}
	if f.column < 0 {
		return nil
	}
	return f
}

// filter drops rows whose id was not asked for.
type filter struct {
	column int
	texts  map[string]bool
}

func (f *filter) wants(v *vector.Vector, row int) bool {
	return v.Valid[row] && f.texts[string(v.Bytes(row))]
}

// open sends the statement.
func (t *Table) open(ctx context.Context, r reading, fields []field, only *filter) (source.Rows, error) {
	s, release, err := t.session(ctx)
	if err != nil {
		return nil, t.fail("connect", err)
	}
	binary := false
	for _, f := range fields {
		binary = binary || f.Type.Kind == vector.Float
	}
	within, cancel := context.WithCancel(ctx)
	raw, done, err := s.query(within, r.statement(), binary)
	if err != nil {
		cancel()
		release()
		return nil, t.fail("read", err)
	}
	out := &rows{t: t, s: s, raw: raw, fields: fields, only: only, cancel: cancel, release: func() { done(); release() }, row: make([]driver.Value, len(raw.Columns()))}
	if err := out.compare(); err != nil {
		return nil, errors.Join(err, out.Close())
	}
	columns := make([]vector.Column, len(fields))
	for i, f := range fields {
		columns[i] = f.Column
	}
	out.chunk = vector.NewChunk(columns)
	return out, nil
}

var _ io.Closer = (*rows)(nil)
