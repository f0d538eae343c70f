package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"firth/internal/config"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/mirror"
	"firth/internal/warehouse"
)

// forgetPath is where the answering half takes orders to forget people, on its socket. Nothing that comes through the front door gets here.
const forgetPath = "/internal/forget"

// forgetJob is what such an order is called in the log.
const forgetJob = "purge of the warehouses"

// forgetPlace is where people are to be forgotten.
type forgetPlace struct {
	cfg *config.Config
	dir folders
	log *slog.Logger
	// served says that a server's answering half has the warehouses: it is asked by its socket. Else the caller has the data folder locked.
	served bool
	kinds  map[string]serverKind // nil: those of this build
	mirror *mirrorKinds          // nil: those of this build
}

// forgetEverywhere makes every warehouse and mirror forget people whom the lake has forgotten already, one warehouse after the other.
// The report is there where the order could be given at all; the error is errNotForgotten where some warehouse is not complete, which is
// tried again by another call with the same order (and what the report says is complete in Done). Both name nobody.
func forgetEverywhere(ctx context.Context, p forgetPlace, req forgetOrder, show func(progress)) (*forgetReport, error) {
	report := &forgetReport{}
	var err error
	if p.served {
		var text json.RawMessage
		if text, err = sendForget(ctx, p.dir.socket(), req, show); err == nil {
			err = json.Unmarshal(text, report)
		}
	} else {
		report, err = p.here(ctx, req, show)
	}
	if err != nil {
		if errors.Is(err, errNobody) || errors.Is(err, errBroken) {
			err = hint(fmt.Errorf("%w: the half of the server that has the warehouses does not answer: %w", errNotForgotten, err), "see the server's log; it is tried again by itself")
		}
		return nil, err
	}
	return report, report.failure()
}

// sendForget gives the order to the answering half.
func sendForget(ctx context.Context, socket string, req forgetOrder, show func(progress)) (json.RawMessage, error) {
	return sendTo(ctx, socket, forgetPath, lakeOrder{Forget: &req}, show)
}

// forgetRunner is a loadRunner that can forget people. *load.Runner is one.
type forgetRunner interface {
	Forget(ctx context.Context, o load.Forgetting, progress func(load.Progress)) (*warehouse.Forgotten, error)
}

// oblivion carries an order out, warehouse by warehouse.
type oblivion struct {
	cfg     *config.Config
	req     forgetOrder
	sources []string
	show    func(progress)
	now     func() time.Time
	// runner is who loads the warehouse; nil without an error: nothing is ever loaded into it.
	runner func(ctx context.Context, name string) (forgetRunner, error)
	target func(ctx context.Context, name string) (mirror.Target, error)
	tables func(ctx context.Context) (*derivedTables, error)
	told   func(ids []string) error // takes ids out of runs and alerts that are held in memory
}

func (o *oblivion) run(ctx context.Context) (*forgetReport, error) {
	if len(o.req.ids()) == 0 {
		return nil, errors.New("forget nobody: no ids were given")
	}
	if err := o.told(o.req.ids()); err != nil {
		return nil, fmt.Errorf("forget people in the alerts: %w", err)
	}
	out := &forgetReport{Warehouses: []forgottenWarehouse{}}
	for _, name := range append([]string{config.Local}, o.cfg.Remote()...) {
		if slices.Contains(o.req.Done, name) {
			continue
		}
		began := o.now()
		w := forgottenWarehouse{Warehouse: name, Rows: map[string]int64{}, Erased: true}
		o.warehouse(ctx, &w)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		w.Seconds = o.now().Sub(began).Seconds()
		out.Warehouses = append(out.Warehouses, w)
	}
	return out, o.derived(ctx, out)
}

// derived makes the tables anew that statements made of events, which come last: they are made of what is left.
func (o *oblivion) derived(ctx context.Context, out *forgetReport) error {
	if o.tables == nil || slices.Contains(o.req.Done, derivedName) {
		return nil
	}
	began := o.now()
	o.show(progress{Stage: "make derived tables anew"})
	w := forgottenWarehouse{Warehouse: derivedName, Rows: map[string]int64{}, Erased: true}
	t, err := o.tables(ctx)
	if err == nil {
		err = t.forget(ctx, o.sources, &w)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		w.fail(err, o.req.ids())
	}
	if w.Seconds = o.now().Sub(began).Seconds(); err != nil || len(o.cfg.Lake.Derived) > 0 {
		out.Warehouses = append(out.Warehouses, w)
	}
	return nil
}

