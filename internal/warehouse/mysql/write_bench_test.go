package mysql

import (
	"fmt"
	"strings"
	"testing"

	"firth/internal/table"
	"firth/internal/warehouse"
	rig "firth/test/server"
)

// BenchmarkWrite loads batches of 20,000 rows of 25 columns, by LOAD DATA LOCAL and by INSERT.
func BenchmarkWrite(b *testing.B) {
	m := rig.MariaDB(b, "11.4")
	for _, insert := range []bool{false, true} {
		b.Run(fmt.Sprintf("insert=%v", insert), func(b *testing.B) {
			m.Wipe()
			db, err := Open(b.Context(), m.Admin, Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() {
				if err := db.Close(); err != nil {
					b.Error(err)
				}
			}()
			db.noInfile = insert
			const rows = 20_000
			t := wide(rows)
			n := uint64(0)
			for b.Loop() {
				w := &warehouse.Batch{Source: "s", Schema: "s", Log: "l", From: n * rows, To: (n + 1) * rows, Tables: []*table.Batch{t}}
				if _, err := db.Load(b.Context(), w); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64(n*rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

func wide(rows int) *table.Batch {
	t := &table.Batch{Name: "tracks", Columns: []table.Column{{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}}}
	for i := range 23 {
		kind := []table.Type{table.String, table.Integer, table.Float, table.Timestamp, table.Boolean}[i%5]
		t.Columns = append(t.Columns, table.Column{Name: fmt.Sprintf("c%d", i), Type: kind, Path: "x"})
	}
	for r := range rows {
		cells := []table.Cell{{Col: 0, Value: table.Text(fmt.Sprintf("ajs-next-%013d-022bb90c-bbac-11e4", r))}, {Col: 1, Value: table.Time(1_700_000_000_000_000 + int64(r))}}
		for i := range 23 {
			v := []table.Value{table.Text(strings.Repeat("text ", 6)), table.Int(int64(r * i)), table.Float64(float64(r) / 7), table.Time(1_700_000_000_000_000), table.Bool(true)}[i%5]
			cells = append(cells, table.Cell{Col: int32(i + 2), Value: v})
		}
		t.Rows = append(t.Rows, table.Row{Cells: cells})
	}
	return t
}
