package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"firth/internal/config"
	"firth/internal/disk"
	"firth/internal/journal"
	"firth/internal/lake"
)

// The jobs that a person may order.
const (
	jobMerge   = "merge"
	jobExpire  = "expire"
	jobBackup  = "backup"
	jobRestore = "restore"
)

// lakeTools are what works on the lake at a person's request, in the server and in a command alike.
type lakeTools struct {
	lake   *lake.Lake
	merger *lake.Merger
	tender *lake.Tender
	// settle brings what the journal holds into the lake.
	settle func(ctx context.Context, progress func(progress)) error
	// imports is what an import has to know of the configuration.
	imports importSettings
	// close gives up what a command has opened; in the server the parent does that.
	close func() error
}

// checkOrder says what is wrong with an order before anything is opened.
func checkOrder(job string, o lakeOrder) error {
	switch job {
	case jobMerge:
		if o.Which != "small" && o.Which != "large" && o.Which != "all" {
			return &hinted{usage: true, err: fmt.Errorf("there is no merger %q", o.Which), hint: "write small, large or all"}
		}
	case jobBackup, jobRestore:
		if o.Dir == "" {
			return &hinted{usage: true, err: fmt.Errorf("%s needs a folder", job), hint: "firth lake " + job + " DIR"}
		}
	}
	return nil
}

// lakeOptions are the settings of the lake in this data folder, for the process that commits to it.
func lakeOptions(cfg *config.Config, dir folders, place *lakePlace, log *slog.Logger) lake.Options {
	return lake.Options{
		Catalog: place.Catalog, Server: place.Server, Dir: place.Dir, URL: place.URL, FS: place.FS, Window: dir.window(), Purge: dir.purge(), Sources: sourceNames(cfg),
		Every: time.Duration(cfg.Lake.Flush.Every), Bytes: int(cfg.Lake.Flush.Bytes),
		DedupWindow: time.Duration(cfg.Lake.Dedup.Window), DedupIDs: cfg.Lake.Dedup.IDs, History: time.Duration(cfg.Lake.History),
		Nice: flushNice, Log: log.With("component", "lake"),
	}
}

// openLakeTools opens the lake for a command. The data folder must be locked.
func openLakeTools(ctx context.Context, cfg *config.Config, dir folders, log *slog.Logger) (*lakeTools, error) {
	place, err := openPlaceToWrite(ctx, cfg, dir, log)
	if err != nil {
		return nil, lakeHint(err)
	}
	if err := ensureFolders(place.Dir, dir.window(), dir.temp()); err != nil {
		return nil, errors.Join(hint(err, "the folders of data: and lake.url: must be writable"), place.close())
	}
	l, err := lake.Open(ctx, lakeOptions(cfg, dir, place, log))
	if err != nil {
		return nil, errors.Join(lakeHint(err), place.close())
	}
	t := &lakeTools{lake: l, merger: l.Merger(mergeOptions(cfg, dir)), tender: l.Tender(tendOptions(cfg)), imports: importSettingsOf(cfg, dir)}
	t.close = func() error { return errors.Join(l.Close(), place.close()) }
	t.settle = func(ctx context.Context, show func(progress)) error { return settleFolder(ctx, l, dir, show) }
	return t, nil
}

// settleFolder brings into the lake what a server that was killed has left in the journal.
func settleFolder(ctx context.Context, l *lake.Lake, dir folders, show func(progress)) (err error) {
	j, err := journal.Open(disk.OS{}, dir.journal(), journal.Options{})
	if err != nil {
		return hint(fmt.Errorf("open journal: %w", err), "%s", journal.Hint(err))
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	w := l.Writer(logCursor{j, &flushLag{}}, newCallDecoder())
	writing, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- w.Run(writing) }()
	err = settleWriter(ctx, j, w, show)
	stop()
	return errors.Join(err, <-done)
}

const settleEvery = 20 * time.Millisecond

// settleWriter waits until the lake has what the journal holds now.
func settleWriter(ctx context.Context, j *journal.Journal, w *lake.Writer, show func(progress)) error {
	end := j.Stats().Next
	first := max(w.Stats().Position, j.Stats().Oldest)
	for {
		position := max(w.Stats().Position, first)
		if s := w.State(); position >= end && s.State == lake.StateOK {
			return nil
		} else if s.State == lake.StateFailing {
			show(progress{Stage: "the lake cannot be written, which must heal first: " + s.Error})
		} else {
			show(progress{Stage: "bring the journal into the lake", Done: int64(position - first), Total: int64(max(end, first) - first), Unit: "events"})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(settleEvery):
		}
	}
}

// jobs are the jobs by name.
func (t *lakeTools) jobs() map[string]lakeJob {
	return map[string]lakeJob{jobMerge: t.merge, jobExpire: t.expire, jobBackup: t.backup, jobRestore: t.restore, jobImport: t.importArchive}
}

func (t *lakeTools) merge(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
	which := map[string]lake.MergeKind{"small": lake.MergeSmall, "large": lake.MergeLarge, "all": lake.MergeAll}[o.Which]
	show(progress{Stage: "look for files to merge"})
	done := int64(0)
	r, err := t.merger.Merge(ctx, which, o.Source, func(p lake.MergeProgress) {
		done += int64(p.Files)
		show(progress{Stage: "merge " + p.Table, Done: done, Total: done + int64(max(p.Left, 0)), Unit: "files"})
	})
	if errors.Is(err, lake.ErrNoTable) {
		return nil, hint(fmt.Errorf("the lake has no table %s", o.Source), "firth lake files lists the tables")
	}
	return reportOfMerge(r), err
}

func (t *lakeTools) expire(ctx context.Context, _ lakeOrder, show func(progress)) (any, error) {
	began := time.Now()
	stages := map[string]string{"retain": "drop old days of", "manifests": "pack the metadata of", "look": "look for files that nothing names in", "sweep": "remove files of"}
	r, err := t.tender.Expire(ctx, func(p lake.TendProgress) {
		stage := stages[p.Step]
		if stage == "" {
			stage = p.Step
		}
		if p.Table == "" {
			p.Table = "all tables"
		}
		show(progress{Stage: stage + " " + p.Table, Done: p.Done, Total: p.Total, Unit: "files"})
	})
	return reportOfExpire(r, time.Since(began)), err
}

// mergeOptions are the settings of the mergers.
func mergeOptions(cfg *config.Config, dir folders) lake.MergeOptions {
	m := cfg.Lake.Merge
	return lake.MergeOptions{
		SmallEvery: time.Duration(m.Small.Every), SmallBytes: int64(m.Small.Bytes), SmallFiles: m.Small.Files,
		LargeEvery: time.Duration(m.Large.Every), LargeBytes: int64(m.Large.Bytes),
		Memory: int64(m.Memory), Temp: dir.temp(), Nice: mergeNice,
	}
}

// tendOptions are the settings of retention and sweeper. A short grace, which tests have, asks for frequent rounds.
func tendOptions(cfg *config.Config) lake.TendOptions {
	grace := time.Duration(cfg.Lake.Grace)
	return lake.TendOptions{Every: min(lake.DefaultTendEvery, max(grace/3, 100*time.Millisecond)), Grace: grace, Orphans: time.Duration(cfg.Lake.Orphans), Keep: time.Duration(cfg.Lake.Keep)}
}