// warehouse makes one warehouse forget: what mirrors have of the past, then what was loaded. Loads come last, since what is done once to
// a warehouse as a whole is done with the last call.
func (o *oblivion) warehouse(ctx context.Context, w *forgottenWarehouse) {
	for _, name := range o.cfg.MirrorNames() {
		m := o.cfg.Mirrors[name]
		if m.Into.Warehouse != w.Warehouse {
			continue
		}
		o.show(progress{Stage: w.Warehouse + ": forget in the mirror " + name})
		if err := o.mirror(ctx, w, name, &m); err != nil {
			w.fail(fmt.Errorf("mirror %s: %w", name, err), o.req.ids())
		}
	}
	o.show(progress{Stage: "connect to " + w.Warehouse})
	r, err := o.runner(ctx, w.Warehouse)
	if err == nil && r != nil {
		var f *warehouse.Forgotten
		f, err = r.Forget(ctx, load.Forgetting{Sources: o.sources, UserIDs: o.req.UserIDs, AnonymousIDs: o.req.AnonymousIDs, RowIDs: o.req.RowIDs}, func(p load.Progress) {
			o.show(progress{Stage: strings.TrimSpace(w.Warehouse + ": " + p.Stage + " " + p.Source), Done: p.Done, Total: p.Total, Unit: "sources"})
		})
		if err == nil {
			w.add(f)
			w.Erased = w.Erased && f.Erased
		}
	}
	if err != nil {
		w.fail(err, o.req.ids())
	}
}

// mirror makes one mirror forget. People are known there by their user ids, whatever the column is called.
func (o *oblivion) mirror(ctx context.Context, w *forgottenWarehouse, name string, m *config.Mirror) error {
	if len(o.req.UserIDs)+len(o.req.AnonymousIDs) == 0 {
		return nil
	}
	target, err := o.target(ctx, w.Warehouse)
	if err != nil {
		return err
	}
	f, ok := target.(mirror.Forgetter)
	if !ok {
		return errors.New("this build cannot forget people in its tables")
	}
	got, err := f.ForgetMirror(ctx, warehouse.ForgetMirror{
		Table:  warehouse.MirrorTable{Name: name, Schema: m.Into.Schema, Table: mirrorTable(o.cfg, m)},
		Values: slices.Concat(o.req.UserIDs, o.req.AnonymousIDs), More: true,
	})
	if err != nil {
		return err
	}
	w.add(&got.Forgotten)
	if got.Present > 0 {
		if w.Present == nil {
			w.Present = map[string]int64{}
		}
		w.Present[name] = got.Present
	}
	return nil
}

// forgetBytes is the most that an order may take: some millions of ids.
const forgetBytes = 512 << 20

// takeForget takes an order to forget people.
func (w *worker) takeForget(ctx context.Context, c *control) http.HandlerFunc {
	job := w.untilStop(ctx, "the purge", func(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
		return w.forget(ctx, *o.Forget, show)
	})
	return func(rw http.ResponseWriter, r *http.Request) {
		var order lakeOrder
		err := json.NewDecoder(io.LimitReader(r.Body, forgetBytes)).Decode(&order)
		if err != nil || order.Forget == nil || r.Method != http.MethodPost {
			writeError(rw, http.StatusBadRequest, "bad_request", "the order to forget people cannot be read", "is the server of the same version as this command? firth version")
			return
		}
		done, err := c.begin(forgetPath)
		if err != nil {
			writeError(rw, http.StatusConflict, "busy", "another purge is under way in the warehouses", "it is tried again by itself")
			return
		}
		c.carryOut(rw, r, forgetJob, func(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
			defer done()
			return job(ctx, o, show)
		}, order)
	}
}

