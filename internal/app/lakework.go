package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"firth/internal/config"
)

// LakeOptions are the command line of the firth lake commands.
type LakeOptions struct {
	Config         string
	Output         string // text or json
	Source         string // one table; empty: every one
	Day            string // files: one day, as 2006-01-02
	From, To       string // files, snippet: times of receipt, [From, To)
	Language       string // snippet: sql, python or, empty, both
	CatalogURL     string // snippet: read by the catalog at this URL; empty: by the files
	Which          string // merge: small, large or all
	Dir            string // backup, restore
	Stdout, Stderr io.Writer

	clock func() time.Time // nil: time.Now
}

func (o *LakeOptions) now() time.Time {
	if o.clock != nil {
		return o.clock()
	}
	return time.Now()
}

func (o *LakeOptions) checkOutput() error {
	if o.Output != "text" && o.Output != "json" {
		return &hinted{usage: true, err: fmt.Errorf("unknown output %q", o.Output), hint: "write -o text or -o json"}
	}
	return nil
}

// where reads the configuration, firth.yaml where it exists, and finds the data folder.
func (o *LakeOptions) where() (*config.Config, folders, error) {
	q := QueryOptions{Config: o.Config}
	cfg, err := q.configuration()
	if err != nil {
		return nil, folders{}, err
	}
	root, err := cfg.DataDir()
	if err != nil {
		return nil, folders{}, fmt.Errorf("find data folder: %w", err)
	}
	return cfg, folders{root}, nil
}

// LakeWork carries out one job on the lake: merge, expire, backup or restore. Where a server runs on the data folder it does the
// work; otherwise the command takes the folder and does it by the same code.
func LakeWork(ctx context.Context, job string, o LakeOptions) error {
	if err := o.checkOutput(); err != nil {
		return err
	}
	cfg, dir, err := o.where()
	if err != nil {
		return err
	}
	order := lakeOrder{Which: o.Which, Source: o.Source}
	if o.Dir != "" {
		if order.Dir, err = filepath.Abs(o.Dir); err != nil { // the server stands in another folder
			return fmt.Errorf("find folder: %w", err)
		}
	}
	if err := checkOrder(job, order); err != nil {
		return err
	}
	if _, err := os.Stat(dir.catalog()); errors.Is(err, os.ErrNotExist) && job != jobRestore {
		return emptyFolder(dir.root)
	}
	show := newProgressShow(o.Stderr)
	report, err := doOrder(ctx, cfg, dir, job, order, show.show, o.Stderr)
	show.end()
	if err != nil {
		if ctx.Err() != nil {
			return hint(errors.New("ended before it was done"), "what was committed stays, and nothing else is left behind; run it again to go on")
		}
		return err
	}
	if o.Output == "json" {
		_, err := fmt.Fprintf(o.Stdout, "%s\n", report)
		return err
	}
	return printReport(o.Stdout, job, report)
}

// doOrder lets the server on the data folder do a job, or does it here where there is none.
func doOrder(ctx context.Context, cfg *config.Config, dir folders, job string, order lakeOrder, show func(progress), warnings io.Writer) (json.RawMessage, error) {
	return hereOrThere(ctx, dir.root,
		func() (json.RawMessage, error) { return doHere(ctx, cfg, dir, job, order, show, warnings) },
		func() (json.RawMessage, error) { return sendOrder(ctx, dir.control(), job, order, show) })
}

// doHere does a job while no server runs. The folder is locked.
func doHere(ctx context.Context, cfg *config.Config, dir folders, job string, order lakeOrder, show func(progress), warnings io.Writer) (report json.RawMessage, err error) {
	tools, err := openLakeTools(ctx, cfg, dir, slog.New(slog.NewTextHandler(warnings, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tools.close()) }()
	out, err := tools.jobs()[job](ctx, order, show)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}
