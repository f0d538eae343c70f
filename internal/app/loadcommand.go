package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"firth/internal/config"
	"firth/internal/load"
	"firth/internal/warehouse"
)

// LoadOptions are the command line of firth load.
type LoadOptions struct {
	Warehouse      string
	From, To       string // moments of receipt; empty: open
	Source         string // empty: all
	Tables         []string
	Rebuild        bool
	Config, Output string
	Stdout, Stderr io.Writer

	kinds map[string]serverKind // nil: those of this build
	clock func() time.Time      // nil: time.Now
}

// Load carries out one run by hand. Where a server runs on the data folder it does the work; otherwise the command takes the
// folder and does it by the same code.
func Load(ctx context.Context, o LoadOptions) error {
	if o.kinds == nil {
		o.kinds = serverKinds()
	}
	if o.clock == nil {
		o.clock = time.Now
	}
	lake := LakeOptions{Config: o.Config, Output: o.Output}
	if err := lake.checkOutput(); err != nil {
		return err
	}
	order, err := o.order()
	if err != nil {
		return err
	}
	cfg, dir, err := lake.where()
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir.catalog()); errors.Is(err, os.ErrNotExist) {
		return emptyFolder(dir.root)
	}
	show := newProgressShow(o.Stderr)
	text, err := o.carryOut(ctx, cfg, dir, order, show.show)
	show.end()
	if err != nil {
		if ctx.Err() != nil {
			return hint(errors.New("ended before it was done"), "what was loaded stays, and every batch is in whole or not at all; run it again to go on")
		}
		return err
	}
	var report loadReport
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	if o.Output == "json" {
		_, err = fmt.Fprintf(o.Stdout, "%s\n", text)
	} else {
		_, err = io.WriteString(o.Stdout, report.text())
	}
	return errors.Join(err, report.failure())
}

// order reads the command line.
func (o *LoadOptions) order() (*loadOrder, error) {
	usage := func(err error, text string) error { return &hinted{usage: true, err: err, hint: text} }
	order := &loadOrder{Source: o.Source, Rebuild: o.Rebuild}
	now := o.clock()
	for _, m := range []struct {
		flag, text string
		into       *time.Time
	}{{"--from", o.From, &order.From}, {"--to", o.To, &order.To}} {
		if m.text == "" {
			continue
		}
		t, err := parseMoment(m.text, now)
		if err != nil {
			return nil, usage(fmt.Errorf("%s: %w", m.flag, err), momentHint)
		}
		*m.into = t
	}
	replay := !order.From.IsZero() || !order.To.IsZero()
	if !order.From.IsZero() && !order.To.IsZero() && !order.From.Before(order.To) {
		return nil, usage(fmt.Errorf("--from %s is not before --to %s", o.From, o.To), "--from is in the span, --to is the first moment behind it")
	}
	if replay && o.Rebuild {
		return nil, usage(errors.New("--rebuild makes tables anew from every event, so it takes no --from and no --to"), "leave one of the two out")
	}
	for _, t := range o.Tables {
		if t = strings.TrimSpace(t); t != "" {
			order.Tables = append(order.Tables, t)
		}
	}
	if len(order.Tables) > 0 && !replay && !o.Rebuild {
		return nil, usage(errors.New("--tables needs --rebuild or --from"), "what is new is always loaded into all tables: they share one position")
	}
	return order, nil
}

// carryOut lets the server on the data folder do the work, or does it here where there is none.
func (o *LoadOptions) carryOut(ctx context.Context, cfg *config.Config, dir folders, order *loadOrder, show func(progress)) (json.RawMessage, error) {
	return hereOrThere(ctx, dir.root,
		func() (json.RawMessage, error) { return o.loadHere(ctx, cfg, dir, order, show) },
		func() (json.RawMessage, error) {
			return sendTo(ctx, dir.socket(), loadPath+o.Warehouse, lakeOrder{Load: order}, show)
		})
}

// loadHere does the work while no server runs. The folder is locked.
func (o *LoadOptions) loadHere(ctx context.Context, cfg *config.Config, dir folders, order *loadOrder, show func(progress)) (json.RawMessage, error) {
	log := slog.New(slog.NewTextHandler(o.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if !slices.Contains(cfg.Loaded(), o.Warehouse) {
		return nil, notLoaded(cfg, o.Warehouse)
	}
	if err := endLeftOver(dir.childPID(), 5*time.Second); err != nil {
		return nil, err
	}
	if err := settleJournal(ctx, cfg, dir, log, show); err != nil {
		return nil, err
	}
	a, err := openAnswer(ctx, cfg, dir, log, answerParts{})
	if o.Warehouse == config.Local {
		if err != nil {
			return nil, explain(err)
		}
		report, err := doLoad(ctx, config.Local, a.loader.Do, order, show)
		return finishLoad(report, errors.Join(err, a.close()))
	}
	var history load.History
	if err != nil {
		log.Warn("the run cannot be recorded in firth.runs", "error", err, "hint", warehouse.HintOf(err))
	} else {
		history = a.db
		defer a.close() //nolint:errcheck // what was loaded is in the other warehouse; the history's row is written or not
	}
	return o.loadRemote(ctx, cfg, dir, log, history, order, show)
}

func (o *LoadOptions) loadRemote(ctx context.Context, cfg *config.Config, dir folders, log *slog.Logger, history load.History, order *loadOrder, show func(progress)) (json.RawMessage, error) {
	reader, err := openLakeReader(ctx, cfg, dir)
	if err != nil {
		return nil, lakeHint(fmt.Errorf("open lake: %w", err))
	}
	r, err := findRemote(cfg, o.kinds, o.Warehouse, log)
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	f := &fleet{cfg: cfg, dir: dir, log: log, kinds: o.kinds, now: o.clock}
	m, err := f.member(r, reader, history)
	if err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	report, err := doLoad(ctx, r.name, m.runner.Do, order, show)
	return finishLoad(report, errors.Join(err, reader.Close()))
}

// settleJournal brings into the lake what a server that was killed has left in the journal.
func settleJournal(ctx context.Context, cfg *config.Config, dir folders, log *slog.Logger, show func(progress)) error {
	tools, err := openLakeTools(ctx, cfg, dir, log)
	if err != nil {
		return err
	}
	return errors.Join(tools.settle(ctx, show), tools.close())
}

// doLoad carries out an order and tells how far it is.
func doLoad(ctx context.Context, name string, do func(context.Context, load.Order, func(load.Progress)) (load.Report, error), order *loadOrder, show func(progress)) (*loadReport, error) {
	show(progress{Stage: "connect to " + name})
	r, err := do(ctx, order.order(), func(p load.Progress) {
		stage := p.Stage
		if p.Source != "" {
			stage += " " + p.Source
		}
		unit := "rows"
		if p.Stage == load.StageSwap {
			unit = "tables"
		}
		show(progress{Stage: stage, Done: p.Done, Total: p.Total, Unit: unit})
	})
	if err != nil && (r.Run.ID == "" || ctx.Err() != nil) {
		if err = explain(err); hintOf(err) == "" {
			err = hint(err, "firth check looks at every warehouse and says what is wrong; firth load --help has examples")
		}
		return nil, err
	}
	// A run that failed has a report too: what was loaded before is in.
	report := reportOfLoad(name, &r.Run)
	return &report, nil
}

func finishLoad(report *loadReport, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(report)
}
