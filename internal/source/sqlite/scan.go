package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"firth/internal/source"
	"firth/internal/vector"
)

// A batch ends with the first row that reaches one of these.
const (
	batchRows  = 8192
	batchBytes = 2 << 20
)

// Scan reads a range.
func (t *Table) Scan(ctx context.Context, r source.Request) (source.Rows, error) {
	p, err := t.planned(ctx)
	if err != nil {
		return nil, t.fail("read", err)
	}
	fields, err := p.only(r.Only)
	if err != nil {
		return nil, t.fail("read", err)
	}
	var conditions []string
	var args []any
	bind := func(condition string, value any) {
		args = append(args, value)
		conditions = append(conditions, condition+strconv.Itoa(len(args)))
	}
	conditions = append(conditions, p.where)
	if r.Range.Lo.Kind == vector.Int {
		bind(p.rowid+" >= ?", r.Range.Lo.Num)
	}
	if r.Range.Hi.Kind == vector.Int {
		bind(p.rowid+" < ?", r.Range.Hi.Num)
	}
	out := &rows{table: t, show: len(fields), from: r.From}
	if t.spec.Cursor != "" && r.From.Kind != vector.Null {
		// Times are texts in whatever form they were written: the day bounds them, and the values themselves are compared below.
		ref := p.all[t.spec.Cursor]
		least, exact := bound(r.From)
		bind(ref+" >= ?", least)
		if !exact {
			fields = append(slices.Clip(fields), field{Column: vector.Column{Name: t.spec.Cursor, Type: vector.Type{Kind: r.From.Kind, Bits: r.From.Bits}}, expr: "+" + ref})
			out.compares = true
		}
	}
	if err := out.open(ctx, p.selection(fields, conditions...), args, fields); err != nil {
		return nil, t.fail("read", err)
	}
	return out, nil
}

func (p *plan) only(names []string) ([]field, error) {
	if names == nil {
		return p.fields, nil
	}
	var out []field
	for _, name := range names {
		i := slices.IndexFunc(p.fields, func(f field) bool { return f.Name == name })
		if i < 0 {
			return nil, p.noColumn(name)
		}
		out = append(out, p.fields[i])
	}
	if len(out) == 0 {
		return nil, errors.New("no column is wanted")
	}
	return out, nil
}

// bound is what a cursor is compared with; exact is false where more rows than those wanted pass.
func bound(v vector.Value) (least any, exact bool) {
	switch v.Kind {
	case vector.Bool, vector.Int, vector.Uint:
		return v.Num, true
	case vector.Float:
		return math.Float64frombits(uint64(v.Num)), true
	case vector.Decimal: // the texts of integers and of doubles, which read back as they were
		if n, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
			return n, true
		}
		if f, err := strconv.ParseFloat(v.Text, 64); err == nil {
			return f, true
		}
	case vector.Blob:
		return []byte(v.Text), true
	case vector.Text, vector.JSON:
		return v.Text, true
	case vector.Date, vector.Timestamp, vector.TimestampTZ:
		days := v.Num
		if v.Kind != vector.Date {
			days = v.Num/86_400_000_000 - 2 // a zone may move the day
		}
		day := vector.New(vector.Type{Kind: vector.Date})
		if day.AppendNum(days); days > -719_162 && days < 2_932_896 { // of four-digit years
			return day.Text(0), false
		}
	}
	return "", false
}

// rows hands out what a query returns.
type rows struct {
	table    *Table
	sql      *sql.Rows
	chunk    *vector.Chunk
	show     int  // columns that are handed out; one behind them is the cursor
	compares bool // rows whose cursor lies before from are left out
	from     vector.Value
	cursor   *vector.Vector
	values   []any
	places   []any
	err      error
}

func (r *rows) open(ctx context.Context, query string, args []any, fields []field) error {
	columns := make([]vector.Column, r.show)
	for i := range columns {
		columns[i] = fields[i].Column
	}
	r.chunk = vector.NewChunk(columns)
	r.values, r.places = make([]any, len(fields)), make([]any, len(fields))
	for i := range r.values {
		r.places[i] = &r.values[i]
	}
	if r.compares {
		r.cursor = vector.New(fields[r.show].Type)
	}
	var err error
	r.sql, err = r.table.querier().QueryContext(ctx, query, args...)
	return err
}

