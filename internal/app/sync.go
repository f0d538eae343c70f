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
	"firth/internal/mirror"
	"firth/internal/warehouse"
)

// SyncOptions are the command line of firth sync.
type SyncOptions struct {
	Mirrors        []string // empty: all
	Full, DryRun   bool
	IDs            []string // of one mirror with a get
	Config, Output string
	Stdout, Stderr io.Writer

	kinds *mirrorKinds // nil: those of this build
}

// syncReport is the outcome of firth sync.
type syncReport struct {
	State   string           `json:"state"` // the worst of the mirrors
	Mirrors []*mirror.Report `json:"mirrors"`
}

// Sync runs mirrors once, one after the other. Where a server runs on the data folder it does the work, in turn with its own runs;
// otherwise the command takes the folder and does it by the same code.
func Sync(ctx context.Context, o SyncOptions) error {
	if o.kinds == nil {
		kinds := newMirrorKinds()
		o.kinds = &kinds
	}
	lake := LakeOptions{Config: o.Config, Output: o.Output}
	if err := lake.checkOutput(); err != nil {
		return err
	}
	cfg, err := loadConfig(o.Config, os.Stdin)
	if err != nil {
		return err
	}
	names, err := o.chosen(cfg)
	if err != nil {
		return err
	}
	root, err := cfg.DataDir()
	if err != nil {
		return fmt.Errorf("find data folder: %w", err)
	}
	dir, show := folders{root}, newProgressShow(o.Stderr)
	order := &syncOrder{Full: o.Full, DryRun: o.DryRun, IDs: o.IDs}
	report, err := hereOrThere(ctx, root,
		func() (*syncReport, error) { return o.syncHere(ctx, cfg, dir, names, order, show.show) },
		func() (*syncReport, error) { return o.syncThere(ctx, dir, names, order, show.show) })
	show.end()
	if ctx.Err() != nil {
		return hint(errors.New("ended before it was done"), "tables are as they were, or whole and new; run it again to go on with what is staged")
	}
	if err != nil {
		return explain(err)
	}
	return o.print(cfg, report)
}

// chosen are the mirrors that are asked for.
func (o *SyncOptions) chosen(cfg *config.Config) ([]string, error) {
	usage := func(err error, text string) error { return &hinted{usage: true, err: err, hint: text} }
	known := cfg.MirrorNames()
	if len(known) == 0 {
		return nil, usage(errors.New("no mirrors are configured"), "add mirrors: to the configuration, or name another with -c")
	}
	names := o.Mirrors
	if len(names) == 0 {
		names = known
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, noMirror(cfg, name)
		}
	}
	if len(o.IDs) == 0 {
		return slices.Compact(slices.Clone(names)), nil
	}
	m := cfg.Mirrors[names[0]]
	switch {
	case len(o.Mirrors) != 1:
		return nil, usage(errors.New("--id needs the name of one mirror"), "firth sync NAME --id ID")
	case m.Get == nil:
		return nil, usage(fmt.Errorf("%s has no get: rows of a copy are not asked for one by one", names[0]), "leave --id out")
	case o.Full:
		return nil, usage(errors.New("--full and --id do not go together"), "leave one of the two out")
	}
	return names, nil
}

// syncThere lets the server do the work.
func (o *SyncOptions) syncThere(ctx context.Context, dir folders, names []string, order *syncOrder, show func(progress)) (*syncReport, error) {
	out := &syncReport{}
	for i, name := range names {
		text, err := sendTo(ctx, dir.socket(), syncPath+name, lakeOrder{Sync: order}, show)
		var report mirror.Report
		if err == nil {
			err = json.Unmarshal(text, &report)
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			out.add(&report)
		case i == 0 && errors.Is(err, errNobody):
			return nil, err
		case IsUsage(err):
			return nil, err
		default:
			out.add(failedSync(name, err))
		}
	}
	return out, nil
}

