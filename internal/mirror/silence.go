package mirror

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"firth/internal/source"
)

const (
	// silenceLook is how long nothing may come of a source before it is asked, over a connection of its own, whether it is there.
	silenceLook = time.Minute
	// silenceAnswer is how long it may take to answer that.
	silenceAnswer = 20 * time.Second
	// silenceLooks is how often in a row it may be silent.
	silenceLooks = 2
)

// awake runs fn, and ends it where nothing comes and the source does not answer another connection either: a network that drops what is
// sent lets nobody know, and a run would hang for good. A statement that takes hours before the first row is no silence, since the
// database answers meanwhile.
func (m *Mirror) awake(ctx context.Context, r *run, fn func(context.Context, *run) error) error {
	open := map[string]func(context.Context) (Source, error){"": m.o.From, "list": m.o.List, "get": m.o.Get}[r.part]
	if open == nil {
		return fn(ctx, r)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		if quiet := m.silent(ctx, r, open); quiet > 0 {
			cancel(&source.Error{
				Op: "read", Name: "the source of " + m.o.Config.Name, Retry: true,
				Err:    fmt.Errorf("nothing came for %s, and it does not answer another connection either", spell(quiet)),
				Advice: "see whether the server hangs, and whether a firewall or a tunnel on the way drops what is sent",
			})
		}
	})
	err := fn(ctx, r)
	cause := context.Cause(ctx)
	cancel(nil)
	watching.Wait()
	var silence *source.Error
	if err != nil && errors.As(cause, &silence) {
		return silence
	}
	return err
}

// silent watches until ctx ends, or the source is found silent: then it returns for how long nothing has come.
func (m *Mirror) silent(ctx context.Context, r *run, open func(context.Context) (Source, error)) time.Duration {
	tick := time.NewTicker(m.o.silenceLook)
	defer tick.Stop()
	looks, before, since := 0, r.moved.Load(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return 0
		case <-tick.C:
		}
		now := r.moved.Load()
		if now != before || r.publishing() || m.answers(ctx, open) {
			if now != before {
				before, since = now, time.Now()
			}
			looks = 0
			continue
		}
		if looks++; looks >= silenceLooks && ctx.Err() == nil && r.moved.Load() == before {
			return time.Since(since)
		}
	}
}

// answers asks the source over a connection of its own. Whatever it says is an answer, also that it takes no connection: then the run will
// be told so as well.
func (m *Mirror) answers(ctx context.Context, open func(context.Context) (Source, error)) bool {
	within, cancel := context.WithTimeout(ctx, m.o.silenceAnswer)
	defer cancel()
	src, err := open(within)
	if err == nil {
		_, err = src.Describe(within)
		_ = src.Close() // it was asked for this alone
	}
	var network net.Error
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &network) && network.Timeout() || err != nil && within.Err() != nil
	return !late
}
