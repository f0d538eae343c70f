package app

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"firth/internal/config"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/warehouse"
)

// remote is one warehouse that is a server, as configured.
type remote struct {
	name string
	config.Warehouse
	schemas []string     // those that its sources are loaded into, under its own names, and those of mirrors
	log     *slog.Logger // of the warehouse, which names itself in what it logs
	cfg     *config.Config
}

// serverKind is what this build can do with one type of warehouse.
type serverKind struct {
	rules func() name.Rules
	// open connects and makes the bookkeeping where it is missing.
	open func(ctx context.Context, r *remote) (load.Warehouse, error)
	// check connects and diagnoses, and changes nothing.
	check func(ctx context.Context, r *remote) []warehouse.Finding
	// setup is the text of statements that make the user of the URL with no more rights than loading takes.
	setup func(r *remote) (string, error)
}

// kindOf is the kind of a warehouse, or an error where this build lacks it.
func kindOf(kinds map[string]serverKind, r *remote) (serverKind, error) {
	k, ok := kinds[r.Type]
	if !ok {
		return k, hint(fmt.Errorf("warehouse %s: type %s is not in this build", r.name, r.Type), "install a build that has it: firth version")
	}
	return k, nil
}

// rules are the names that a warehouse gives.
func (r *remote) rules(k serverKind) name.Rules {
	rules := k.rules()
	if r.Naming == "rudderstack" {
		return rules.WithRudderStack(false)
	}
	return rules
}

// remotes are the configured warehouses that are servers, in the order of their names.
func remotes(cfg *config.Config, kinds map[string]serverKind, log *slog.Logger) []*remote {
	var out []*remote
	for _, name := range cfg.Remote() {
		r := &remote{name: name, Warehouse: cfg.Warehouses[name], log: log, cfg: cfg}
		sources := []string(r.Sources)
		if len(sources) == 0 {
			sources = sourceNames(cfg)
			slices.Sort(sources)
		}
		if k, ok := kinds[r.Type]; ok {
			for _, s := range sources {
				r.schemas = append(r.schemas, r.rules(k).Schema(s))
			}
			r.schemas = append(r.schemas, mirrorSchemas(cfg, name)...)
		}
		out = append(out, r)
	}
	return out
}

// scheduleText says in words when a warehouse is loaded.
func scheduleText(w *config.Warehouse) string {
	switch {
	case w.Every > 0:
		return "every " + shortSpan(time.Duration(w.Every))
	case w.Cron != "":
		return "cron " + w.Cron
	}
	return "on demand"
}

// shortSpan writes a span as the configuration does: without what is zero.
func shortSpan(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= u.unit && d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return d.String()
}
