package rowfile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// versions are the shapes of a table before and after it got the column body.
func versions() (before, now *Table[row]) {
	columns := slices.Clone(newRows().columns)
	body := columns[2]
	body.Added = true
	columns = slices.Delete(columns, 2, 3)
	blank := row{N: none, At: none}
	return NewTable("test", blank, columns, "kind", "at"), NewTable("test", blank, append(slices.Clone(columns), body), "kind", "at")
}

// older writes rows without their bodies, as an earlier version did.
func older(t testing.TB, rows []*row) []byte {
	t.Helper()
	before, _ := versions()
	for _, r := range rows {
		r.Body = nil
	}
	b, _ := write(t, NewWriter(before), rows)
	return b
}

func TestReadFileWithoutAddedColumn(t *testing.T) {
	_, now := versions()
	rows := randomRows(rand.New(rand.NewPCG(3, 1)), RowsPerGroup+10)
	f := open(t, now, older(t, rows))
	for _, scan := range []Scan{{}, {Probe: []string{"n"}}, {Probe: []string{"n"}, Columns: []string{"body", "z_id", "kind", "n", "at"}}} {
		got := all(t, f, scan, nil)
		if len(got) != len(rows) {
			t.Fatalf("%d rows, want %d", len(got), len(rows))
		}
		for i := range rows {
			if !reflect.DeepEqual(got[i], *rows[i]) {
				t.Fatalf("row %d is %+v, want %+v", i, got[i], *rows[i])
			}
		}
	}
	if got := all(t, f, Scan{Columns: []string{"body"}}, nil); len(got) != len(rows) || !reflect.DeepEqual(got[0], row{N: none, At: none}) {
		t.Errorf("of the absent column alone: %d rows, %+v", len(got), got[0])
	}
	if _, err := f.Blooms("z_id"); err != nil {
		t.Error(err)
	}
	if _, err := f.Blooms("body"); err == nil {
		t.Error("an absent column has a Bloom filter")
	}
}

func TestRefuseOtherColumns(t *testing.T) {
	before, now := versions()
	rows := randomRows(rand.New(rand.NewPCG(3, 2)), 3)
	newer, _ := write(t, NewWriter(now), rows)
	if _, err := Open(before, bytes.NewReader(newer), int64(len(newer))); err == nil || !strings.Contains(err.Error(), `"body"`) {
		t.Errorf("a file of a newer version: %v", err)
	}
	short := NewTable("test", row{}, before.columns[:3], "kind")
	b, _ := write(t, NewWriter(short), rows)
	if _, err := Open(now, bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), `"at"`) {
		t.Errorf("a file without a column that all have: %v", err)
	}
}

// Files with and without the column are merged, in any mixture, and the sums of the rows agree with those of the outcome.
func TestMergeMixedVersions(t *testing.T) {
	before, now := versions()
	for _, tt := range []struct {
		name string
		old  []bool // of each input
	}{
		{"all old", []bool{true, true}}, {"old and new", []bool{true, false, true, false}}, {"new and old", []bool{false, true}},
	} {
		for _, workers := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, workers), func(t *testing.T) {
				m := Merge[row]{Table: now, Sums: NewSums(now), Memory: 4 << 20, Temp: t.TempDir(), Workers: workers}
				at := map[*row]Ref{}
				var want []*row
				for i, old := range tt.old {
					rows := randomRows(rand.New(rand.NewPCG(4, uint64(i))), []int{RowsPerGroup + 700, 3000}[i%2])
					for _, x := range rows {
						x.ID = fmt.Sprintf("%d of %s", i, x.ID)
					}
					slices.SortFunc(rows, inOrder)
					table := now
					if old {
						table = before
						for _, x := range rows {
							x.Body = nil
						}
					}
					b, _ := write(t, NewWriter(table), rows)
					in, err := OpenInput(now, bytes.NewReader(b), int64(len(b)))
					if err != nil {
						t.Fatal(err)
					}
					m.Inputs = append(m.Inputs, in)
					for k, x := range rows {
						if x.N%7 != 0 { // left out, as duplicates are
							at[x], want = Ref{uint32(i), uint32(k)}, append(want, x)
						}
					}
				}
				slices.SortStableFunc(want, inOrder)
				for _, x := range want {
					m.Order = append(m.Order, at[x])
				}
				var out bytes.Buffer
				stats, sum, _, err := m.Write(t.Context(), &out)
				if err != nil {
					t.Fatal(err)
				}
				checkMerged(t, now, out.Bytes(), want, stats)
				back, err := OpenInput(now, bytes.NewReader(out.Bytes()), int64(out.Len()))
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
