package app

import "firth/internal/warehouse"

// forgetAlerts takes ids out of the alerts, where somebody is told any.
func forgetAlerts(a alerter, ids []string) error {
	f, ok := a.(interface {
		Forget(nameless func(text string) string) error
	})
	if !ok {
		return nil
	}
	return f.Forget(func(text string) string { return nameless(text, ids) })
}

// forget takes ids out of the runs that are held in memory, which may still be written.
func (h *runHistory) forget(ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, r := range h.last {
		h.last[key] = *namelessRun(&r, ids)
	}
	for i, e := range h.waiting {
		if e.run != nil {
			h.waiting[i].run = namelessRun(e.run, ids)
		}
	}
}

// namelessRun is a copy of the run without the ids.
func namelessRun(r *warehouse.Run, ids []string) *warehouse.Run {
	run := copyRun(r)
	run.Error, run.Hint = nameless(run.Error, ids), nameless(run.Hint, ids)
	for i := range run.Notices {
		run.Notices[i] = nameless(run.Notices[i], ids)
	}
	return run
}