// Next implements source.Rows.
func (r *rows) Next(ctx context.Context, b *source.Batch) error {
	r.chunk.Reset()
	if r.err == nil {
		r.err = ctx.Err()
	}
	if r.err != nil {
		return r.err
	}
	size := 0
	for r.chunk.Rows < batchRows && size < batchBytes {
		if !r.sql.Next() {
			if r.err = r.table.fail("read", errors.Join(r.sql.Err(), r.sql.Close())); r.err == nil {
				r.err = io.EOF
			}
			break
		}
		if err := r.sql.Scan(r.places...); err != nil {
			r.err = r.table.fail("read", err)
			break
		}
		if !r.compares || r.wanted() {
			size += r.row()
		}
	}
	if r.err != nil && (r.chunk.Rows == 0 || !source.AtEnd(r.err)) {
		return r.err
	}
	b.Chunk, b.Docs, b.Bytes = r.chunk, nil, int64(size)
	return nil
}

// wanted reports whether the row's cursor does not lie before from. One that is no such value cannot be told, and passes.
func (r *rows) wanted() bool {
	r.cursor.Reset()
	value := r.values[r.show]
	if take(r.cursor, value) != "" {
		return true
	}
	if r.cursor.Offsets != nil {
		return string(r.cursor.Bytes(0)) >= r.from.Text
	}
	return r.cursor.Valid[0] && r.cursor.Num(0) >= r.from.Num
}

func (r *rows) row() int {
	size := 0
	for i, v := range r.chunk.Vectors {
		value := r.values[i]
		if reason := take(v, value); reason != "" {
			v.AppendNull()
			r.chunk.Rejects = append(r.chunk.Rejects, vector.Reject{Row: r.chunk.Rows, Column: r.chunk.Columns[i].Name, Value: text(value), Reason: reason})
		}
		switch x := value.(type) {
		case string:
			size += len(x)
		case []byte:
			size += len(x)
		default:
			size += 8
		}
	}
	r.chunk.Rows++
	return size
}

// Close implements source.Rows.
func (r *rows) Close() error {
	if r.err == nil {
		r.err = io.EOF
	}
	return r.sql.Close()
}

// Get reads the rows of some ids.
func (t *Table) Get(ctx context.Context, ids []vector.Value) (source.Rows, error) {
	p, err := t.planned(ctx)
	if err != nil {
		return nil, t.fail("get", err)
	}
	key := t.spec.Key
	if key == "" {
		key = "id"
	}
	if p.all[key] == "" {
		return nil, t.fail("get", p.noColumn(key))
	}
	var args []any
	for _, id := range ids {
		switch id.Kind {
		case vector.Null:
		case vector.Bool, vector.Int, vector.Uint:
			args = append(args, id.Num)
		case vector.Float:
			args = append(args, math.Float64frombits(uint64(id.Num)))
		case vector.Blob:
			args = append(args, []byte(id.Text))
		default:
			v := vector.New(vector.Type{Kind: id.Kind, Bits: id.Bits})
			v.AppendValue(id)
			args = append(args, v.Text(0))
		}
	}
	if len(args) == 0 {
		return nothing{}, nil
	}
	at, condition := *p, ""
	if p.query != "" {
		at.from = "(\n" + p.bind(len(args)) + "\n)"
	}
	if len(p.ids) == 0 {
		condition = p.all[key] + " IN (" + numbered(len(args)) + ")"
	}
	out := &rows{table: t, show: len(p.fields)}
	if err := out.open(ctx, at.selection(p.fields, p.where, condition), args, p.fields); err != nil {
		return nil, t.fail("get", err)
	}
	return out, nil
}

// numbered are so many parameters.
func numbered(n int) string {
	if n == 0 {
		return "NULL"
	}
	names := make([]string, n)
	for i := range names {
		names[i] = "?" + strconv.Itoa(i+1)
	}
	return strings.Join(names, ", ")
}

// nothing is rows of which there are none.
type nothing struct{}

// Next implements source.Rows.
func (nothing) Next(context.Context, *source.Batch) error { return io.EOF }

// Close implements source.Rows.
func (nothing) Close() error { return nil }
