package load

import "context"

// tend lets a warehouse tidy up after a run that went well. What goes wrong there is told in the log, once, and is tried again after the
// next run. The gate is held.
func (r *Runner) tend(ctx context.Context) {
	t, ok := r.l.o.Warehouse.(Tender)
	if !ok {
		return
	}
	if err := r.l.note(ctx, t.Tend(ctx)); err != nil {
		r.l.noted = "" // it is said again by the run that finds the warehouse so
	}
}
