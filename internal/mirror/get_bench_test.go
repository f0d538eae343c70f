package mirror_test

import (
	"context"
	"fmt"
	"testing"

	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/source/redis"
	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/test/server"
)

// BenchmarkRedisGet asks for 100,000 hashes of six fields and makes columns of them; nothing is written.
func BenchmarkRedisGet(b *testing.B) {
	s := server.OwnRedis(b)
	const n = 100_000
	ctx := b.Context()
	p := s.Client(0).Pipeline()
	for i := range n {
		p.HSet(ctx, fmt.Sprintf("project:%d:usage", i), "calls_this_month", i*7, "calls_last_month", i*9, "ratio", float64(i)/8, "plan", "free", "owner", "someone@example.com", "seen", "2024-01-02T03:04:05Z")
	}
	if _, err := p.Exec(ctx); err != nil {
		b.Fatal(err)
	}
	open := func(spec source.Spec) func(context.Context) (mirror.Source, error) {
		return func(ctx context.Context) (mirror.Source, error) {
			return redis.Open(ctx, s.URL(0), spec, source.Options{Name: "usage"})
		}
	}
	m := mirror.New(mirror.Options{
		Config: mirror.Config{Name: "m"}, Target: countTo(n), Get: open(source.Spec{Hash: "project:{id}:usage"}),
	})
	b.ReportAllocs()
	for b.Loop() {
		rep, err := m.Get(ctx, mirror.RunOptions{DryRun: true}, nil)
		if err != nil || rep.Rows != n {
			b.Fatalf("%v\n%s", err, rep.Text())
		}
	}
	b.ReportMetric(float64(b.N)*n/b.Elapsed().Seconds(), "keys/s")
}

// countTo is a target whose last list has the integers from 0 to before it.
type countTo int64

func (c countTo) Mirror(context.Context, warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	return &warehouse.MirrorState{State: fmt.Appendf(nil, `{"version": 1, "list": {"ids": %d, "type": {"kind": %d, "bits": 64}}}`, c, vector.Int)}, nil
}

func (c countTo) Stage(context.Context, warehouse.MirrorTable, warehouse.StageOptions) (mirror.Stage, error) {
	return nil, fmt.Errorf("nothing is written")
}

func (c countTo) IDs(_ context.Context, _ warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error) {
	next := int64(0)
	if after.Kind == vector.Int {
		next = after.Num + 1
	}
	var out []vector.Value
	for ; next < int64(c) && len(out) < limit; next++ {
		out = append(out, vector.Value{Kind: vector.Int, Bits: 64, Num: next})
	}
	return out, nil
}
