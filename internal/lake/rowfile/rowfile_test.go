package rowfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

type row struct {
	ID, Kind string
	Body     []byte
	N, At    int64
}

const none = math.MinInt64

func number(p func(*row) *int64) (func(*row) (int64, bool), func(*row, int64)) {
	return func(r *row) (int64, bool) { return *p(r), *p(r) != none }, func(r *row, v int64) { *p(r) = v }
}

func newRows() *Table[row] {
	n, setN := number(func(r *row) *int64 { return &r.N })
	at, setAt := number(func(r *row) *int64 { return &r.At })
	return NewTable("test", row{N: none, At: none}, []Column[row]{
		{ID: 7, Name: "z_id", Kind: Text, Bloom: true, Bytes: func(r *row) []byte { return []byte(r.ID) }, SetText: func(r *row, s string) { r.ID = s }},
		{ID: 3, Name: "kind", Kind: Text, Repeats: true, Bytes: func(r *row) []byte { return []byte(r.Kind) }, SetText: func(r *row, s string) { r.Kind = s }},
		{ID: 9, Name: "body", Kind: JSON, Bytes: func(r *row) []byte { return r.Body }, SetBytes: func(r *row, b []byte) { r.Body = b }},
		{ID: 1, Name: "n", Kind: Long, Number: n, SetNumber: setN},
		{ID: 2, Name: "at", Kind: Time, Number: at, SetNumber: setAt},
	}, "kind", "at")
}

func randomRows(r *rand.Rand, n int) []*row {
	rows := make([]*row, n)
	for i := range rows {
		rows[i] = &row{ID: fmt.Sprintf("id-%d", i), Kind: fmt.Sprint("kind ", r.IntN(5)), Body: []byte(strings.Repeat("x", r.IntN(3000)+1)), N: int64(i), At: r.Int64()}
		switch r.IntN(6) {
		case 0:
			rows[i].Body, rows[i].Kind = nil, ""
		case 1:
			rows[i].At = none
		case 2:
			rows[i].At, rows[i].N = -r.Int64(), 0
		}
	}
	return rows
}

func write(t testing.TB, w *Writer[row], rows []*row) ([]byte, *Stats) {
	t.Helper()
	var out bytes.Buffer
	stats, err := w.Write(&out, rows)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), stats
}

