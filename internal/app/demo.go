package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"time"

	"firth/internal/config"
	"firth/internal/demo"
	"firth/internal/table"
)

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
	text := fmt.Sprintf("listen: %s\ndata: %q\nsources:\n  %s: { write_key: %s }\n", listen, dir, demo.Source, demoKey)
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
		return demo.Server{URL: "http://" + listen, WriteKey: demoKey, Data: dir, LoadTable: companyLoader(folders{dir}.socket())}, nil
	}
	err = demo.Run(ctx, demo.Options{Start: start, Once: o.Once, Program: os.Args[0], Out: o.Stdout, Terminal: isTerminal(o.Stdout)})
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

// companyLoader puts a table of the company database into the warehouse.
func companyLoader(socket string) func(context.Context, string, string, []demo.Column, [][]any) error {
	return func(ctx context.Context, schema, name string, columns []demo.Column, rows [][]any) error {
		batch := &table.Batch{Name: name}
		for _, c := range columns {
			kind := map[string]table.Type{"boolean": table.Boolean, "timestamp": table.Timestamp}[c.Type]
			if kind == table.Null {
				kind = table.String
			}
			batch.Columns = append(batch.Columns, table.Column{Name: c.Name, Type: kind})
		}
		for _, row := range rows {
			var r table.Row
			for i, v := range row {
				value, err := companyValue(v)
				if err != nil {
					return fmt.Errorf("column %s: %w", columns[i].Name, err)
				}
				if i > math.MaxInt32 {
					return errors.New("too many columns")
				}
				r.Cells = append(r.Cells, table.Cell{Col: int32(i), Value: value})
			}
			batch.Rows = append(batch.Rows, r)
		}
		return retrying(ctx, 20*time.Second, func() error { return sendTable(ctx, socket, schema, batch) })
	}
}

func companyValue(v any) (table.Value, error) {
	switch v := v.(type) {
	case string:
		return table.Value{Type: table.String, Text: v}, nil
	case bool:
		value := table.Value{Type: table.Boolean, Text: fmt.Sprint(v)}
		if v {
			value.Bits = 1
		}
		return value, nil
	case time.Time:
		return table.Value{Type: table.Timestamp, Bits: uint64(v.UnixMicro()), Text: v.UTC().Format(time.RFC3339Nano)}, nil
	}
	return table.Value{}, fmt.Errorf("%T has no type in a table", v)
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
