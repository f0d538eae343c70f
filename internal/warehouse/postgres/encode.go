package postgres

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// scanned is what a look over the rows of a batch gives.
type scanned struct {
	used        []bool // by column: whether it has a cell
	minReceived int64  // of the rows, event.NoTime where there is none
}

// scan looks over the rows before anything is changed for them: a value that does not fit its column's type is the caller's mistake.
func scan(t *table.Batch) (*scanned, error) {
	s := &scanned{used: make([]bool, len(t.Columns)), minReceived: event.NoTime}
	received := t.Find("received_at")
	for i := range t.Rows {
		for _, c := range t.Rows[i].Cells {
			if c.Value.Type == table.Null {
				continue
			}
			if c.Value.Type == t.Columns[c.Col].Type {
			} else if _, ok := c.Value.Cast(t.Columns[c.Col].Type); !ok || t.Columns[c.Col].Type == table.Null {
				return nil, fmt.Errorf("table %s, row %d, column %s: a value of type %v where %v belongs",
					t.Name, i, t.Columns[c.Col].Name, c.Value.Type, t.Columns[c.Col].Type)
			}
			s.used[c.Col] = true
			if int(c.Col) == received && (s.minReceived == event.NoTime || c.Value.Int64() < s.minReceived) {
				s.minReceived = c.Value.Int64()
			}
		}
	}
	return s, nil
}

// projection is how a batch's rows are written: which columns, each in which form.
type projection struct {
	batch   *table.Batch
	columns []column // of the target, in the order of writing
	place   []int    // by the batch's column: its place among columns, or -1
	fixed   []bool   // by the batch's column: the target has it and nothing can be written there
	stamps  []int    // places that take the time of the load
	now     int64    // that, in Unix microseconds
	heap    bool     // rows must fit into a page
	width   int      // columns of the target, written or not
}

// project chooses the columns that are written: those with a cell, the first, and those that take the time of the load.
func project(t *table.Batch, s *scanned, r *relation, now int64) (*projection, error) {
	p := &projection{batch: t, place: make([]int, len(t.Columns)), fixed: make([]bool, len(t.Columns)), now: now, heap: r.method != Columnar, width: r.width}
	for i, c := range t.Columns {
		p.place[i] = -1
		stamp := c.Path == "" && c.Type == table.Timestamp && (c.Name == warehouse.UUIDTS || c.Name == warehouse.LoadedAt)
		if c.Type == table.Null || !s.used[i] && !stamp && i > 0 {
			continue
		}
		have := r.get(c.Name)
		if have == nil {
			return nil, fmt.Errorf("column %s is missing", c.Name)
		}
		if have.fixed {
			p.fixed[i] = true
			continue
		}
		if stamp && have.kind != table.Timestamp {
			continue
		}
		if stamp {
			p.stamps = append(p.stamps, len(p.columns))
		}
		p.place[i] = len(p.columns)
		p.columns = append(p.columns, *have)
	}
	return p, nil
}

func (p *projection) names() []string {
	out := make([]string, len(p.columns))
	for i := range p.columns {
		out[i] = p.columns[i].name
	}
	return out
}

// rowReader writes the rows of a projection in COPY's binary format as they are asked for. What cannot be stored is listed in unfit.
type rowReader struct {
	p     *projection
	unfit []event.Discard

	mu     sync.Mutex // the driver may read on for a moment after a connection broke
	row    int
	cells  []*table.Value // of the row at hand, by place
	values []table.Value
	from   []int32 // by place: the batch's column
	buf    []byte
	at     int
	begun  bool
	ended  bool
}

// filled is how many bytes are written before they are handed on.
const filled = 60 << 10

var errEnded = errors.New("the copy has ended")

func newRowReader(p *projection) *rowReader {
	r := &rowReader{p: p, cells: make([]*table.Value, len(p.columns)), values: make([]table.Value, len(p.columns)), from: make([]int32, len(p.columns))}
	for i, at := range p.place {
		if at >= 0 {
			r.from[at] = int32(i)
		}
	}
	return r
}

// Read implements io.Reader.
func (r *rowReader) Read(to []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return 0, errEnded
	}
	if r.at == len(r.buf) {
		r.buf, r.at = r.buf[:0], 0
		r.fill()
	}
	if len(r.buf) == 0 {
		return 0, io.EOF
	}
	n := copy(to, r.buf[r.at:])
	r.at += n
	return n, nil
}

// end keeps later reads from touching the rows.
func (r *rowReader) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

