package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"firth/internal/lake"
	"firth/internal/schedule"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// slowAfter is how long a call of a warehouse may take before that is said.
const slowAfter = time.Minute

// watch keeps the freshness up to date, also while the warehouse is down or takes its time.
func (r *Runner) watch(ctx context.Context) {
	warned := r.warn(r.recall(), "")
	held, last := "", r.l.o.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		r.look(ctx)
		if now := r.l.o.Now(); ended(ctx) || now.Sub(last) >= rememberEvery {
			var err error
			held, err = r.remember(held)
			warned, last = r.warn(err, warned), now
		}
		if ended(ctx) {
			return
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// warn logs trouble that holds nothing up, once as long as it lasts.
func (r *Runner) warn(err error, warned string) string {
	if err == nil {
		return ""
	}
	if err.Error() != warned {
		r.l.o.Log.Warn("the freshness of a warehouse may be unknown after the next start", "warehouse", r.l.o.Name, "err", err)
	}
	return err.Error()
}

// look compares the lake with how far the sources were last known to be.
func (r *Runner) look(ctx context.Context) {
	var rows []warehouse.Freshness
	var held, pending int64
	var lag time.Duration
	for _, name := range r.l.marks.names() {
		k, _ := r.l.marks.get(name)
		snap, err := r.l.o.Lake.Snapshot(ctx, name)
		if errors.Is(err, lake.ErrNoTable) {
			continue
		}
		if err != nil {
			return // the next run says so
		}
		f := k.freshness(r.l.o.Name, snap)
		rows = append(rows, f)
		held, pending, lag = held+snap.Rows, pending+f.PendingRows, max(lag, lagOf(&f))
	}
	r.l.fresh.set(rows)
	r.l.pace.look(r.l.o.Now(), held, pending, lag)
}

// describe says in words how things are.
func (r *Runner) describe(s *status) state.Component {
	cell := state.New("load " + r.l.o.Name)
	now := r.l.o.Now()
	stats := r.Stats()
	what, since := r.busy.get()
	waiting := now.Sub(since)
	switch {
	case s.stopped:
		cell.Set(state.Stopping)
	case s.err != nil:
		as := state.Degraded
		if s.whole {
			as = state.Failed
		}
		cell.SetError(as, s.tried(now), s.advice(now, stats.PendingRows, r.o.Schedule == nil))
	case what != "" && waiting >= slowAfter:
		cell.SetError(state.Degraded, fmt.Errorf("%s %s: no answer for %s", what, r.l.o.Name, inWords(waiting)),
			"look whether the warehouse works and whether somebody holds a lock there; nothing is lost, the lake has every event")
	case s.runs == 0 && !s.running && r.o.Schedule != nil:
		cell.Set(state.Starting)
	default:
		cell.Set(state.OK)
		if !s.running || stats.Lag < r.patience(now) {
			break
		}
		if hint, err := stats.behind(); err != nil {
			cell.SetError(state.Degraded, err, hint)
		}
	}
	return cell.Get()
}

// patience is how far a warehouse may be behind that is loaded now and then.
func (r *Runner) patience(now time.Time) time.Duration {
	if r.o.Schedule == nil {
		return behindAfter
	}
	return 2*schedule.Gap(r.o.Schedule, now) + behindAfter
}

// tried is the failure with its history.
func (s *status) tried(now time.Time) error {
	if s.tries < 2 {
		return s.err
	}
	return fmt.Errorf("%w (tried %d times in %s)", s.err, s.tries, inWords(now.Sub(s.since)))
}

// advice is the failure's hint and what happens by itself.
func (s *status) advice(now time.Time, pending int64, onDemand bool) string {
	text, before := "it is tried again by itself", "Afterwards nothing has to be done: "
	if left := s.next.Sub(now); left > 0 {
		text += " in " + inWords(left)
	}
	if onDemand {
		text, before = "load again: this warehouse is loaded on demand", "Then "
	}
	if pending > 0 {
		text += fmt.Sprintf("; %s rows wait in the lake and none is lost", grouped(pending))
	}
	if hint := warehouse.HintOf(s.err); hint != "" {
		return strings.TrimSuffix(hint, ".") + ". " + before + text
	}
	return text
}
