package app

import (
	"context"
	_ "embed" // the demo's configuration
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"firth/internal/config"
	"firth/internal/demo"
	"firth/internal/warehouse"
)

//go:embed demo.yaml
var demoConfig string

// DemoOptions are the command line of firth demo.
type DemoOptions struct {
	Data    string // "": a temporary folder, removed at the end
	Listen  string
	Pinned  bool // Listen was asked for: no other address will do
	Once    bool
	Profile string // as in ServeOptions
	Version string
	Stdout  io.Writer
	Stderr  io.Writer
}

const demoKey = "demo-key"

// demoText is the configuration of the demo's server.
func demoText(listen, dir, database, usage string) string {
	return strings.NewReplacer("LISTEN", listen, "DATA", strconv.Quote(dir), "SOURCE", demo.Source, "KEY", demoKey,
		"COMPANY", strconv.Quote(database), "USAGE", strconv.Quote(usage), "SCHEMA", demo.Schema).Replace(demoConfig)
}

// Demo starts a server, fills it, asks three questions, and stays up until ctx ends.
func Demo(ctx context.Context, o DemoOptions) (err error) {
	dir := o.Data
	if dir == "" {
		if dir, err = os.MkdirTemp("", "firth-demo-"); err != nil {
			return fmt.Errorf("make temporary folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("find data folder: %w", err)
	}
	listen, err := freeAddress(ctx, o.Listen, o.Pinned)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return hint(fmt.Errorf("create data folder: %w", err), "choose a folder that this user may write: --data DIR")
	}
	database, usage := filepath.Join(dir, "app.db"), filepath.Join(dir, "usage.db")
	text := demoText(listen, dir, database, usage)
	cfg, err := config.Parse("the demo's configuration", []byte(text))
	if err != nil {
		return err
	}
	logFile, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	defer logFile.Close()

	serveCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	started, ended := make(chan struct{}), make(chan error, 1)
	serving := false
	defer func() {
		stop()
		if serving {
			err = errors.Join(err, <-ended)
		}
	}()
	start := func(ctx context.Context) (demo.Server, error) {
		serving = true
		go func() {
			ended <- Serve(serveCtx, ServeOptions{Version: o.Version, Profile: o.Profile, Stderr: logFile, configuration: cfg, started: func() { close(started) }})
		}()
		select {
		case <-started:
		case err := <-ended:
			serving = false
			return demo.Server{}, err
		case <-ctx.Done():
			return demo.Server{}, ctx.Err()
		}
		return demo.Server{URL: "http://" + listen, WriteKey: demoKey, Data: dir, Mirror: companyMirror(cfg, folders{dir})}, nil
	}
	err = demo.Run(ctx, demo.Options{Start: start, Once: o.Once, Database: database, Usage: usage, Program: os.Args[0], Out: o.Stdout, Terminal: isTerminal(o.Stdout)})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// freeAddress returns addr, or, where another program has it and nobody insists, an address with a free port.
func freeAddress(ctx context.Context, addr string, insist bool) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil && !insist {
		l, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", hint(fmt.Errorf("listen: %w", err), "choose another address: --listen 127.0.0.1:9090")
	}
	free := l.Addr().String()
	return free, l.Close()
}

// companyMirror runs the mirrors of the company's databases once, and returns how many rows they have.
func companyMirror(cfg *config.Config, dir folders) func(context.Context) (int64, error) {
	return func(ctx context.Context) (rows int64, err error) {
		err = retrying(ctx, 20*time.Second, func() error {
			report, err := new(SyncOptions).syncThere(ctx, dir, cfg.MirrorNames(), &syncOrder{}, func(progress) {})
			if err != nil {
				return err
			}
			rows = 0
			for _, m := range report.Mirrors {
				if m.State != warehouse.RunSuccess {
					return fmt.Errorf("mirror %s: %s", m.Name, m.Error)
				}
				rows += m.Rows
			}
			return nil
		})
		return rows, err
	}
}

// retrying tries until it works: the answering half is a moment behind the collecting one after a start.
func retrying(ctx context.Context, patience time.Duration, try func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
