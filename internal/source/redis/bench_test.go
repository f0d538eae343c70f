package redis

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/test/server"
)

// BenchmarkGet reads 50,000 hashes of six fields in batches of a thousand ids, and lists their keys.
func BenchmarkGet(b *testing.B) {
	s := server.Redis(b)
	db := s.Database()
	c, ctx := s.Client(db), b.Context()
	const n = 50_000
	p := c.Pipeline()
	ids := make([]vector.Value, n)
	for i := range ids {
		ids[i] = vector.Value{Kind: vector.Int, Bits: 64, Num: int64(i)}
		p.HSet(ctx, fmt.Sprintf("project:%d:usage", i), "calls_this_month", i*7, "calls_last_month", i*9, "ratio", float64(i)/7, "plan", "free", "owner", "someone@example.com", "seen", "2024-01-02T03:04:05Z")
	}
	if _, err := p.Exec(ctx); err != nil {
		b.Fatal(err)
	}
	for _, x := range []struct {
		name string
		spec source.Spec
	}{
		{"hash", source.Spec{Hash: "project:{id}:usage"}},
		{"fields", source.Spec{Hash: "project:{id}:usage", Columns: []string{"calls_this_month", "calls_last_month"}}},
		{"list", source.Spec{Keys: "project:{id}:usage"}},
	} {
		b.Run(x.name, func(b *testing.B) {
			t, err := Open(ctx, s.URL(db), x.spec, source.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer t.Close() //nolint:errcheck // nothing was written
			b.ReportAllocs()
			done := 0
			for b.Loop() {
				if x.name == "list" {
					rows, err := t.Scan(ctx, source.Request{Only: []string{"id"}})
					done += count(b, rows, err)
					continue
				}
				var sum atomic.Int64
				var both sync.WaitGroup
				for half := range 2 { // as the mirrors do, several batches at once
					both.Go(func() {
						for at := half * n / 2; at < (half+1)*n/2; at += 1000 {
							rows, err := t.Get(ctx, ids[at:at+1000])
							sum.Add(int64(count(b, rows, err)))
						}
					})
				}
				both.Wait()
				done += int(sum.Load())
			}
			b.ReportMetric(float64(done)/b.Elapsed().Seconds(), "keys/s")
		})
	}
}

func count(b *testing.B, rows source.Rows, err error) (n int) {
	for err == nil {
		var batch source.Batch
		if err = rows.Next(b.Context(), &batch); err == nil {
			n += len(batch.Docs)
		}
	}
	if !errors.Is(err, io.EOF) {
		b.Error(err)
	} else if err := rows.Close(); err != nil {
		b.Error(err)
	}
	return n
}
