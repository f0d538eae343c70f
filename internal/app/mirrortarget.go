package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"firth/internal/config"
	"firth/internal/mirror"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// targetKind opens what takes mirrors in one type of warehouse.
type targetKind func(ctx context.Context, r *remote) (mirror.Target, io.Closer, error)

// mirrorTargets are the warehouses that mirrors write, each opened when it is needed first and shared by all mirrors.
type mirrorTargets struct {
	cfg   *config.Config
	kinds map[string]targetKind
	log   *slog.Logger
	// local is the embedded warehouse while it is open; nil: it is not.
	local func() mirror.Target

	mu   sync.Mutex
	open map[string]*openTarget
}

type openTarget struct {
	mu     sync.Mutex
	target mirror.Target
	closer io.Closer
}

func newMirrorTargets(cfg *config.Config, kinds map[string]targetKind, log *slog.Logger, local func() mirror.Target) *mirrorTargets {
	return &mirrorTargets{cfg: cfg, kinds: kinds, log: log, local: local, open: map[string]*openTarget{}}
}

// of is the target of that name. It connects when it is used.
func (t *mirrorTargets) of(name string) mirror.Target {
	return lateTarget{func(ctx context.Context) (mirror.Target, error) { return t.get(ctx, name) }}
}

func (t *mirrorTargets) get(ctx context.Context, name string) (mirror.Target, error) {
	if name == config.Local {
		if target := t.local(); target != nil {
			return target, nil
		}
		return nil, hint(errors.New("the embedded warehouse is not open"), "see the server's log, or firth check; mirrors go on by themselves once it is")
	}
	t.mu.Lock()
	o := t.open[name]
	if o == nil {
		o = &openTarget{}
		t.open[name] = o
	}
	t.mu.Unlock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.target != nil {
		return o.target, nil
	}
	r := &remote{name: name, Warehouse: t.cfg.Warehouses[name], log: t.log, cfg: t.cfg}
	k, ok := t.kinds[r.Type]
	if !ok {
		return nil, hint(fmt.Errorf("warehouse %s: type %s takes no mirrors in this build", name, r.Type), "name another one in into.warehouse")
	}
	var err error
	o.target, o.closer, err = k(ctx, r)
	return o.target, err
}

// close closes what was opened. Nothing of it is in use any more.
func (t *mirrorTargets) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all error
	for _, o := range t.open {
		if o.closer != nil {
			all = errors.Join(all, o.closer.Close())
		}
	}
	t.open = map[string]*openTarget{}
	return all
}

// lateTarget is a target that is looked up each time it is used.
type lateTarget struct {
	get func(ctx context.Context) (mirror.Target, error)
}

// Mirror implements mirror.Target.
func (l lateTarget) Mirror(ctx context.Context, t warehouse.MirrorTable) (*warehouse.MirrorState, error) {
	target, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return target.Mirror(ctx, t)
}

// Stage implements mirror.Target.
func (l lateTarget) Stage(ctx context.Context, t warehouse.MirrorTable, o warehouse.StageOptions) (mirror.Stage, error) {
	target, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return target.Stage(ctx, t, o)
}

// IDs implements mirror.Target.
func (l lateTarget) IDs(ctx context.Context, t warehouse.MirrorTable, after vector.Value, limit int) ([]vector.Value, error) {
	target, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return target.IDs(ctx, t, after, limit)
}

// mirrorsOf is the embedded warehouse as a target; nil while it is not open.
func mirrorsOf(a *answer) mirror.Target {
	if a == nil {
		return nil
	}
	return embeddedTarget(a.db)
}
