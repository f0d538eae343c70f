package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"

	"firth/internal/api"
	"firth/internal/config"
	"firth/internal/disk"
	"firth/internal/journal"
	"firth/internal/query"
)

// The orders of purges on the control socket.
const (
	jobPurge     = "purge"
	jobPurgeLook = "purge-look"
	jobPurgeLift = "purge-lift"
)

// newServerPurger is the purger of a server.
func newServerPurger(p *parent) *purger {
	out := newPurger(p.dir, p.lake, p.journal, p.writer, p.log.With("component", "purge"))
	out.merge = mergeOptions(p.cfg, p.dir)
	place := forgetPlace{cfg: p.cfg, dir: p.dir, log: p.log, served: true}
	out.forget = func(ctx context.Context, o forgetOrder, show func(progress)) (*forgetReport, error) {
		return forgetEverywhere(ctx, place, o, show)
	}
	client := api.NewSocketClient(p.dir.socket())
	out.where = conditions{lake: p.lake, sources: sourceNames(p.cfg), wait: whereWait, ask: func(ctx context.Context, sql string, to io.Writer) (bool, error) {
		return client.Write(ctx, to, query.FormatNDJSON, query.Request{SQL: sql}, 0)
	}}.find
	return out
}

// withPurge adds the orders of purges to the jobs of a server. A purge goes on when who ordered it goes away.
func withPurge(jobs map[string]lakeJob, p *purger) map[string]lakeJob {
	jobs = maps.Clone(jobs)
	jobs[jobPurge] = func(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
		if o.Purge == nil {
			return nil, errors.New("the order to purge says of whom nothing")
		}
		id, err := p.submit(ctx, o.Purge)
		if err != nil {
			return nil, err
		}
		return p.follow(ctx, id, true, show)
	}
	jobs[jobPurgeLook] = func(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
		if o.Purge == nil {
			return nil, errors.New("the order to purge says of whom nothing")
		}
		return p.look(ctx, o.Purge, show)
	}
	jobs[jobPurgeLift] = func(ctx context.Context, o lakeOrder, _ func(progress)) (any, error) { return p.lift(ctx, o.Which) }
	return jobs
}

// purgeHere does the same while no server runs, with the folder locked: the journal and the lake's writer run for as long as it takes.
func purgeHere(ctx context.Context, cfg *config.Config, dir folders, job string, order lakeOrder, show func(progress), log *slog.Logger) (report json.RawMessage, err error) {
	tools, err := openLakeTools(ctx, cfg, dir, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tools.close()) }()
	j, err := journal.Open(disk.OS{}, dir.journal(), journal.Options{})
	if err != nil {
		return nil, hint(fmt.Errorf("open journal: %w", err), "%s", journal.Hint(err))
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	w := tools.lake.Writer(logCursor{j, &flushLag{}}, newCallDecoder())
	p := newPurger(dir, tools.lake, j, w, log)
	p.merge = mergeOptions(cfg, dir)
	p.forget = func(ctx context.Context, o forgetOrder, show func(progress)) (*forgetReport, error) {
		return forgetEverywhere(ctx, forgetPlace{cfg: cfg, dir: dir, log: log}, o, show)
	}
	p.where = conditions{lake: tools.lake, sources: sourceNames(cfg), wait: whereWait, ask: func(ctx context.Context, sql string, to io.Writer) (bool, error) {
		q := QueryOptions{Stdout: to}
		return q.askFolder(ctx, cfg, dir, query.FormatNDJSON, query.Request{SQL: sql}, 0)
	}}.find
	return p.alone(ctx, job, order, show)
}

// alone runs what a purge needs, in the order of a server, and does one job.
func (p *purger) alone(ctx context.Context, job string, order lakeOrder, show func(progress)) (report json.RawMessage, err error) {
	run := func(fn func(context.Context) error) (stop func() error) {
		running, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan error, 1)
		go func() { done <- fn(running) }()
		return func() error {
			cancel()
			return <-done
		}
	}
	writing := run(p.writer.Run)
	appending := run(p.journal.Run)
	purging := func() error { return nil }
	if job == jobPurge {
		purging = run(p.Run)
	}
	defer func() { err = errors.Join(err, purging(), appending(), writing()) }()
	if job == jobPurge {
		id, err := p.submit(ctx, order.Purge)
		if err != nil {
			return nil, err
		}
		j, err := p.follow(ctx, id, false, show)
		if err != nil {
			return nil, hint(err, "%s; it goes on with the same command, or by itself with the next firth serve", hintOf(err))
		}
		return json.Marshal(j)
	}
	out, err := withPurge(nil, p)[job](ctx, order, show)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}
