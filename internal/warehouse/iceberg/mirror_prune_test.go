package iceberg

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// TestUpsertReadsOnlyFilesOfItsKeys: files whose bounds have none of the keys are not opened, by numbers and by texts; they may be away.
func TestUpsertReadsOnlyFilesOfItsKeys(t *testing.T) {
	for _, kind := range []vector.Type{{Kind: vector.Int, Bits: 64}, {Kind: vector.Text}} {
		s := newStand(t, t.TempDir())
		m := mirrorsOf(s)
		t.Cleanup(func() { _ = m.Close() })
		columns := []vector.Column{{Name: "id", Type: kind}, {Name: "v", Type: vector.Type{Kind: vector.Int, Bits: 64}}}
		at := warehouse.MirrorTable{Name: "people", Schema: "company", Table: "people"}
		publish := func(mode warehouse.PublishMode, v int64, ids ...int) *warehouse.Published {
			t.Helper()
			stage, err := m.Stage(t.Context(), at, warehouse.StageOptions{Run: fmt.Sprint(v), Columns: columns})
			if err != nil {
				t.Fatal(err)
			}
			c := vector.NewChunk(columns)
			for _, id := range ids {
				if kind.Kind == vector.Text {
					c.Vectors[0].AppendString(fmt.Sprintf("k'%04d", id))
				} else {
					c.Vectors[0].AppendNum(int64(id))
				}
				c.Vectors[1].AppendNum(v)
				c.Rows++
			}
			if _, err := stage.Write(t.Context(), c, nil); err != nil {
				t.Fatal(err)
			}
			out, err := stage.Publish(t.Context(), &warehouse.Publication{Mode: mode, Key: []string{"id"}, Deletes: 1, At: time.Now(), State: json.RawMessage("1")})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		publish(warehouse.PublishUpsert, 1, -5, 1, 2, 3)
		publish(warehouse.PublishUpsert, 2, 101, 102, 103)
		publish(warehouse.PublishAppend, 3, 201, 202, 203)
		files := s.look("company", "people").files
		if len(files) != 3 {
			t.Fatalf("%d files", len(files))
		}
		away := map[string]string{}
		for _, f := range files[:len(files)-1] { // all but that of the least keys
			away[f.path] = filepath.Join(t.TempDir(), filepath.Base(f.path))
			if err := os.Rename(f.path, away[f.path]); err != nil {
				t.Fatal(err)
			}
		}
		if got := publish(warehouse.PublishUpsert, 4, 2, 3, 50, 300); got.Updated != 2 || got.Inserted != 2 {
			t.Errorf("%+v", got)
		}
		for path, from := range away {
			if err := os.Rename(from, path); err != nil {
				t.Fatal(err)
			}
		}
		s.refresh()
		var n, ids, sum int
		if err := s.reader.QueryRow("SELECT count(*), count(DISTINCT id), sum(v) FROM company.people").Scan(&n, &ids, &sum); err != nil {
			t.Fatal(err)
		}
		if n != 12 || ids != 12 || sum != 2*1+3*2+3*3+4*4 {
			t.Errorf("%d rows, %d ids, sum %d", n, ids, sum)
		}
	}
}