// syncHere does the work while no server runs. The folder is locked.
func (o *SyncOptions) syncHere(ctx context.Context, cfg *config.Config, dir folders, names []string, order *syncOrder, show func(progress)) (report *syncReport, err error) {
	log := slog.New(slog.NewTextHandler(o.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if err := endLeftOver(dir.childPID(), 5*time.Second); err != nil {
		return nil, err
	}
	a, err := openForSync(ctx, cfg, dir, log)
	var history load.History
	switch {
	case err == nil:
		history = a.db
		defer func() { err = errors.Join(err, a.close()) }()
	case slices.ContainsFunc(names, func(n string) bool { return cfg.Mirrors[n].Into.Warehouse == config.Local }):
		return nil, err
	default:
		fmt.Fprintf(o.Stderr, "firth: the runs cannot be recorded in firth.runs: %v\n", err)
	}
	f := newMirrorFleet(cfg, log, *o.kinds, history, func() mirror.Target { return mirrorsOf(a) })
	defer func() { err = errors.Join(err, f.close()) }()
	f.endRuns(ctx)
	out := &syncReport{}
	for _, name := range names {
		report, err := doSync(ctx, f.find(name), order, show)
		if err != nil {
			return nil, err
		}
		out.add(report)
	}
	return out, nil
}

// openForSync opens the embedded warehouse, and makes the lake beside it in a folder where no server has been yet.
func openForSync(ctx context.Context, cfg *config.Config, dir folders, log *slog.Logger) (*answer, error) {
	if _, err := os.Stat(dir.catalog()); errors.Is(err, os.ErrNotExist) {
		tools, err := openLakeTools(ctx, cfg, dir, log)
		if err != nil {
			return nil, err
		}
		if err := tools.close(); err != nil {
			return nil, fmt.Errorf("make the lake: %w", err)
		}
	}
	return openAnswer(ctx, cfg, dir, log, answerParts{})
}

func (r *syncReport) add(m *mirror.Report) {
	worse := map[string]int{"": 0, warehouse.RunSuccess: 1, warehouse.RunPartial: 2, warehouse.RunFailure: 3}
	r.Mirrors = append(r.Mirrors, m)
	if worse[m.State] > worse[r.State] {
		r.State = m.State
	}
}

// whereRejects says where the values are that did not fit; empty: all did, or they were not written.
func whereRejects(cfg *config.Config, r *mirror.Report) string {
	m, ok := cfg.Mirrors[r.Name]
	if !ok || r.Rejects == 0 || r.DryRun || r.State == warehouse.RunFailure {
		return ""
	}
	statement := "SELECT * FROM " + m.Into.Schema + "." + mirrorTable(cfg, &m) + "__rejects"
	if m.Into.Warehouse == config.Local {
		return fmt.Sprintf("  see which: firth query %q\n", statement)
	}
	return "  see which, in " + m.Into.Warehouse + ": " + statement + "\n"
}

// print writes the reports, and returns an error where a mirror failed or was done in part.
func (o *SyncOptions) print(cfg *config.Config, r *syncReport) error {
	var err error
	if o.Output == "json" {
		err = json.NewEncoder(o.Stdout).Encode(r)
	} else {
		for _, m := range r.Mirrors {
			_, werr := io.WriteString(o.Stdout, m.Text()+whereRejects(cfg, m))
			err = errors.Join(err, werr)
		}
	}
	if r.State == warehouse.RunSuccess {
		return err
	}
	var bad []string
	hints := ""
	for _, m := range r.Mirrors {
		if m.State != warehouse.RunSuccess {
			bad = append(bad, m.Name)
			hints = m.Hint
		}
	}
	if o.Output != "json" && len(bad) == 1 && hints != "" {
		hints = "" // the report above has it
	} else if len(bad) > 1 || hints == "" {
		hints = "the reports say what to do; firth check looks at databases and rights"
	}
	return errors.Join(err, hint(fmt.Errorf("%d of %d mirrors did not succeed: %s", len(bad), len(r.Mirrors), strings.Join(bad, ", ")), "%s", hints))
}
