// Package app wires configuration to components: which exist, in which process they run, and in which order they start and stop.
//
// `firth serve` is two processes of one binary. The parent collects: HTTP, journal, lake. Its child answers: loader, warehouse, SQL.
// Whatever happens in the child, collecting goes on.
package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"firth/internal/config"
)

// hinted is an error with what a person can do about it.
type hinted struct {
	err   error
	hint  string
	usage bool
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// Hint says what to do next.
func (h *hinted) Hint() string { return h.hint }

func hint(err error, format string, args ...any) error {
	return &hinted{err: err, hint: fmt.Sprintf(format, args...)}
}

// IsUsage says whether an error is the caller's way of calling, not a failure.
func IsUsage(err error) bool {
	var h *hinted
	return errors.As(err, &h) && h.usage
}

// Hint is what to do about an error, or "".
func Hint(err error) string { return hintOf(err) }

const defaultConfig = "firth.yaml"

// folders are the paths within a data folder.
type folders struct{ root string }

func (f folders) journal() string   { return filepath.Join(f.root, "journal") }
func (f folders) window() string    { return filepath.Join(f.root, "window") }
func (f folders) temp() string      { return filepath.Join(f.root, "tmp") }
func (f folders) catalog() string   { return filepath.Join(f.root, "catalog.db") }
func (f folders) warehouse() string { return filepath.Join(f.root, "warehouse.duckdb") }
func (f folders) socket() string    { return filepath.Join(f.root, "firth.sock") }
func (f folders) control() string   { return filepath.Join(f.root, "control.sock") }
func (f folders) alerts() string    { return filepath.Join(f.root, "alerts.json") }
func (f folders) childPID() string  { return filepath.Join(f.root, "child.pid") }

// warehouseTemp is where what is on its way to a warehouse that is a server lies meanwhile.
func (f folders) warehouseTemp(name string) string {
	return filepath.Join(f.temp(), "warehouse-"+name)
}

// loadConfig reads the configuration of serve and check: the file that was named, standard input for "-", or firth.yaml.
func loadConfig(path string, stdin io.Reader) (*config.Config, error) {
	if path == "-" {
		text, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		return config.Parse("standard input", text)
	}
	if path == "" {
		path = defaultConfig
	}
	c, err := config.Load(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, &hinted{usage: true, err: fmt.Errorf("there is no configuration file %s", path),
			hint: "write one, for example:\n\n      sources:\n        production: { write_key: choose-a-key }\n\n    or see it run first: firth demo"}
	}
	return c, err
}

func newLogger(w io.Writer, format string) (*slog.Logger, error) {
	switch format {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, nil)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, nil)), nil
	}
	return nil, &hinted{usage: true, err: fmt.Errorf("unknown log format %q", format), hint: "write --log text or --log json"}
}
