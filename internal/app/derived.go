package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"firth/internal/config"
	"firth/internal/derive"
	"firth/internal/disk"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/query"
	"firth/internal/state"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/internal/warehouse/iceberg"
)

// derivedName is what the derived tables are called in reports, and the folder of what is computed for them.
const derivedName = "lake.derived"

// derivedTables keeps the derived tables of the lake that an answer has open.
type derivedTables struct {
	*derive.Keeper
	cfg    *config.Config
	reader *lake.Reader
	fs     disk.FS
	store  *lazyTables
}

// derivedSpecs are the derived tables of a configuration.
func derivedSpecs(cfg *config.Config) []derive.Spec {
	rules := name.DuckDB()
	var out []derive.Spec
	for _, n := range cfg.DerivedNames() {
		t := cfg.Lake.Derived[n]
		out = append(out, derive.Spec{Name: n, From: t.From, View: rules.Schema(t.From), Seed: t.SeedSQL, Merge: t.MergeSQL, Every: time.Duration(t.Every)})
	}
	return out
}

// derivedSources are the views of the sources by derived table.
func derivedSources(cfg *config.Config) map[string]string {
	out := map[string]string{}
	for _, s := range derivedSpecs(cfg) {
		out[s.Name] = s.View
	}
	return out
}

// newDerived makes the keeper of a configuration's derived tables. Runs go to history, which may be nil.
func newDerived(cfg *config.Config, dir folders, log *slog.Logger, a *answer, shared *lakeTables, history load.History) *derivedTables {
	if shared == nil {
		shared = &lakeTables{}
	}
	t := &derivedTables{
		cfg: cfg, reader: a.reader, fs: a.place.FS,
		store: &lazyTables{shared: shared, of: &remote{name: derivedName, cfg: cfg, log: log}},
	}
	t.Keeper = derive.New(derive.Options{
		Specs: derivedSpecs(cfg), Store: t.store, Events: t, Views: a.db, Latest: a.reader.Snapshot, Grace: time.Duration(cfg.Lake.Grace),
		Gate: func(ctx context.Context, s *derive.Spec) (whole string, err error) {
			conn, err := a.db.SQL().Conn(ctx)
			if err != nil {
				return "", fmt.Errorf("judge a statement: %w", err)
			}
			defer func() { err = errors.Join(err, conn.Close()) }()
			return judge(ctx, conn, s)
		},
		Record: func(ctx context.Context, r *warehouse.Run) {
			if history == nil {
				return
			}
			if err := history.RecordRun(ctx, r); err != nil {
				log.Warn("the run of a derived table is not recorded", "table", r.Name, "error", err)
			}
		},
		Now: time.Now, NewID: uuid.NewString, Log: log,
	})
	return t
}

// judge says in words of derive whether the statements of a table may be run, and why their rows cannot be merged again; "": they can.
func judge(ctx context.Context, conn query.Parser, s *derive.Spec) (whole string, err error) {
	for _, part := range []struct{ key, text string }{{"seed_sql", s.Seed}, {"merge_sql", s.Merge}} {
		if part.text == "" {
			continue
		}
		err := query.CheckDerived(ctx, conn, s.From, part.text)
		var refused *query.Error
		if errors.As(err, &refused) {
			return "", &derive.Fault{Text: part.key + ": " + refused.Message, Hint: refused.Hint}
		}
		if err != nil {
			return "", err
		}
	}
	return query.Mergeable(ctx, conn, s.Seed, s.Merge)
}

// Relation implements derive.Events.
func (t *derivedTables) Relation(ctx context.Context, snap *lake.Snapshot) (events string, release func(), err error) {
	return eventsOf(ctx, t.fs, snap.Files)
}

// eventsOf is a relation of the events in files, which stay here until release is called.
func eventsOf(ctx context.Context, fsys disk.FS, files []*lake.File) (events string, release func(), err error) {
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = f.Path
	}
	local, release, err := disk.Fetch(ctx, fsys, paths)
	if err != nil {
		return "", nil, fmt.Errorf("read events: %w", err)
	}
	return "(" + duckdb.LakeSelect(false, local) + ")", release, nil
}

