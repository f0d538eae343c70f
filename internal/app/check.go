package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"firth/internal/config"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// CheckOptions are the command line of firth check.
type CheckOptions struct {
	Config string
	Output string // text or json
	// Setup names a warehouse whose setup statements are printed in place of a check.
	Setup  string
	Stdout io.Writer

	kinds   map[string]serverKind // nil: those of this build
	mirrors *mirrorKinds          // nil: those of this build
}

// Finding is the outcome of one check.
type Finding struct {
	What      string `json:"what"`
	Warehouse string `json:"warehouse,omitempty"` // the one it is about, where that is a server
	Database  string `json:"database,omitempty"`
	Mirror    string `json:"mirror,omitempty"`
	OK        bool   `json:"ok"`
	Found     string `json:"found"`
	Hint      string `json:"hint,omitempty"`
}

// label is what a finding is about, for a person.
func (f *Finding) label() string {
	for _, about := range []string{f.Warehouse, f.Database, f.Mirror} {
		if about != "" {
			return about + ": " + f.What
		}
	}
	return f.What
}

var errFindings = errors.New("not everything is well")

// Check reads the configuration, looks at everything it names, and says what is wrong and how to mend it.
func Check(ctx context.Context, o CheckOptions) error {
	if o.Output != "text" && o.Output != "json" {
		return &hinted{usage: true, err: fmt.Errorf("unknown output %q", o.Output), hint: "write -o text or -o json"}
	}
	if o.kinds == nil {
		o.kinds = serverKinds()
	}
	if o.mirrors == nil {
		kinds := newMirrorKinds()
		o.mirrors = &kinds
	}
	if o.Setup != "" {
		return printSetup(&o)
	}
	findings := check(ctx, &o)
	bad := 0
	for _, f := range findings {
		if !f.OK {
			bad++
		}
	}
	if o.Output == "json" {
		if err := json.NewEncoder(o.Stdout).Encode(findings); err != nil {
			return err
		}
	} else {
		printFindings(o.Stdout, findings)
	}
	if bad > 0 {
		return fmt.Errorf("%w: %d of %d checks failed", errFindings, bad, len(findings))
	}
	return nil
}

// labelWidth is the least width of the column that says what was looked at.
const labelWidth = 14

func printFindings(w io.Writer, findings []Finding) {
	width := labelWidth
	for _, f := range findings {
		width = max(width, utf8.RuneCountInString(f.label()))
	}
	for _, f := range findings {
		mark := "ok  "
		if !f.OK {
			mark = "FAIL"
		}
		found := strings.Split(f.Found, "\n")
		fmt.Fprintf(w, "%s  %-*s %s\n", mark, width, f.label(), found[0])
		for _, line := range found[1:] {
			fmt.Fprintf(w, "      %-*s %s\n", width, "", strings.TrimSpace(line))
		}
		if f.Hint == "" {
			continue
		}
		arrow := "→"
		for line := range strings.SplitSeq(f.Hint, "\n") {
			fmt.Fprintf(w, "      %-*s %s %s\n", width, "", arrow, line)
			arrow = " "
		}
	}
}

func check(ctx context.Context, o *CheckOptions) []Finding {
	cfg, err := loadConfig(o.Config, nil)
	if err != nil {
		var out []Finding
		for _, fault := range split(err) {
			f := Finding{What: "configuration", Found: fault.Error()}
			var h interface{ Hint() string }
			if errors.As(fault, &h) {
				f.Hint = h.Hint()
			}
			out = append(out, f)
		}
		return out
	}
	out := []Finding{{What: "configuration", OK: true, Found: configured(cfg)}}
	if len(cfg.Sources) == 0 && len(cfg.Mirrors) == 0 {
		out = append(out, Finding{What: "sources", Found: "none: nobody can send events", Hint: "add sources: { production: { write_key: choose-a-key } }"})
	}
	out = append(out, checkFolder(ctx, cfg)...)
	out = append(out, checkDerived(ctx, cfg)...)
	out = append(out, checkRemotes(ctx, cfg, o.kinds, checkPatience)...)
	return append(out, checkMirrors(ctx, cfg, o.mirrors.sources, checkPatience)...)
}

