package app

import (
	"context"
	"time"

	"firth/internal/bench"
	"firth/internal/object"
)

// store are the options of benchmarks whose lake is at an object store.
func (o BenchOptions) store(setup bench.Setup) bench.StoreOptions {
	s := bench.StoreOptions{
		Setup: setup, URL: o.Lake, Clear: clearStore, Connections: o.Connections, Rounds: o.Rounds, Duration: o.Duration, Events: o.Events, Flushes: o.Flushes,
		Drain: o.Drain,
	}
	if s.Drain == 0 {
		s.Drain = 2 * time.Minute
	}
	return s
}

// clearStore removes all objects below a prefix.
func clearStore(ctx context.Context, url string) error {
	store, err := object.Open(ctx, url)
	if err != nil {
		return err
	}
	var keys []string
	for o, err := range store.List(ctx, "") {
		if err != nil {
			return err
		}
		keys = append(keys, o.Key)
	}
	return store.Delete(ctx, keys...)
}
