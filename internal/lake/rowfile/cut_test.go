package rowfile

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// grouped writes rows in row groups of at most so many.
func grouped(t testing.TB, table *Table[row], rows []*row, size int) []byte {
	t.Helper()
	w := NewLargeWriter(table)
	var out bytes.Buffer
	w.Begin(&out)
	for group := range slices.Chunk(rows, size) {
		if err := w.Group(group); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.End(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestCut cuts rows out of files and compares with what a writer makes of the rest; then it cuts the result again.
func TestCut(t *testing.T) {
	table := newRows()
	for name, gone := range map[string]func(i int) bool{
		"one row":                   func(i int) bool { return i == 1234 },
		"nothing":                   func(int) bool { return false },
		"the first row":             func(i int) bool { return i == 0 },
		"the last row":              func(i int) bool { return i == 4999 },
		"row groups as a whole":     func(i int) bool { return i >= 700 && i < 2100 },
		"all but a row":             func(i int) bool { return i != 3333 },
		"a row of every row group":  func(i int) bool { return i%700 == 5 },
		"the first and last groups": func(i int) bool { return i < 700 || i >= 4900 },
	} {
		t.Run(name, func(t *testing.T) {
			rows := randomRows(rand.New(rand.NewPCG(3, 4)), 5000)
			file := grouped(t, table, rows, 700)
			for _, drop := range []func(i int) bool{gone, func(i int) bool { return i%997 == 996 }} {
				var places []int64
				var want []*row
				for i, r := range rows {
					if drop(i) {
						places = append(places, int64(i))
					} else {
						want = append(want, r)
					}
				}
				cut := Cut[row]{Table: table, Memory: 1 << 20, Temp: t.TempDir(), Workers: 2}
				var out bytes.Buffer
				stats, err := cut.Write(t.Context(), &out, bytes.NewReader(file), int64(len(file)), places)
				if err != nil {
					t.Fatal(err)
				}
				checkCut(t, table, file, out.Bytes(), rows, want, drop, stats)
				file, rows = out.Bytes(), want
			}
		})
	}
}

// checkCut compares a file with the rows that it must hold, and row groups that lost no row with those of the file before.
func checkCut(t *testing.T, table *Table[row], before, b []byte, rows, want []*row, gone func(int) bool, stats *Stats) {
	t.Helper()
	checkMerged(t, table, b, want, stats)
	if err := CheckCut(table, bytes.NewReader(b), int64(len(b)), int64(len(want))); err != nil {
		t.Fatal(err)
	}
	if err := CheckCut(table, bytes.NewReader(b), int64(len(b)), int64(len(want)+1)); err == nil {
		t.Error("a row too few is not seen")
	}
	old, now := view(t, before), view(t, b)
	at, next := 0, 0
	for i, g := range old.RowGroups() {
		kept, whole := 0, true
		for k := range int(g.NumRows()) {
			if gone(at + k) {
				whole = false
			} else {
				kept++
			}
		}
		at += int(g.NumRows())
		if kept == 0 {
			continue
		}
		for c := range g.ColumnChunks() {
			a, b := chunk(t, before, old, i, c), chunk(t, b, now, next, c)
			if bytes.Equal(a, b) != whole {
				t.Errorf("row group %d, column %d, loses no row: %v; is copied: %v", i, c, whole, !whole)
			}
		}
		next++
	}
	if at != len(rows) || next != len(now.RowGroups()) {
		t.Errorf("%d rows in row groups, want %d; %d row groups, want %d", at, len(rows), len(now.RowGroups()), next)
	}
	place := 0
	for i, g := range now.RowGroups() { // the page index leads to the same rows
		if m := now.Metadata().RowGroups[i]; int(m.Ordinal) != i || m.FileOffset != stats.Splits[i] {
			t.Errorf("row group %d is number %d at %d, want %d", i, m.Ordinal, m.FileOffset, stats.Splits[i])
		}
		for _, k := range []int64{0, g.NumRows() / 2, g.NumRows() - 1} {
			pages := g.ColumnChunks()[0].Pages()
			if err := pages.SeekToRow(k); err != nil {
				t.Fatal(err)
			}
			page, err := pages.ReadPage()
			if err != nil {
				t.Fatal(err)
			}
			values := make([]parquet.Value, 1)
			if n, _ := page.Values().ReadValues(values); n != 1 || values[0].String() != want[place+int(k)].ID {
				t.Errorf("row %d of row group %d is %v, want %s", k, i, values, want[place+int(k)].ID)
			}
			parquet.Release(page)
			if err := pages.Close(); err != nil {
				t.Fatal(err)
			}
		}
		place += int(g.NumRows())
	}
}

func view(t *testing.T, b []byte) *parquet.File {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// chunk is the bytes of a column of a row group.
func chunk(t *testing.T, b []byte, f *parquet.File, group, column int) []byte {
	t.Helper()
	m := &f.Metadata().RowGroups[group].Columns[column].MetaData
	start := m.DataPageOffset
	if m.DictionaryPageOffset > 0 {
		start = min(start, m.DictionaryPageOffset)
	}
	return b[start : start+m.TotalCompressedSize]
}

// TestCutLeavesNoTrace looks for the values of a row, the least and the greatest of their columns, in what is written about them.
func TestCutLeavesNoTrace(t *testing.T) {
	table := newRows()
	rows := randomRows(rand.New(rand.NewPCG(5, 6)), 2100)
	rows[100].ID, rows[100].Kind = "\x01first-of-all", "\x01a kind of its own"
	rows[101].ID, rows[101].Kind = "zzz-last-of-all", "zzz kind of its own"
	file := grouped(t, table, rows, 700)
	var out bytes.Buffer
	cut := Cut[row]{Table: table, Memory: 1 << 20, Workers: 1}
	stats, err := cut.Write(t.Context(), &out, bytes.NewReader(file), int64(len(file)), []int64{100, 101})
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range []string{"-of-all", "of its own"} {
		if !bytes.Contains(file, []byte(trace)) {
			t.Errorf("%q is nowhere before", trace)
		}
		if bytes.Contains(out.Bytes(), []byte(trace)) || bytes.Contains(fmt.Append(nil, stats.Columns), []byte(trace)) {
			t.Errorf("%q is still there", trace)
		}
	}
}

func TestCutRefuses(t *testing.T) {
	_, now := versions()
	rows := randomRows(rand.New(rand.NewPCG(7, 8)), 100)
	old := older(t, rows)
	cut := Cut[row]{Table: now, Memory: 1 << 20, Workers: 1}
	var out bytes.Buffer
	if _, err := cut.Write(t.Context(), &out, bytes.NewReader(old), int64(len(old)), []int64{3}); !errors.Is(err, ErrShape) || out.Len() > 0 {
		t.Errorf("a file without a column: %v, %d bytes were written", err, out.Len())
	}
	table := newRows()
	file := grouped(t, table, rows, 30)
	cut.Table = table
	full := errors.New("full")
	if _, err := cut.Write(t.Context(), failing{full}, bytes.NewReader(file), int64(len(file)), []int64{3}); !errors.Is(err, full) {
		t.Errorf("a writer that fails: %v", err)
	}
	// A footer that promises what is not there is an error, and nothing worse.
	short := slices.Concat(file[:40], file[len(file)-4000:])
	if _, err := cut.Write(t.Context(), &out, bytes.NewReader(short), int64(len(short)), []int64{3}); err == nil {
		t.Error("half a file was copied")
	}
}
