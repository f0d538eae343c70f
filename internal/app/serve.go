package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/config"
)

// ServeOptions are the command line of firth serve.
type ServeOptions struct {
	Config    string   // path; "" is firth.yaml, "-" is Stdin
	Roles     []string // empty: all
	Base      string   // the folder of a configuration that comes by Stdin; empty: the working directory
	LogFormat string
	// Profile is a folder for CPU profiles of both halves, written when they end; empty: none.
	Profile string
	Version string
	Stdin   io.Reader
	Stderr  io.Writer

	// configuration is used in place of Config when it is set.
	configuration *config.Config
	// started, when set, is called once the server accepts writes.
	started func()
}

// The roles that run in the child.
var answering = []string{"load", "query"} //nolint:gochecknoglobals // a constant list

// The roles that run in the parent.
var collecting = []string{"collect", "write"} //nolint:gochecknoglobals // a constant list

// Serve runs the server until ctx ends, and returns nil after a clean stop.
func Serve(ctx context.Context, o ServeOptions) error {
	log, err := newLogger(o.Stderr, o.LogFormat)
	if err != nil {
		return err
	}
	cfg := o.configuration
	if cfg == nil {
		if cfg, err = loadConfig(o.Config, o.Stdin); err != nil {
			return err
		}
	}
	if o.Base != "" {
		cfg.Base = o.Base
	}
	for _, r := range o.Roles {
		if !slices.Contains(answering, r) && !slices.Contains(collecting, r) {
			return &hinted{usage: true, err: fmt.Errorf("unknown role %q", r), hint: "the roles are collect,write and load,query"}
		}
	}
	dir, err := cfg.DataDir()
	if err != nil {
		return fmt.Errorf("find data folder: %w", err)
	}
	sorted := slices.Sorted(slices.Values(o.Roles))
	stopProfile, err := startProfile(o.Profile, strings.Join(append([]string{"firth"}, sorted...), "-"))
	if err != nil {
		return err
	}
	defer stopProfile()
	switch {
	case len(o.Roles) == 0 || slices.Equal(sorted, []string{"collect", "load", "query", "write"}):
		return runParent(ctx, cfg, folders{dir}, log, o, true)
	case slices.Equal(sorted, answering):
		return runChild(ctx, cfg, folders{dir}, log.With("half", "answering"), o.Version)
	case slices.Equal(sorted, collecting):
		return runParent(ctx, cfg, folders{dir}, log, o, false)
	}
	return &hinted{usage: true, err: fmt.Errorf("the roles %s do not run alone", strings.Join(o.Roles, ",")),
		hint: "write --roles collect,write or --roles load,query, or leave it out for all"}
}

// parentMemory is what the collecting half's heap aims to stay under, in bytes; the garbage collector works harder near it. The
// pages of the binary that are in use come on top, 80 MB.
const parentMemory = 400 << 20

// parentGarbage is how far the heap may grow before it is collected, in per cent of what is alive: some 60 MB, and 170 MB while a
// merge is under way.
const parentGarbage = 200

// runParent is the collecting half: it owns the data folder.
func runParent(ctx context.Context, cfg *config.Config, dir folders, log *slog.Logger, o ServeOptions, withChild bool) error {
	lock, err := lockFolder(dir.root)
	if errors.Is(err, ErrLocked) {
		return hint(err, "stop the other server first, or give this one another data: folder")
	}
	if err != nil {
		return hint(err, "the data folder must be writable: see data: in the configuration")
	}
	defer lock.release()
	debug.SetGCPercent(parentGarbage)
	debug.SetMemoryLimit(parentMemory)
	if err := endLeftOver(dir.childPID(), 5*time.Second); err != nil {
		return err
	}
	p, err := newParent(ctx, cfg, dir, log, o, withChild)
	if err != nil {
		return err
	}
	return errors.Join(p.run(ctx), p.close())
}

// stage is a part of the server with a life of its own.
type stage struct {
	name string
	run  func(context.Context) error
}

// stages are the parts of the collecting half in the order in which they stop.
func (p *parent) stages(listeners []listener) []stage {
	stages := []stage{
		{"http", func(ctx context.Context) error { return p.serveHTTP(ctx, listeners) }},
		{"control", p.control.Run},
		{"purge", p.purger.Run},
	}
	for _, s := range p.beside {
		stages = append(stages, stage{s.over.Get().Name, s.Run})
	}
	stages = append(stages, stage{"pressure", p.pressure.Run}, stage{"journal", p.journal.Run}, stage{"lake", p.writer.Run})
	if p.child != nil {
		stages = append(stages, stage{"watch", p.poll.Run}, stage{"answering half", p.child.Run})
	}
	return stages
}

// run starts the stages and, when ctx ends, stops them one after the other: HTTP, what tends the lake, journal, lake, child. A merge
// under way is given up; the others empty themselves into the next one. A stage that cannot go on stops all.
func (p *parent) run(ctx context.Context) error {
	listeners, err := p.listen(ctx)
	if err != nil {
		return err
	}
	stages := p.stages(listeners)
	group, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	cancels := make([]context.CancelFunc, len(stages))
	done := make([]chan struct{}, len(stages))
	for i, s := range stages {
		stageCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancels[i], done[i] = cancel, make(chan struct{})
		group.Go(func() error {
			defer close(done[i])
			if err := s.run(stageCtx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			return nil
		})
	}
	group.Go(func() error {
		select {
		case <-ctx.Done():
			p.log.Info("stopping: writing what was taken to the lake and the tables")
		case <-failed.Done():
		}
		p.stopping.Store(true)
		p.collect.Shutdown()
		for i := range stages {
			cancels[i]()
			<-done[i]
		}
		return nil
	})
	err = group.Wait()
	if err == nil {
		p.log.Info("stopped")
	}
	return err
}

// shutdownPatience is how long requests that are under way may take after the stop.
const shutdownPatience = 10 * time.Second

type listener struct {
	net.Listener
	handler http.Handler
}

func (p *parent) listen(ctx context.Context) ([]listener, error) {
	var out []listener
	for _, l := range []struct {
		key, addr string
		handler   http.Handler
	}{{"listen", p.cfg.Listen, p.front}, {"public", p.cfg.Public, p.collect}} {
		if l.addr == "" {
			continue
		}
		nl, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr)
		if err != nil {
			return nil, hint(fmt.Errorf("%s: %w", l.key, err), "another program has the address, or it is none of this machine: choose another %s: in the configuration", l.key)
		}
		out = append(out, listener{nl, l.handler})
	}
	return out, nil
}

func (p *parent) serveHTTP(ctx context.Context, listeners []listener) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for _, l := range listeners {
		srv := &http.Server{
			Handler:           l.handler,
			ReadHeaderTimeout: 10 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    32 << 10,
			ErrorLog:          serverLog{p.log}.logger(),
		}
		group.Go(func() error {
			if err := srv.Serve(l.Listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		group.Go(func() error {
			<-groupCtx.Done()
			deadline, cancel := context.WithTimeout(context.WithoutCancel(groupCtx), shutdownPatience)
			defer cancel()
			if err := srv.Shutdown(deadline); err != nil {
				return srv.Close()
			}
			return nil
		})
		p.log.Info("listening", "address", l.Addr().String())
	}
	if p.started != nil {
		p.started()
	}
	return group.Wait()
}

// ensureFolders makes the folders that the components expect.
func ensureFolders(paths ...string) error {
	for _, path := range paths {
		if err := os.MkdirAll(path, 0o750); err != nil {
			return fmt.Errorf("create folder: %w", err)
		}
	}
	return nil
}
