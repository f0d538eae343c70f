package rowfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func inOrder(a, b *row) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.At, b.At), cmp.Compare(a.N, b.N))
}

// inputs writes sorted files of random rows, and returns the order that merges them, less every row that drop chooses.
func inputs(t testing.TB, table *Table[row], r *rand.Rand, drop func(*row) bool, sizes ...int) (in []*Input, order []Ref, want []*row) {
	t.Helper()
	w := NewWriter(table)
	at := map[*row]Ref{}
	for i, n := range sizes {
		rows := randomRows(r, n)
		for _, x := range rows {
			x.ID = fmt.Sprintf("%d of %s", i, x.ID)
		}
		slices.SortFunc(rows, inOrder)
		b, _ := write(t, w, rows)
		f, err := OpenInput(table, bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, f)
		for k, x := range rows {
			if !drop(x) {
				at[x] = Ref{uint32(i), uint32(k)}
				want = append(want, x)
			}
		}
	}
	slices.SortStableFunc(want, inOrder)
	for _, x := range want {
		order = append(order, at[x])
	}
	return in, order, want
}

func TestMerge(t *testing.T) {
	table := newRows()
	keepAll := func(*row) bool { return false }
	for _, tt := range []struct {
		name   string
		memory int64
		spills bool
		drop   func(*row) bool
		sizes  []int
	}{
		{"one row", 64 << 20, false, keepAll, []int{1}},
		{"small files", 64 << 20, false, keepAll, []int{5, 1, 700, 3000, 2}},
		{"dropped rows", 64 << 20, false, func(r *row) bool { return r.N%3 == 0 }, []int{4000, 4000}},
		{"a whole input dropped", 64 << 20, false, func(r *row) bool { return r.ID[0] == '1' }, []int{400, 4000, 1000}},
		{"several row groups", 64 << 20, false, keepAll, []int{RowsPerGroup + 10, 9000, 20_000}},
		{"no memory", 256 << 10, true, keepAll, []int{20_000, 9000, 700}},
	} {
		for _, workers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, workers), func(t *testing.T) {
				in, order, want := inputs(t, table, rand.New(rand.NewPCG(7, 7)), tt.drop, tt.sizes...)
				m := Merge[row]{Table: table, Inputs: in, Order: order, Sums: NewSums(table), Memory: tt.memory, Temp: t.TempDir(), Workers: workers}
				var out bytes.Buffer
				stats, sum, cost, err := m.Write(t.Context(), &out)
				if err != nil {
					t.Fatal(err)
				}
				if (cost.Spilled > 0) != tt.spills {
					t.Errorf("%d bytes were spilled", cost.Spilled)
				}
				checkMerged(t, table, out.Bytes(), want, stats)
				back, err := OpenInput(table, bytes.NewReader(out.Bytes()), int64(out.Len()))
				if err != nil {
					t.Fatal(err)
				}
				if got, err := m.Sums.Of(t.Context(), back, workers, nil); err != nil || got != sum {
					t.Errorf("the sum is %+v, want %+v, %v", got, sum, err)
				}
			})
		}
	}
}

func checkMerged(t *testing.T, table *Table[row], b []byte, want []*row, stats *Stats) {
	t.Helper()
	f := open(t, table, b)
	got := all(t, f, Scan{}, nil)
	if len(got) != len(want) || f.Rows() != int64(len(want)) || stats.Rows != int64(len(want)) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], *want[i]) {
			t.Fatalf("row %d is %+v, want %+v", i, got[i], *want[i])
		}
	}
	_, plain := write(t, NewWriter(table), want)
	for i := range stats.Columns {
		a, b := stats.Columns[i], plain.Columns[i]
		a.Size, b.Size = 0, 0
		if a != b {
			t.Errorf("column %s is described as %+v, want %+v", a.Name, a, b)
		}
	}
	blooms, err := f.Blooms("z_id")
	if err != nil {
		t.Fatal(err)
	}
	if len(blooms) != len(stats.Splits) {
		t.Fatalf("%d filters for %d row groups", len(blooms), len(stats.Splits))
	}
	if !blooms[0].MayHold(want[0].ID) || !blooms[len(blooms)-1].MayHold(want[len(want)-1].ID) {
		t.Error("a row is not in its filter")
	}
}

// TestSumsTellRowsApart changes one thing at a time.
func TestSumsTellRowsApart(t *testing.T) {
	table := newRows()
	sums := NewSums(table)
	of := func(rows ...row) Sum {
		t.Helper()
		var all []*row
		for i := range rows {
			all = append(all, &rows[i])
		}
		b, _ := write(t, NewWriter(table), all)
		in, err := OpenInput(table, bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := sums.Of(t.Context(), in, 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := row{ID: "a", Kind: "x", Body: []byte("1"), N: 1, At: 5}, row{ID: "b", Kind: "y", Body: []byte("2"), N: 2, At: none}
	want := of(a, b)
	if of(b, a) != want {
		t.Error("the order of rows matters")
	}
	mixed, mixed2 := a, b
	mixed.Body, mixed2.Body = b.Body, a.Body
	other, null := a, a
	other.At, null.At = 6, none
	for name, got := range map[string]Sum{"columns of two rows mixed": of(mixed, mixed2), "a row twice": of(a, a), "a row less": of(a),
		"a number changed": of(other, b), "a value gone": of(null, b)} {
		if got.Hash == want.Hash {
			t.Errorf("%s: not seen", name)
		}
	}
}

func TestMergeEnds(t *testing.T) {
	table := newRows()
	in, order, _ := inputs(t, table, rand.New(rand.NewPCG(8, 8)), func(*row) bool { return false }, 3000, 3000)
	m := Merge[row]{Table: table, Inputs: in, Order: order, Sums: NewSums(table), Memory: 8 << 20, Workers: 2}
	full := errors.New("full")
	if _, _, _, err := m.Write(t.Context(), failing{full}); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
	m.Order = append(m.Order, Ref{1, 3000})
	if _, _, _, err := m.Write(t.Context(), &bytes.Buffer{}); err == nil {
		t.Error("a row beyond the end is no error")
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
