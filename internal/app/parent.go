package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"firth/internal/collect"
	"firth/internal/config"
	"firth/internal/disk"
	"firth/internal/event"
	"firth/internal/journal"
	"firth/internal/lake"
	"firth/internal/state"
	"firth/internal/web"
)

// parent is the collecting half.
type parent struct {
	cfg     *config.Config
	dir     folders
	log     *slog.Logger
	started func()

	place    *lakePlace
	journal  *journal.Journal
	lake     *lake.Lake
	writer   *lake.Writer
	merger   *lake.Merger // whether it runs by itself or only when it is told to
	tender   *lake.Tender
	beside   []*sideline // those of the two that run by themselves
	purger   *purger
	control  *control
	collect  *collect.Handler
	front    http.Handler
	child    *child // nil where the answering half is left out
	poll     *childState
	lag      *flushLag
	pressure *pressure
	now      func() time.Time

	stopping atomic.Bool
}

// flushNice is the niceness of the thread that writes the lake: answering an SDK comes first.
const flushNice = 10

// mergeNice is that of the threads that merge, which come after the flush.
const mergeNice = 15

// childGrace is how long the child may take to load the last rows after the stop.
const childGrace = 30 * time.Second

// diskReserve is left free for the lake's own files, without which the journal could never be emptied.
const diskReserve = 64 << 20

func newParent(ctx context.Context, cfg *config.Config, dir folders, log *slog.Logger, o ServeOptions, withChild bool) (*parent, error) {
	p := &parent{cfg: cfg, dir: dir, log: log, started: o.started, lag: &flushLag{}, now: time.Now}
	p.pressure = &pressure{look: p.backlog, log: log, now: time.Now}
	var err error
	if p.place, err = openPlaceToWrite(ctx, cfg, dir, log); err != nil {
		return nil, lakeHint(err)
	}
	if err := ensureFolders(p.place.Dir, dir.window(), dir.temp()); err != nil {
		return nil, errors.Join(hint(err, "the folders of data: and lake.url: must be writable"), p.place.close())
	}
	p.journal, err = journal.Open(disk.OS{}, dir.journal(), journal.Options{MaxBytes: int64(cfg.Journal.MaxBytes), MinFree: diskReserve})
	if err != nil {
		return nil, errors.Join(hint(fmt.Errorf("open journal: %w", err), "%s", journal.Hint(err)), p.place.close())
	}
	if r := p.journal.Stats().Recovered; r.Bytes > 0 {
		log.Info("the journal's end was cut to what had been written whole: nothing that was acknowledged is in the rest", "file", r.Path, "bytes", r.Bytes)
	}
	p.lake, err = lake.Open(ctx, lakeOptions(cfg, dir, p.place, log))
	if err != nil {
		return nil, errors.Join(lakeHint(err), p.journal.Close(), p.place.close())
	}
	p.writer = p.lake.Writer(logCursor{p.journal, p.lag}, newCallDecoder())
	p.merger, p.tender = p.lake.Merger(mergeOptions(cfg, dir)), p.lake.Tender(tendOptions(cfg))
	if !cfg.Lake.Merge.Off {
		p.beside = append(p.beside, newSideline("merge", p.merger.Run, p.merger.State, log))
	}
	p.beside = append(p.beside, newSideline("tend", p.tender.Run, p.tender.State, log))
	tools := lakeTools{lake: p.lake, merger: p.merger, tender: p.tender, imports: importSettingsOf(cfg, dir), settle: func(ctx context.Context, show func(progress)) error {
		return settleWriter(ctx, p.journal, p.writer, show)
	}}
	p.purger = newServerPurger(p)
	p.control = newControl(dir.control(), withPurge(tools.jobs(), p.purger), log)
	p.collect, err = collect.New(p.journal, collectOptions(cfg, log))
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	base, err := cfg.Dir()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find the configuration's folder: %w", err), p.close())
	}
	p.child = &child{
		args: []string{"serve", "--roles", "load,query", "-c", "-", "--base", base, "--log", o.LogFormat}, stdin: cfg.Text,
		pidFile: dir.childPID(), stderr: o.Stderr, log: log, grace: childGrace,
		up: func() bool { return p.poll.up() }, settleLeast: childSettleLeast, settleMost: childSettleMost,
	}
	if o.Profile != "" {
		p.child.args = append(p.child.args, "--cpuprofile", o.Profile)
	}
	p.poll = newChildState(dir.socket(), p.child.pid.Load, p.upstream, log)
	if !withChild {
		p.child = nil
	}
	page, err := web.New()
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	p.front = &front{page: page, tracking: p.collect, answer: newProxy(dir.socket(), p.poll.why, p.log), metrics: p.metrics(), ready: p.ready, open: len(cfg.Users) == 0}
	return p, nil
}

func (p *parent) close() error {
	return errors.Join(p.lake.Close(), p.journal.Close(), p.place.close())
}

func collectOptions(cfg *config.Config, log *slog.Logger) collect.Options {
	o := collect.Options{
		MaxEvent: int(cfg.Limits.Event), MaxBody: int(cfg.Limits.Body), MaxBatch: cfg.Limits.Batch,
		Silent: cfg.UnknownKeys == "silent", Proxies: cfg.ProxyNets(), Log: log.With("component", "collect"),
		IPPolicy: map[string]uint8{"keep": event.IPKeep, "truncate": event.IPTruncate, "drop": event.IPDrop}[cfg.IP],
	}
	for name, s := range cfg.Sources {
		source := collect.Source{Name: name, Limit: float64(s.Limit)}
		for _, key := range s.WriteKey {
			source.Keys = append(source.Keys, string(key))
		}
		o.Sources = append(o.Sources, source)
	}
	return o
}

// ready says whether writes are accepted, and how every component is.
func (p *parent) ready(context.Context) (bool, []state.Component) {
	door := state.Component{Name: "collect", State: state.OK}
	log := p.pressure.component()
	if log.State == state.Failed {
		door.State, door.Error = state.Failed, "writes are refused with 503 until the journal takes them again"
	}
	if p.stopping.Load() {
		door.State, door.Error = state.Stopping, ""
	}
	list := []state.Component{door, log, componentOf(p.writer.State())}
	for _, s := range p.beside {
		list = append(list, s.component())
	}
	list = append(list, p.purger.component())
	if p.child != nil {
		list = append(list, p.poll.components()...)
	}
	return door.State == state.OK, list
}

// componentOf says in the words of /readyz how a part of the lake is.
func componentOf(s lake.State) state.Component {
	c := state.Component{Name: s.Name, State: s.State, Error: s.Error, Hint: s.Hint}
	if s.State == lake.StateFailing {
		c.State = state.Failed
	}
	return c
}

func sourceNames(cfg *config.Config) []string {
	names := make([]string, 0, len(cfg.Sources))
	for name := range cfg.Sources {
		names = append(names, name)
	}
	return names
}