// forget carries an order out with the server's own warehouses.
func (w *worker) forget(ctx context.Context, req forgetOrder, show func(progress)) (*forgetReport, error) {
	o := &oblivion{cfg: w.cfg, req: req, sources: forgetSources(w.cfg, req.Sources, nil), show: show, now: time.Now}
	o.told = func(ids []string) error {
		w.history.forget(ids)
		return forgetAlerts(w.alerts, ids)
	}
	o.runner = func(ctx context.Context, name string) (forgetRunner, error) {
		if name == config.Local {
			a, err := awaited(ctx, w.answer.Load)
			if err != nil || a == nil {
				c := w.state.Get()
				return nil, errors.Join(err, hint(errors.New("the embedded warehouse is not open: "+c.Error), "%s", c.Hint))
			}
			return a.loader, nil
		}
		m, err := awaited(ctx, func() *member { return w.fleet.find(name) })
		if err != nil || m == nil {
			return nil, errors.Join(err, errors.New("no warehouse is loaded yet: "+w.fleet.lake.Get().Error))
		}
		return runnerOf(m)
	}
	o.tables = func(ctx context.Context) (*derivedTables, error) {
		a, err := awaited(ctx, w.answer.Load)
		if err != nil || a == nil {
			return nil, errors.Join(err, hint(errors.New("the embedded warehouse is not open: "+w.state.Get().Error), "%s", w.state.Get().Hint))
		}
		return a.tables, nil
	}
	o.target = func(ctx context.Context, name string) (mirror.Target, error) {
		if name == config.Local {
			if a, err := awaited(ctx, w.answer.Load); err != nil || a == nil {
				return nil, errors.Join(err, hint(errors.New("the embedded warehouse is not open: "+w.state.Get().Error), "%s", w.state.Get().Hint))
			}
		}
		return w.mirrors.targets.get(ctx, name)
	}
	if a := w.answer.Load(); a != nil {
		if found, err := a.reader.Sources(ctx); err == nil {
			o.sources = forgetSources(w.cfg, req.Sources, found)
		}
	}
	return o.run(ctx)
}

// forgetSources are the sources of an order: those that it names, or all that the lake and the configuration have.
func forgetSources(cfg *config.Config, asked, found []string) []string {
	if len(asked) > 0 {
		return asked
	}
	out := append(sourceNames(cfg), found...)
	slices.Sort(out)
	return slices.Compact(out)
}

// runnerOf is what makes a member forget.
func runnerOf(m *member) (forgetRunner, error) {
	switch r := m.runner.(type) {
	case forgetRunner:
		return r, nil
	case *unable:
		return nil, r.err
	}
	return nil, errors.New("this build cannot forget people in it")
}

// derived are the derived tables of an open warehouse, or why there is none.
func (a *answer) derived(failed error) (*derivedTables, error) {
	if failed != nil {
		return nil, failed
	}
	return a.tables, nil
}

// here carries an order out while no server runs. The folder is locked by the caller.
func (p forgetPlace) here(ctx context.Context, req forgetOrder, show func(progress)) (report *forgetReport, err error) {
	if p.kinds == nil {
		p.kinds = serverKinds()
	}
	if p.mirror == nil {
		kinds := newMirrorKinds()
		p.mirror = &kinds
	}
	if err := endLeftOver(p.dir.childPID(), 5*time.Second); err != nil {
		return nil, err
	}
	place, err := openPlace(ctx, p.cfg, p.dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, place.close()) }()
	reader, err := lake.OpenReaderAt(ctx, place.Place)
	if err != nil {
		return nil, lakeHint(fmt.Errorf("open lake: %w", err))
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	found, err := reader.Sources(ctx)
	if err != nil {
		return nil, lakeHint(fmt.Errorf("read lake: %w", err))
	}
	a, failed := openAnswer(ctx, p.cfg, p.dir, p.log, answerParts{})
	var history load.History
	if failed == nil {
		history = a.db
		defer func() { err = errors.Join(err, a.close()) }()
	}
	targets := newMirrorTargets(p.cfg, p.mirror.targets, p.log, func() mirror.Target { return mirrorsOf(a) })
	defer func() { err = errors.Join(err, targets.close()) }()
	f := &fleet{cfg: p.cfg, dir: p.dir, log: p.log, kinds: p.kinds, now: time.Now}
	o := &oblivion{cfg: p.cfg, req: req, sources: forgetSources(p.cfg, req.Sources, found), show: show, now: time.Now, target: targets.get}
	o.tables = func(context.Context) (*derivedTables, error) { return a.derived(failed) }
	o.told = func(ids []string) error { return forgetAlerts(newAlerter(p.cfg, p.dir, p.log), ids) }
	o.runner = func(_ context.Context, name string) (forgetRunner, error) {
		if name == config.Local {
			if failed != nil {
				return nil, failed
			}
			return a.loader, nil
		}
		r, err := findRemote(p.cfg, p.kinds, name, p.log)
		if err != nil {
			return nil, err
		}
		m, err := f.member(r, reader, history)
		if err != nil {
			return nil, err
		}
		return runnerOf(m)
	}
	return o.run(ctx)
}
