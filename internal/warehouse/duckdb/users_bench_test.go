package duckdb_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// usersBatch upserts n users, every step-th from first on.
func usersBatch(at uint64, first, n, step int) *warehouse.Batch {
	t := &table.Batch{Name: "users", Columns: []table.Column{
		{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "uuid_ts", Type: table.Timestamp},
		{Name: "email", Type: table.String}, {Name: "plan", Type: table.String}, {Name: "seats", Type: table.Integer},
	}}
	for i := range n {
		id := uint64(first+i*step) * 0x9e3779b97f4a7c15 // in no order
		t.Rows = append(t.Rows, table.Row{Cells: []table.Cell{
			{Col: 0, Value: table.Text(fmt.Sprintf("usr_%016x", id))}, {Col: 1, Value: table.Time(int64(at))},
			{Col: 3, Value: table.Text(fmt.Sprintf("ann%d@example.com", id))}, {Col: 4, Value: table.Text("pro")}, {Col: 5, Value: table.Int(int64(at))},
		}})
	}
	return &warehouse.Batch{Source: "production", Schema: "production", Log: "log", From: at, To: at + 1, Upserts: []*table.Batch{t}}
}

// BenchmarkUpsertGrowth upserts 200 users, half of them known, into tables of few and of many: what a second of identify calls costs.
func BenchmarkUpsertGrowth(b *testing.B) {
	for _, known := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprintf("known=%d", known), func(b *testing.B) {
			db, err := duckdb.Open(b.Context(), filepath.Join(b.TempDir(), "warehouse.duckdb"), duckdb.Options{Threads: 1, Memory: 512 << 20})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = db.Close() })
			at := uint64(0)
			load := func(w *warehouse.Batch) {
				if _, err := db.Load(b.Context(), w); err != nil {
					b.Fatal(err)
				}
				at++
			}
			for i := 0; i < known; i += 10_000 {
				load(usersBatch(at, i, 10_000, 1))
			}
			b.ResetTimer()
			measure(b, func() error {
				load(usersBatch(at, int(at*7919)%known, 100, max(1, known/1000)))
				load(usersBatch(at, known+int(at)*100, 100, 1))
				return nil
			})
		})
	}
}