func open(t testing.TB, table *Table[row], b []byte) *File[row] {
	t.Helper()
	f, err := Open(table, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func all(t testing.TB, f *File[row], s Scan, keep func(*row) bool) []row {
	t.Helper()
	var out []row
	err := f.Scan(s, keep, func(r *row) error {
		own := *r
		own.Body = bytes.Clone(r.Body)
		out = append(out, own)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestRoundTrip writes files of many sizes with one writer, which keeps its buffers.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	table := newRows()
	w := NewWriter(table)
	for _, n := range []int{1, 2, batchRows - 1, batchRows, batchRows + 1, 5000, RowsPerGroup + 3, 1} {
		rows := randomRows(r, n)
		b, stats := write(t, w, rows)
		f := open(t, table, b)
		got := all(t, f, Scan{}, nil)
		if f.Rows() != int64(n) || stats.Rows != int64(n) || len(got) != n {
			t.Fatalf("%d rows written, %d read, the footer says %d", n, len(got), f.Rows())
		}
		nulls := map[string]int64{}
		for i := range rows {
			if !reflect.DeepEqual(*rows[i], got[i]) {
				t.Fatalf("row %d of %d is %+v, want %+v", i, n, got[i], *rows[i])
			}
			if rows[i].Body == nil {
				nulls["body"]++
			}
			if rows[i].At == none {
				nulls["at"]++
			}
		}
		for _, c := range stats.Columns {
			if (c.Name == "body" || c.Name == "at") && c.Nulls != nulls[c.Name] {
				t.Errorf("%s has %d nulls, want %d", c.Name, c.Nulls, nulls[c.Name])
			}
			if c.Size <= 0 {
				t.Errorf("%s has no size", c.Name)
			}
		}
		if want := (n + RowsPerGroup - 1) / RowsPerGroup; len(stats.Splits) != want || stats.Splits[0] != 4 {
			t.Errorf("%d rows: splits %v, want %d of them from 4 on", n, stats.Splits, want)
		}
	}
}

func TestScan(t *testing.T) {
	table := newRows()
	rows := randomRows(rand.New(rand.NewPCG(2, 2)), RowsPerGroup+5000)
	for i, r := range rows {
		r.N = int64(i)
	}
	b, _ := write(t, NewWriter(table), rows)
	f := open(t, table, b)
	wanted := func(r *row) bool { return r.N%1000 == 7 }
	for _, s := range []Scan{{}, {Probe: []string{"n"}}, {Probe: []string{"n"}, Columns: []string{"z_id", "n"}}} {
		got := all(t, f, s, wanted)
		if len(got) != 38 {
			t.Fatalf("%+v: %d rows, want 38", s, len(got))
		}
		for i, r := range got {
			want := *rows[i*1000+7]
			if s.Columns != nil {
				want = row{ID: want.ID, N: want.N, At: none}
			}
			if !reflect.DeepEqual(r, want) {
				t.Fatalf("%+v: row %d is %+v, want %+v", s, i, r, want)
			}
		}
	}
	stop := errors.New("enough")
	n := 0
	err := f.Scan(Scan{}, nil, func(*row) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("the scan went on for %d rows: %v", n, err)
	}
	if err := f.Scan(Scan{Columns: []string{"nothing"}}, nil, nil); err == nil {
		t.Error("an unknown column is no error")
	}
}

func TestBlooms(t *testing.T) {
	table := newRows()
	rows := randomRows(rand.New(rand.NewPCG(3, 3)), RowsPerGroup+100)
	b, _ := write(t, NewWriter(table), rows)
	blooms, err := open(t, table, b).Blooms("z_id")
	if err != nil || len(blooms) != 2 {
		t.Fatalf("%d filters, %v", len(blooms), err)
	}
	wrong := 0
	for i, r := range rows {
		if !blooms[i/RowsPerGroup].MayHold(r.ID) {
			t.Fatalf("%s is not in its filter", r.ID)
		}
		if blooms[i/RowsPerGroup].MayHold("other " + r.ID) {
			wrong++
		}
	}
	if wrong > len(rows)/50 {
		t.Errorf("%d of %d guesses were wrong", wrong, len(rows))
	}
	if _, err := open(t, table, b).Blooms("kind"); err == nil {
		t.Error("a column without filters is no error")
	}
}

func TestBoundsOfTexts(t *testing.T) {
	long := strings.Repeat("é", boundRunes)
	last := strings.Repeat(string(utf8.MaxRune), boundRunes)
	for _, tt := range []struct{ value, lower, upper string }{
		{"a", "a", "a"},
		{long, long, long},
		{long + "x", long, strings.Repeat("é", boundRunes-1) + "ê"},
		{long[:len(long)-2] + "\uD7FFx", long[:len(long)-2] + "\uD7FF", long[:len(long)-2] + "\uE000"},
		{"b" + last, "b" + last[:len(last)-4], "c"},
		{last + "x", last, ""},
	} {
		c := ColumnStats{Kind: Text}
		c.text([]byte(tt.value))
		lower, upper := c.Bounds()
		if string(lower) != tt.lower || string(upper) != tt.upper {
			t.Errorf("bounds of %q are %q and %q, want %q and %q", tt.value, lower, upper, tt.lower, tt.upper)
		}
		if string(lower) > tt.value || upper != nil && string(upper) < tt.value {
			t.Errorf("%q does not lie between %q and %q", tt.value, lower, upper)
		}
	}
}

func TestBoundsOfNumbers(t *testing.T) {
	c := ColumnStats{Kind: Long, Min: math.MaxInt64, Max: math.MinInt64}
	if lower, upper := c.Bounds(); lower != nil || upper != nil {
		t.Error("a column of nulls has bounds")
	}
	for _, v := range []int64{5, -3, 9} {
		c.number(v)
	}
	lower, upper := c.Bounds()
	if int64(binary.LittleEndian.Uint64(lower)) != -3 || int64(binary.LittleEndian.Uint64(upper)) != 9 {
		t.Errorf("bounds are % x and % x", lower, upper)
	}
}

func TestOtherFilesAreRefused(t *testing.T) {
	table := newRows()
	b, _ := write(t, NewWriter(table), randomRows(rand.New(rand.NewPCG(4, 4)), 10))
	for name, bad := range map[string][]byte{"empty": {}, "cut": b[:len(b)-3], "text": []byte("PAR1 no parquet PAR1")} {
		if _, err := Open(table, bytes.NewReader(bad), int64(len(bad))); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	fewer := NewTable("other", row{}, newRows().columns[:3])
	if _, err := Open(fewer, bytes.NewReader(b), int64(len(b))); err == nil {
		t.Error("a file of other columns was opened")
	}
}
