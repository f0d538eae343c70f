package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"time"

	"firth/internal/api"
	"firth/internal/config"
	"firth/internal/disk"
	"firth/internal/journal"
	"firth/internal/lake"
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
	out.where = conditions{lake: p.lake, sources: sourceNames(p.cfg), ask: func(ctx context.Context, sql string, to io.Writer) (bool, error) {
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
	p.where = conditions{lake: tools.lake, sources: sourceNames(cfg), ask: func(ctx context.Context, sql string, to io.Writer) (bool, error) {
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

// conditions find rows by SQL, by whoever answers questions.
type conditions struct {
	lake    *lake.Lake
	sources []string
	ask     func(ctx context.Context, sql string, to io.Writer) (truncated bool, err error)
}

// viewPatience is how long it may take until a question sees what was committed.
const viewPatience = 15 * time.Second

// errCondition hides what the engine says: that holds the condition, which may name somebody, and errors are logged.
var errCondition = errors.New("--where cannot be evaluated in the tables of the lake")

func (c conditions) find(ctx context.Context, source, condition string) (map[string][]string, error) {
	sources := c.sources
	if source != "" {
		sources = []string{source}
	}
	out := map[string][]string{}
	for _, s := range sources {
		rows, err := c.lake.Rows(ctx, s)
		if errors.Is(err, lake.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := c.await(ctx, s, rows); err != nil {
			return nil, err
		}
		sql := fmt.Sprintf(`SELECT DISTINCT message_id FROM lake.%s WHERE (%s)`, quoteIdent(s), condition)
		ids, err := c.texts(ctx, sql)
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			out[s] = ids
		}
	}
	return out, nil
}

// await waits until questions see the rows that the table has; merges may have left out doubles meanwhile, so it does not wait for ever.
func (c conditions) await(ctx context.Context, source string, rows int64) error {
	for deadline := time.Now().Add(viewPatience); time.Now().Before(deadline); {
		got, err := c.texts(ctx, fmt.Sprintf(`SELECT CAST(count(*) AS VARCHAR) AS message_id FROM lake.%s`, quoteIdent(source)))
		if err != nil {
			return err
		}
		var n int64
		if len(got) == 1 {
			if _, err := fmt.Sscan(got[0], &n); err == nil && n >= rows {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

func (c conditions) texts(ctx context.Context, sql string) ([]string, error) {
	var text bytes.Buffer
	truncated, err := c.ask(ctx, sql, &text)
	var refused *query.Error
	switch {
	case errors.As(err, &refused):
		return nil, &hinted{usage: true, err: errCondition, hint: "try it first: firth query \"SELECT count(*) FROM lake.SOURCE WHERE ...\""}
	case err != nil:
		return nil, hint(errors.New("the half of the server that answers questions does not: --where needs it"), "see the server's log; it is tried again by itself")
	case truncated:
		return nil, &hinted{usage: true, err: errors.New("--where chooses more rows than query.rows allows"), hint: "raise query.rows, or purge in parts, with a narrower condition each"}
	}
	var out []string
	for lines := json.NewDecoder(&text); ; {
		var row struct {
			MessageID string `json:"message_id"`
		}
		if err := lines.Decode(&row); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, errCondition
		}
		out = append(out, row.MessageID)
	}
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
