package derive

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"firth/internal/lake"
	"firth/internal/warehouse"
)

// turnEvery is how often the Keeper looks whether something is to be made.
const turnEvery = 500 * time.Millisecond

// retryAfter is how long a table that could not be made waits.
const retryAfter = 30 * time.Second

// share bounds the time that goes into a table: it waits so many times as long as it took.
const share = 10

// Run makes tables as their sources grow, until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.End()
	k.tidy(ctx)
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for {
		for _, it := range k.items {
			k.turn(ctx, it)
		}
		if err := k.o.Store.Tend(ctx); err != nil && ctx.Err() == nil {
			k.o.Log.Debug("old files of derived tables are left for later", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// tidy drops tables that the configuration does not name any more.
func (k *Keeper) tidy(ctx context.Context) {
	if err := k.o.Store.Only(ctx, k.names()); err != nil && ctx.Err() == nil {
		k.o.Log.Warn("derived tables that the configuration does not name are not dropped; it is tried again with the next start", "error", err)
	}
}

func (k *Keeper) names() []string {
	out := make([]string, len(k.items))
	for i, it := range k.items {
		out[i] = it.spec.Name
	}
	return out
}

// End lets go of all files. Run does it when it ends.
func (k *Keeper) End() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, it := range k.items {
		for _, r := range it.old {
			r.release()
		}
		it.old = nil
		if it.made != nil && it.made.release != nil {
			it.made.release()
			it.made = nil
		}
	}
}

// turn does what is due for one table.
func (k *Keeper) turn(ctx context.Context, it *item) {
	snap, due := k.looks(it)
	if snap == nil || !due {
		return
	}
	it.making.Lock()
	defer it.making.Unlock()
	began := k.o.Now()
	rows, err := k.bring(ctx, it, snap)
	if ctx.Err() != nil {
		return
	}
	k.note(ctx, it, began, rows, err)
}

// looks says which snapshot readers see, and whether the table is to be made for it.
func (k *Keeper) looks(it *item) (*lake.Snapshot, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	snap := k.shown[it.spec.From]
	if snap == nil || k.o.Now().Before(it.due) {
		return nil, false
	}
	return snap, it.plan == nil || it.made == nil || it.made.snapshot != snap.ID || it.view != viewMade
}

// bring brings a table to a snapshot and shows it. It says whether the table was made.
func (k *Keeper) bring(ctx context.Context, it *item, snap *lake.Snapshot) (bool, error) {
	if err := k.know(ctx, it, snap); err != nil {
		return false, err
	}
	k.mu.Lock()
	current := it.made != nil && it.made.snapshot == snap.ID && it.usable(snap)
	k.mu.Unlock()
	if !current {
		if err := k.make(ctx, it, snap, false); err != nil {
			return false, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := k.shown[it.spec.From]; now != nil {
		return !current, k.show(ctx, it, it.fit(now))
	}
	return !current, nil
}

// know finds out what the statement gives, unless that is known, and shows it over all events until a table is made.
func (k *Keeper) know(ctx context.Context, it *item, snap *lake.Snapshot) error {
	k.mu.Lock()
	known := it.plan != nil
	k.mu.Unlock()
	if known {
		return nil
	}
	whole := ""
	if k.o.Gate != nil {
		var err error
		if whole, err = k.o.Gate(ctx, &it.spec); err != nil {
			return err
		}
	}
	props, err := k.o.Store.Properties(ctx, it.spec.Name)
	if err != nil {
		return err
	}
	plan, m, err := it.readState(props)
	if err != nil {
		return err
	}
	if plan == nil {
		if plan, err = k.check(ctx, it, snap); err != nil {
			return err
		}
		if whole != "" {
			plan.Mode, plan.Why = Whole, whole
		}
	}
	if m != nil {
		if m.local, m.release, err = k.o.Store.Files(ctx, it.spec.Name); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	it.plan = plan
	k.put(it, m)
	it.state.Mode, it.state.Why = plan.Mode, plan.Why
	return k.show(ctx, it, it.fit(k.shown[it.spec.From]))
}

// check tries the statement on made events, and on some of the source's where it has any.
func (k *Keeper) check(ctx context.Context, it *item, snap *lake.Snapshot) (plan *Plan, err error) {
	err = k.o.Store.Bench(ctx, func(e Engine) error {
		if plan, err = Check(ctx, e, it.spec, ""); err != nil || snap.Rows == 0 || plan.Mode == Whole {
			return err
		}
		events, release, err := k.o.Events.Relation(ctx, Some(snap))
		if err != nil {
			return err
		}
		defer release()
		plan, err = Check(ctx, e, it.spec, events)
		return err
	})
	return plan, err
}

// make makes the table for a snapshot: of what there is and the events beyond, or of all of them.
func (k *Keeper) make(ctx context.Context, it *item, snap *lake.Snapshot, erase bool) error {
	events, release, err := k.o.Events.Relation(ctx, snap)
	if err != nil {
		return err
	}
	defer release()
	k.mu.Lock()
	plan, before := it.plan, it.fit(snap)
	k.mu.Unlock()
	m := &made{at: positionOf(snap), removed: snap.Removed, snapshot: snap.ID}
	set, err := it.properties(plan, m)
	if err != nil {
		return err
	}
	within := relation("SELECT * FROM " + events + " WHERE " + Within(m.at))
	err = k.o.Store.Replace(ctx, it.spec.Name, plan.Columns, set, erase, func(present map[string]string, stored string) (string, error) {
		_, there, err := it.readState(present)
		if err != nil || before == nil || plan.Mode != Incremental || there == nil || !there.same(before) {
			return plan.Plain(within), nil //nolint:nilerr // what cannot be read is not built on
		}
		return plan.Together(stored, within, before.at), nil
	})
	if err != nil {
		k.recover(ctx, it)
		return err
	}
	if m.local, m.release, err = k.o.Store.Files(ctx, it.spec.Name); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.put(it, m)
	return nil
}

// recover takes what is in the store, which may be newer than what is known after an attempt whose end is not known.
func (k *Keeper) recover(ctx context.Context, it *item) {
	props, err := k.o.Store.Properties(ctx, it.spec.Name)
	if err != nil {
		return // the next attempt looks too
	}
	_, m, err := it.readState(props)
	if err != nil || m == nil {
		return
	}
	k.mu.Lock()
	known := it.made != nil && it.made.same(m)
	k.mu.Unlock()
	if known {
		return
	}
	if m.local, m.release, err = k.o.Store.Files(ctx, it.spec.Name); err != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.put(it, m)
}

// same says whether two states are of the same commit.
func (m *made) same(o *made) bool {
	return m.removed == o.removed && m.snapshot == o.snapshot && maps.Equal(m.at, o.at)
}

// note takes down how a turn went, and when the next one is.
func (k *Keeper) note(ctx context.Context, it *item, began time.Time, made bool, err error) {
	now := k.o.Now()
	took := now.Sub(began)
	run := &warehouse.Run{Kind: "derive", Name: it.spec.Name, State: warehouse.RunSuccess, StartedAt: began, FinishedAt: now}
	k.mu.Lock()
	was := it.state.Error
	it.state.Error, it.state.Hint = "", ""
	it.due = now.Add(max(it.spec.Every, share*took))
	if err != nil {
		it.due = now.Add(retryAfter)
		it.state.Error, it.state.Hint = err.Error(), hintOf(err)
		run.State, run.Error, run.Hint = warehouse.RunFailure, it.state.Error, it.state.Hint
	} else if made {
		it.state.Made, it.state.Took = now, took
	}
	k.fail(ctx, it, err)
	text := it.state.Error
	k.mu.Unlock()
	if text != "" && text != was {
		k.o.Log.Error("a derived table is not merged; it is tried again", "table", it.spec.Name, "error", text, "hint", run.Hint)
	}
	if k.o.Record != nil && (made || text != was) {
		run.ID = k.o.NewID()
		k.o.Record(ctx, run)
	}
}

// fail lets questions to a table whose statement is of no use fail with the reason: no rows would look like an answer.
func (k *Keeper) fail(ctx context.Context, it *item, err error) {
	var fault *Fault
	if !errors.As(err, &fault) || it.view == viewFailing || it.plan != nil {
		return
	}
	text := fmt.Sprintf("the derived table %s: %s; %s", it.spec.Name, fault.Text, fault.Hint)
	if err := k.o.Views.FailDerived(ctx, it.spec.Name, text); err != nil {
		k.o.Log.Warn("readers are not told what is wrong with a derived table", "table", it.spec.Name, "error", err)
		return
	}
	it.view = viewFailing
}

func hintOf(err error) string {
	var fault *Fault
	if errors.As(err, &fault) {
		return fault.Hint
	}
	return warehouse.HintOf(err)
}
