package duckdb_test

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// manyKinds are fifteen columns of every type that tables usually have.
func manyKinds() []vector.Column {
	num := vector.Type{Kind: vector.Int, Bits: 64}
	text := vector.Type{Kind: vector.Text}
	types := []vector.Type{num, {Kind: vector.UUID}, text, text, text, {Kind: vector.Bool}, {Kind: vector.Int, Bits: 32}, {Kind: vector.Float, Bits: 64}, {Kind: vector.Decimal, Width: 14, Scale: 4},
		{Kind: vector.List, Elem: &text}, {Kind: vector.JSON}, {Kind: vector.TimestampTZ}, {Kind: vector.Timestamp}, {Kind: vector.Date}, {Kind: vector.Blob}}
	out := make([]vector.Column, len(types))
	for i, t := range types {
		out[i] = vector.Column{Name: fmt.Sprintf("c%02d", i), Type: t}
	}
	return out
}

// fillKinds makes a chunk of rows of manyKinds.
func fillKinds(c *vector.Chunk, from, rows int) {
	c.Reset()
	for i := from; i < from+rows; i++ {
		h := uint64(i) * 0x9e3779b97f4a7c15
		v := c.Vectors
		v[0].AppendNum(int64(i))
		v[1].AppendBytes(fmt.Appendf(nil, "%016x", h))
		v[2].AppendString(fmt.Sprintf("person %d of the company", i))
		v[3].AppendString([]string{"new", "open", "closed"}[i%3])
		v[4].AppendString(fmt.Sprintf("%x someone@example.com and more %x", h, h>>3))
		v[5].AppendBool(i%2 == 0)
		v[6].AppendNum(int64(h % 100000))
		v[7].AppendNum(int64(math.Float64bits(float64(h%1000000) / 7)))
		v[8].AppendString(fmt.Sprintf("%d.%04d", h%1000000, h%10000))
		v[9].Items.AppendString("a")
		v[9].Items.AppendString(fmt.Sprint(i % 100))
		v[9].EndList()
		v[10].AppendString(fmt.Sprintf(`{"id": %d, "tags": ["x", "y"], "n": {"a": %d}}`, i, h%1000))
		v[11].AppendNum(1_700_000_000_000_000 + int64(i)*1000)
		v[12].AppendNum(1_700_000_000_000_000 + int64(h%1_000_000_000_000))
		v[13].AppendNum(int64(19000 + i%1000))
		v[14].AppendBytes(fmt.Appendf(nil, "%x%x", h, h))
		c.Rows++
	}
}

// BenchmarkMirror stages and publishes rows of fifteen columns; the longest that the writer's lock is held is told.
func BenchmarkMirror(b *testing.B) {
	const rows, chunk = 200_000, 8192
	db, err := duckdb.Open(b.Context(), filepath.Join(b.TempDir(), "warehouse.duckdb"), duckdb.Options{Memory: 256 << 20, Threads: 2})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	}()
	m := db.Mirrors()
	c := vector.NewChunk(manyKinds())
	at := warehouse.MirrorTable{Name: "people", Schema: "company", Table: "people"}
	for i := range b.N {
		s, err := m.Stage(b.Context(), at, warehouse.StageOptions{Run: fmt.Sprint(i), Columns: manyKinds()})
		if err != nil {
			b.Fatal(err)
		}
		var longest, all time.Duration
		for n := 0; n < rows; n += chunk {
			fillKinds(c, n, min(chunk, rows-n))
			began := time.Now()
			if _, err := s.Write(b.Context(), c, json.RawMessage(`{}`)); err != nil {
				b.Fatal(err)
			}
			longest, all = max(longest, time.Since(began)), all+time.Since(began)
		}
		began := time.Now()
		if _, err := s.Publish(b.Context(), &warehouse.Publication{Mode: warehouse.PublishReplace, At: time.Now()}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(all+time.Since(began))/float64(rows), "ns/row")
		b.ReportMetric(float64(longest.Milliseconds()), "longest-ms")
		b.ReportMetric(float64(time.Since(began).Milliseconds()), "publish-ms")
	}
}
