package app

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// run loads and keeps the derived tables until ctx ends, or loading does.
func (a *answer) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group.Go(func() error { defer cancel(); return a.loader.Run(ctx) })
	group.Go(func() error { return a.tables.Run(ctx) })
	return group.Wait()
}