func (r *rowReader) fill() {
	if !r.begun {
		r.begun = true
		r.buf = append(r.buf, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	}
	for r.row < len(r.p.batch.Rows) && len(r.buf) < filled {
		r.write(r.row)
		r.row++
	}
	if r.row == len(r.p.batch.Rows) {
		r.buf = append(r.buf, 0xff, 0xff)
		r.row++
	}
}

// write adds one row to buf.
func (r *rowReader) write(row int) {
	clear(r.cells)
	for _, at := range r.p.stamps {
		r.values[at] = table.Time(r.p.now)
		r.cells[at] = &r.values[at]
	}
	for _, c := range r.p.batch.Rows[row].Cells {
		if c.Value.Type == table.Null {
			continue
		}
		at := r.p.place[c.Col]
		if at < 0 {
			if r.p.fixed[c.Col] {
				r.discard(row, c.Col, c.Value, table.String, warehouse.ReasonGenerated)
			}
			continue
		}
		if v, reason := r.p.columns[at].take(c.Value); reason == "" {
			r.values[at] = v
			r.cells[at] = &r.values[at]
		} else {
			r.discard(row, c.Col, c.Value, r.p.columns[at].kind, reason)
		}
	}
	if r.p.heap && len(r.p.columns) > maxHeapRow/pointerBytes {
		r.shorten(row)
	}
	r.buf = binary.BigEndian.AppendUint16(r.buf, uint16(len(r.cells)))
	for i, v := range r.cells {
		if v == nil {
			r.buf = append(r.buf, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		r.buf = r.p.columns[i].appendValue(r.buf, v)
	}
}

// take turns a value into one that the column holds exactly, or says why it cannot.
func (c *column) take(v table.Value) (table.Value, string) {
	if c.form == formOdd {
		v = table.Text(v.String())
	} else if v.Type != c.kind {
		cast, ok := v.Cast(c.kind)
		if !ok {
			return v, "incompatible schema conversion from " + c.kind.String() + " to " + v.Type.String()
		}
		v = cast
	}
	switch v.Type {
	case table.String:
		switch {
		case strings.IndexByte(v.Text, 0) >= 0:
			return v, warehouse.ReasonNUL
		case !utf8.ValidString(v.Text):
			return v, warehouse.ReasonNotUTF8
		case len(v.Text) > maxText:
			return v, warehouse.ReasonTooLong
		}
	case table.Timestamp:
		if us := v.Int64(); us < minTime+epoch || us-epoch >= maxTime || us < math.MinInt64+epoch {
			return v, warehouse.ReasonRange
		}
	}
	if c.narrow() {
		if reason, _ := c.refuses(v); reason != "" {
			return v, reason
		}
	}
	return v, ""
}

// appendValue writes a value that take has let through.
func (c *column) appendValue(b []byte, v *table.Value) []byte {
	be := binary.BigEndian
	switch c.form {
	case formBool:
		return append(b, 0, 0, 0, 1, byte(v.Bits))
	case formInt2:
		return be.AppendUint16(append(b, 0, 0, 0, 2), uint16(v.Bits))
	case formInt4:
		return be.AppendUint32(append(b, 0, 0, 0, 4), uint32(v.Bits))
	case formInt8, formFloat8:
		return be.AppendUint64(append(b, 0, 0, 0, 8), v.Bits)
	case formFloat4:
		return be.AppendUint32(append(b, 0, 0, 0, 4), math.Float32bits(float32(v.Float64())))
	case formTimestamp:
		return be.AppendUint64(append(b, 0, 0, 0, 8), uint64(v.Int64()-epoch))
	}
	return append(be.AppendUint32(b, uint32(len(v.Text))), v.Text...)
}

// shorten leaves out values from the end of a row that does not fit into a page, however much of it lies beside the page.
func (r *rowReader) shorten(row int) {
	for size := r.rowSize(); size > maxHeapRow; size = r.rowSize() {
		last := -1
		for i, v := range r.cells {
			if v != nil && i > 0 && r.p.columns[i].name != "received_at" {
				last = i
			}
		}
		if last < 0 {
			return
		}
		r.discard(row, r.from[last], *r.cells[last], r.p.columns[last].kind, warehouse.ReasonRow)
		r.cells[last] = nil
	}
}

// rowSize is what the row takes of a page at least: its header, and each value at its alignment or the pointer to where it lies.
func (r *rowReader) rowSize() int {
	size, values := 0, 0
	for i, v := range r.cells {
		if v == nil {
			continue
		}
		values++
		switch r.p.columns[i].form {
		case formBool:
			size++
		case formInt2:
			size = (size+1)&^1 + 2
		case formInt4, formFloat4:
			size = (size+3)&^3 + 4
		case formInt8, formFloat8, formTimestamp:
			size = (size+7)&^7 + 8
		default:
			size += min(len(v.Text)+1, pointerBytes)
		}
	}
	header := 23
	if values < r.p.width {
		header += (r.p.width + 7) / 8 // which columns are NULL
	}
	return (header+7)&^7 + (size+7)&^7
}

func (r *rowReader) discard(row int, col int32, v table.Value, to table.Type, reason string) {
	t := r.p.batch
	r.unfit = append(r.unfit, event.Discard{
		TableName: t.Name, ColumnName: t.Columns[col].Name, Value: readable(v.String()), ValueType: v.Type.String(), ColumnType: to.String(),
		Reason: reason, RowID: readable(t.Get(row, t.Columns[0].Name).String()), ReceivedAt: receivedAt(t, row),
	})
}

func receivedAt(t *table.Batch, row int) int64 {
	if v := t.Get(row, "received_at"); v.Type == table.Timestamp {
		return v.Int64()
	}
	return event.NoTime
}

// readable makes of any text one that the discards can hold: what is no text of the server's is quoted, and what is very long is cut.
func readable(s string) string {
	if len(s) > maxDiscard {
		s = s[:maxDiscard]
		for range utf8.UTFMax - 1 {
			if r, n := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && n == 1 {
				s = s[:len(s)-1]
			}
		}
	}
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strconv.QuoteToASCII(s)
}