// forget makes the tables of sources anew and says so in a report.
func (t *derivedTables) forget(ctx context.Context, sources []string, w *forgottenWarehouse) error {
	for _, source := range sources {
		names, err := t.Remake(ctx, source)
		for _, n := range names {
			w.Rows["lake."+n] = 0
			w.Notices = append(w.Notices, "lake."+n+" was made anew of the events that are left, and nothing is left of what it was")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// components say how the tables are.
func (t *derivedTables) components() []state.Component {
	var out []state.Component
	for _, s := range t.States() {
		c := state.Component{Name: "derived table " + s.Name, State: state.OK}
		switch {
		case s.Error != "":
			c.State, c.Error, c.Hint = state.Degraded, s.Error, s.Hint
		case s.Mode == "":
			c.State = state.Starting
		}
		out = append(out, c)
	}
	return out
}

func (t *derivedTables) close() error {
	t.End()
	return t.store.close()
}

// over puts the tables over the views that a loader keeps.
func (t *derivedTables) over(views load.Views) load.Views {
	specs := derivedSpecs(t.cfg)
	if len(specs) == 0 {
		return views
	}
	v := &derivedViews{Views: views, tables: t, sources: map[string]string{}}
	for _, s := range specs {
		v.sources[s.View] = s.From
	}
	return v
}

// derivedViews keeps the derived tables in step with the views of their sources.
type derivedViews struct {
	load.Views
	tables  *derivedTables
	sources map[string]string // that have derived tables, by view
}

// SetLakeFiles implements load.Views.
func (v *derivedViews) SetLakeFiles(ctx context.Context, view string, files []string) error {
	source, ok := v.sources[view]
	if !ok {
		return v.Views.SetLakeFiles(ctx, view, files)
	}
	snap, err := v.tables.reader.Snapshot(ctx, source)
	if err != nil || !sameFiles(snap, files) {
		snap = nil // the lake has gone on: the loader comes again
	}
	if err := v.tables.Before(ctx, source, snap); err != nil {
		return err
	}
	if err := v.Views.SetLakeFiles(ctx, view, files); err != nil || snap == nil {
		return err
	}
	return v.tables.After(ctx, source, snap)
}

// SetLakeDamage implements load.Views.
func (v *derivedViews) SetLakeDamage(ctx context.Context, view, text string) error {
	if source, ok := v.sources[view]; ok {
		if err := v.tables.Before(ctx, source, nil); err != nil {
			return err
		}
	}
	return v.Views.SetLakeDamage(ctx, view, text)
}

func sameFiles(snap *lake.Snapshot, files []string) bool {
	paths := make([]string, len(snap.Files))
	for i, f := range snap.Files {
		paths[i] = f.Path
	}
	slices.Sort(paths)
	return slices.Equal(paths, files)
}

// lazyTables is a derive.Store that opens the tables of the lake when it is asked first.
type lazyTables struct {
	shared *lakeTables
	of     *remote

	mu   sync.Mutex
	user *lakeUser
}

func (l *lazyTables) get(ctx context.Context) (*iceberg.Derived, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.user == nil {
		u, err := l.shared.get(ctx, l.of)
		if err != nil {
			return nil, fmt.Errorf("open the tables of the lake: %w", err)
		}
		l.user = u
	}
	return l.user.Derived(), nil
}

func (l *lazyTables) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.user == nil {
		return nil
	}
	u := l.user
	l.user = nil
	return u.Close()
}

// Properties implements derive.Store.
func (l *lazyTables) Properties(ctx context.Context, name string) (map[string]string, error) {
	s, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return s.Properties(ctx, name)
}

// Replace implements derive.Store.
func (l *lazyTables) Replace(ctx context.Context, name string, columns []derive.Column, set map[string]string, erase bool, statement func(map[string]string, string) (string, error)) error {
	s, err := l.get(ctx)
	if err != nil {
		return err
	}
	return s.Replace(ctx, name, columns, set, erase, statement)
}

// Files implements derive.Store.
func (l *lazyTables) Files(ctx context.Context, name string) ([]string, func(), error) {
	s, err := l.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	return s.Files(ctx, name)
}

// Bench implements derive.Store.
func (l *lazyTables) Bench(ctx context.Context, fn func(e derive.Engine) error) error {
	s, err := l.get(ctx)
	if err != nil {
		return err
	}
	return s.Bench(ctx, fn)
}

// Only implements derive.Store.
func (l *lazyTables) Only(ctx context.Context, names []string) error {
	s, err := l.get(ctx)
	if err != nil {
		return err
	}
	return s.Only(ctx, names)
}

// Tend implements derive.Store.
func (l *lazyTables) Tend(ctx context.Context) error {
	s, err := l.get(ctx)
	if err != nil {
		return err
	}
	return s.Tend(ctx)
}