// configured says what a configuration has.
func configured(cfg *config.Config) string {
	found := fmt.Sprintf("%s: %s, %s", cfg.Path, counted(len(cfg.Sources), "source"), counted(len(cfg.Users), "user"))
	remote := len(cfg.Remote())
	switch off := cfg.Warehouses[config.Local].Off; {
	case off && remote == 0:
		found += ", no warehouse: the lake alone"
	case off:
		found += ", " + counted(remote, "warehouse") + ", the embedded one is switched off"
	case remote > 0:
		found += ", " + counted(remote, "warehouse") + " beside the embedded one"
	}
	if n := len(cfg.Databases); n > 0 {
		found += ", " + counted(n, "database")
	}
	if n := len(cfg.Mirrors); n > 0 {
		found += ", " + counted(n, "mirror")
	}
	return found
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// checkFolder looks at the data folder and what is in it, or at the server that has it.
func checkFolder(ctx context.Context, cfg *config.Config) []Finding {
	var out []Finding
	dir, err := cfg.DataDir()
	if err != nil {
		return append(out, Finding{What: "data folder", Found: err.Error()})
	}
	lock, err := lockFolder(dir)
	if errors.Is(err, ErrLocked) {
		out = append(out, Finding{What: "data folder", OK: true, Found: "a server runs on it: " + dir}, running(ctx, cfg))
		if cfg.LakeStore() != "" {
			out = append(out, checkStore(ctx, cfg, folders{dir})...)
		}
		return append(out, tables(ctx, cfg, folders{dir}))
	}
	if err != nil {
		return append(out, Finding{What: "data folder", Found: err.Error(), Hint: "choose a folder that this user may write, in data:"})
	}
	defer lock.release()
	out = append(out, Finding{What: "data folder", OK: true, Found: dir})
	out = append(out, writable(ctx, cfg, folders{dir})...)
	out = append(out, addresses(ctx, cfg)...)
	return append(out, tables(ctx, cfg, folders{dir}), openable(ctx, cfg, folders{dir}))
}

// split takes joined errors apart.
func split(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { //nolint:errorlint // only the outermost is taken apart
		return joined.Unwrap()
	}
	return []error{err}
}

func writable(ctx context.Context, cfg *config.Config, data folders) []Finding {
	dir, err := cfg.LakeDir()
	if err == nil && cfg.LakeStore() != "" {
		return checkStore(ctx, cfg, data)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o750)
	}
	if err == nil {
		probe := filepath.Join(dir, ".check")
		if err = os.WriteFile(probe, nil, 0o600); err == nil {
			err = os.Remove(probe)
		}
	}
	if err != nil {
		return []Finding{{What: "lake", Found: err.Error(), Hint: "choose a folder that this user may write, in lake.url:"}}
	}
	return []Finding{{What: "lake", OK: true, Found: dir}}
}

func addresses(ctx context.Context, cfg *config.Config) []Finding {
	var out []Finding
	for _, a := range [][2]string{{"listen", cfg.Listen}, {"public", cfg.Public}} {
		if a[1] == "" {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", a[1])
		if err != nil {
			out = append(out, Finding{What: a[0], Found: err.Error(), Hint: "choose another address, or end the program that has it"})
			continue
		}
		if err := l.Close(); err != nil {
			out = append(out, Finding{What: a[0], Found: err.Error()})
			continue
		}
		out = append(out, Finding{What: a[0], OK: true, Found: a[1]})
	}
	return out
}

func openable(ctx context.Context, cfg *config.Config, dir folders) Finding {
	lakeDir, err := cfg.LakeDir()
	if err != nil {
		return Finding{What: "warehouse", Found: err.Error()}
	}
	if err := ensureFolders(dir.temp()); err != nil {
		return Finding{What: "warehouse", Found: err.Error()}
	}
	db, err := duckdb.Open(ctx, dir.warehouse(), duckdb.Options{Memory: int64(cfg.Query.Memory), LakeDir: lakeDir, TempDir: dir.temp()})
	if err != nil {
		return Finding{What: "warehouse", Found: err.Error(), Hint: warehouse.HintOf(err)}
	}
	if err := db.Close(); err != nil {
		return Finding{What: "warehouse", Found: err.Error(), Hint: warehouse.HintOf(err)}
	}
	return Finding{What: "warehouse", OK: true, Found: dir.warehouse()}
}
