package rowfile

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
)

// Every file of a writer names its columns and its order in each row group, the second and one after a file that was given up too: readers in Java
// find columns by these names.
func TestFootersNameTheColumns(t *testing.T) {
	w := NewWriter(newRows())
	rows := randomRows(rand.New(rand.NewPCG(1, 2)), 50)
	for i := range 4 {
		if i == 2 { // given up
			w.Begin(io.Discard)
			if err := w.Group(rows); err != nil {
				t.Fatal(err)
			}
		}
		var out bytes.Buffer
		w.Begin(&out)
		for range 3 {
			if err := w.Group(rows); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.End(); err != nil {
			t.Fatal(err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range f.Metadata().RowGroups {
			var names, order []string
			for _, c := range group.Columns {
				names = append(names, fmt.Sprintf("%q", c.MetaData.PathInSchema))
			}
			for _, s := range group.SortingColumns {
				order = append(order, fmt.Sprint(s.ColumnIdx, s.Descending, s.NullsFirst))
			}
			if diff := cmp.Diff([]string{`["z_id"]`, `["kind"]`, `["body"]`, `["n"]`, `["at"]`}, names); diff != "" {
				t.Errorf("file %d: names: %s", i, diff)
			}
			if diff := cmp.Diff([]string{"1 false true", "4 false true"}, order); diff != "" {
				t.Errorf("file %d: order: %s", i, diff)
			}
		}
	}
}
