package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"firth/internal/config"
	"firth/internal/warehouse"
)

// checkPatience is how long the check of one warehouse may take.
const checkPatience = 10 * time.Second

// checkRemotes looks at all warehouses that are servers, at once. One that does not answer in time holds up nothing else.
func checkRemotes(ctx context.Context, cfg *config.Config, kinds map[string]serverKind, patience time.Duration) []Finding {
	list := remotes(cfg, kinds, slog.New(slog.DiscardHandler))
	found := make([][]Finding, len(list))
	var group errgroup.Group
	for i, r := range list {
		group.Go(func() error {
			found[i] = checkRemote(ctx, kinds, r, patience)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return []Finding{{What: "warehouses", Found: err.Error()}}
	}
	var out []Finding
	for _, f := range found {
		out = append(out, f...)
	}
	return out
}

func checkRemote(ctx context.Context, kinds map[string]serverKind, r *remote, patience time.Duration) []Finding {
	k, err := kindOf(kinds, r)
	if err != nil {
		return []Finding{{What: "type", Warehouse: r.name, Found: err.Error(), Hint: hintOf(err)}}
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// A client that does not heed its context is left to itself: the command ends without it.
	answer := make(chan []warehouse.Finding, 1)
	go func() { answer <- k.check(limited, r) }()
	var list []warehouse.Finding
	select {
	case list = <-answer:
	case <-time.After(patience + patience/5):
	}
	var out []Finding
	for _, f := range list {
		out = append(out, Finding{What: f.What, Warehouse: r.name, OK: f.OK, Found: f.Found, Hint: f.Hint})
	}
	if len(out) == 0 || errors.Is(limited.Err(), context.DeadlineExceeded) && allWell(out) {
		out = append(out, Finding{What: "connection", Warehouse: r.name, Found: fmt.Sprintf("no answer within %s", shortSpan(patience)),
			Hint: "is the server up, and do the host, the port and the firewall in between let this machine through?"})
	}
	return out
}

func allWell(list []Finding) bool {
	for _, f := range list {
		if !f.OK {
			return false
		}
	}
	return true
}

// printSetup prints the statements that prepare a warehouse, and nothing else.
func printSetup(o *CheckOptions) error {
	cfg, err := loadConfig(o.Config, nil)
	if err != nil {
		return err
	}
	r, err := findRemote(cfg, o.kinds, o.Setup, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	k, err := kindOf(o.kinds, r)
	if err != nil {
		return err
	}
	text, err := k.setup(r)
	if err != nil {
		return fmt.Errorf("set up %s: %w", r.name, err)
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	_, err = io.WriteString(o.Stdout, text)
	return err
}

// findRemote is the warehouse of that name.
func findRemote(cfg *config.Config, kinds map[string]serverKind, name string, log *slog.Logger) (*remote, error) {
	for _, r := range remotes(cfg, kinds, log) {
		if r.name == name {
			return r, nil
		}
	}
	if name == config.Local {
		return nil, &hinted{usage: true, err: errors.New("the embedded warehouse needs no user and no rights"), hint: "name one that is a server: " + namesText(cfg.Remote())}
	}
	return nil, noWarehouse(name, cfg.Remote())
}

// noWarehouse says that a name is none of those that are configured.
func noWarehouse(name string, known []string) error {
	return &hinted{usage: true, err: fmt.Errorf("there is no warehouse %q", name), hint: "the configuration has " + namesText(known)}
}

// notLoaded says why nothing is loaded into a warehouse of that name.
func notLoaded(cfg *config.Config, name string) error {
	if name != config.Local {
		return noWarehouse(name, cfg.Loaded())
	}
	text := "remove local: false from warehouses:, and start the server again"
	if list := cfg.Remote(); len(list) > 0 {
		text += "; or load " + strings.Join(list, ", ")
	}
	return &hinted{usage: true, err: errors.New("nothing is loaded into the embedded warehouse: warehouses.local is false"), hint: text}
}

func namesText(names []string) string {
	if len(names) == 0 {
		return "none that is a server"
	}
	return strings.Join(names, ", ")
}
