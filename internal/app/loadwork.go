package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"firth/internal/config"
	"firth/internal/state"
)

// loadOrders takes orders to load, for every configured warehouse. Orders under way are ended when ctx ends.
func (w *worker) loadOrders(ctx context.Context) *control {
	jobs := map[string]lakeJob{}
	if !w.cfg.Warehouses[config.Local].Off {
		jobs[config.Local] = w.untilStop(ctx, "the load", w.loadLocal)
	}
	for _, name := range w.cfg.Remote() {
		jobs[name] = w.untilStop(ctx, "the load", func(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
			return w.loadRemote(ctx, name, o, show)
		})
	}
	c := newControl("", jobs, w.log)
	c.path = loadPath
	return c
}

// untilStop ends a job with the process, in words.
func (w *worker) untilStop(ctx context.Context, what string, job lakeJob) lakeJob {
	return func(order context.Context, o lakeOrder, show func(progress)) (any, error) {
		order, cancel := context.WithCancel(order)
		defer cancel()
		defer context.AfterFunc(ctx, cancel)()
		report, err := job(order, o, show)
		if err != nil && ctx.Err() != nil {
			return nil, hint(errors.New("the server stops; "+what+" was ended before it was done"), "run the command again: what was loaded stays, and every batch is in whole or not at all")
		}
		return report, err
	}
}

func (w *worker) loadLocal(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
	a, err := awaited(ctx, w.answer.Load)
	if err != nil || a == nil {
		c := w.state.Get()
		return nil, errors.Join(err, hint(errors.New("the embedded warehouse is not open: "+c.Error), "%s", c.Hint))
	}
	return doLoad(ctx, config.Local, a.loader.Do, o.Load, show)
}

func (w *worker) loadRemote(ctx context.Context, name string, o lakeOrder, show func(progress)) (any, error) {
	m, err := awaited(ctx, func() *member { return w.fleet.find(name) })
	if err != nil || m == nil {
		c := w.fleet.lake.Get()
		if c.State != state.Failed {
			c.Error = "the lake is being opened"
		}
		return nil, errors.Join(err, hint(errors.New("no warehouse is loaded yet: "+c.Error), "%s", c.Hint))
	}
	return doLoad(ctx, name, m.runner.Do, o.Load, show)
}

// awaited is what find returns once that is there, within a few seconds.
func awaited[T any](ctx context.Context, find func() *T) (*T, error) {
	for deadline := time.Now().Add(orderPatience); ; {
		if found := find(); found != nil || time.Now().After(deadline) {
			return found, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// takeLoad takes an order to load.
func (w *worker) takeLoad(rw http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, loadPath)
	if w.orders.jobs[name] == nil {
		err := notLoaded(w.cfg, name)
		writeError(rw, http.StatusNotFound, codeNoWarehouse, err.Error(), "of the server: "+hintOf(err))
		return
	}
	w.orders.ServeHTTP(rw, r)
}
