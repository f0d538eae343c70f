package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"firth/internal/config"
	"firth/internal/mirror"
	"firth/internal/warehouse"
)

// syncOrder is what firth sync asks of one mirror, on its way to the server.
type syncOrder struct {
	Full   bool     `json:"full,omitempty"`
	DryRun bool     `json:"dry_run,omitempty"`
	IDs    []string `json:"ids,omitempty"`
}

func (o *syncOrder) options() mirror.RunOptions {
	if o == nil {
		return mirror.RunOptions{}
	}
	return mirror.RunOptions{Full: o.Full, DryRun: o.DryRun, IDs: o.IDs}
}

// text is the order for the log.
func (o *syncOrder) text() string {
	var words []string
	if o.Full {
		words = append(words, "full")
	}
	if o.DryRun {
		words = append(words, "dry run")
	}
	if len(o.IDs) > 0 {
		words = append(words, "ids "+strings.Join(o.IDs, ","))
	}
	return strings.Join(words, " ")
}

// syncOrders takes orders to run mirrors. Orders under way are ended when ctx ends.
func (w *worker) syncOrders(ctx context.Context) *control {
	jobs := map[string]lakeJob{}
	for _, m := range w.mirrors.members {
		jobs[m.name] = w.untilStop(ctx, "the mirror's run", func(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
			if m.cfg.Into.Warehouse == config.Local {
				if a, err := awaited(ctx, w.answer.Load); err != nil || a == nil {
					c := w.state.Get()
					return nil, errors.Join(err, hint(errors.New("the embedded warehouse is not open: "+c.Error), "%s", c.Hint))
				}
			}
			return doSync(ctx, m, o.Sync, show)
		})
	}
	c := newControl("", jobs, w.log)
	c.path = syncPath
	return c
}

// takeSync takes an order to run a mirror.
func (w *worker) takeSync(rw http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, syncPath)
	if w.mirrors.find(name) == nil {
		err := noMirror(w.cfg, name)
		writeError(rw, http.StatusNotFound, codeNoWarehouse, err.Error(), "of the server: "+hintOf(err))
		return
	}
	w.syncs.ServeHTTP(rw, r)
}

// noMirror says that a name is none of those that are configured.
func noMirror(cfg *config.Config, name string) error {
	known := "the configuration has no mirrors"
	if names := cfg.MirrorNames(); len(names) > 0 {
		known = "the configuration has " + strings.Join(names, ", ")
	}
	return &hinted{usage: true, err: fmt.Errorf("there is no mirror %q", name), hint: known}
}

// doSync runs a mirror once and tells how far it is. A run that failed has a report too.
func doSync(ctx context.Context, m *mirrorMember, order *syncOrder, show func(progress)) (*mirror.Report, error) {
	show(progress{Stage: m.name + ": connect"})
	report, err := m.do(ctx, order.options(), func(p mirror.Progress) { show(mirrorProgress(&p)) })
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if report != nil {
		report.Name = m.name // also of a get alone
		if err != nil && report.Error == "" {
			report.State, report.Error, report.Hint = warehouse.RunFailure, err.Error(), hintOf(err)
		}
		return report, nil
	}
	if err == nil {
		err = errors.New("the run told nothing")
	}
	return failedSync(m.name, err), nil
}

// failedSync is the report of a mirror that could not be run.
func failedSync(name string, err error) *mirror.Report {
	return &mirror.Report{Name: name, State: warehouse.RunFailure, Error: err.Error(), Hint: hintOf(err)}
}

func mirrorProgress(p *mirror.Progress) progress {
	out := progress{Stage: p.Mirror + ": " + p.Stage, Done: p.Rows, Unit: "rows", Bytes: p.Bytes}
	if p.Total > 0 {
		out.Total = p.Total
	}
	if left, ok := p.Left(); ok {
		out.Left = left.Seconds()
	}
	return out
}
