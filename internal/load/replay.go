package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// maxTries is how often in a row an order tries again what failed for a reason that may pass.
const maxTries = 8

// mayPass tells the failures that an order waits out. What it does can be done again without harm.
func mayPass(err error) bool {
	switch warehouse.KindOf(err) {
	case warehouse.Down, warehouse.Timeout, warehouse.Busy:
		return true
	}
	return false
}

// patiently does something with the warehouse while the gate is held, and again after a while where it fails for a reason that may
// pass; but not before something worked, since a person waits for the answer. again is called before that, with the gate held.
func (d *doing) patiently(ctx context.Context, do func() error, again func() error) error {
	for try := 1; ; try++ {
		err := d.exclusively(ctx, func() error {
			if try > 1 {
				if err := again(); err != nil {
					return err
				}
			}
			return do()
		})
		if err == nil {
			d.worked = true
		}
		if err == nil || !d.kept.renewed(ctx, err) && !d.pause(ctx, err, try) {
			return err
		}
	}
}

// pause waits before another try and reports whether there is to be one.
func (d *doing) pause(ctx context.Context, err error, try int) bool {
	if ended(ctx) || !d.worked || !mayPass(err) || try >= maxTries {
		return false
	}
	d.l.o.Log.Warn("an order is held up", "warehouse", d.l.o.Name, "order", d.session.kind, "err", err)
	timer := time.NewTimer(min(backOffLeast<<(try-1), backOffMost))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func nothing() error { return nil }

// exclusively does something while the gate is held and the warehouse is there.
func (d *doing) exclusively(ctx context.Context, do func() error) error {
	if err := d.l.lock(ctx); err != nil {
		return err
	}
	defer d.l.unlock()
	if err := d.l.connected(ctx); err != nil {
		return err
	}
	return do()
}

// at tells how far a stage is.
func (d *doing) at(ctx context.Context, name, stage string, done, total int64) {
	d.progress(Progress{Source: name, Stage: stage, Done: min(done, total), Total: total})
	d.session.tick(ctx)
}

// restrict takes out of a batch what the order is not about.
func (d *doing) restrict(name string, b *warehouse.Batch) {
	if d.tables == nil {
		return
	}
	other := func(t *table.Batch) bool { return !d.wants(name, t.Name) }
	b.Tables, b.Upserts = slices.DeleteFunc(b.Tables, other), slices.DeleteFunc(b.Upserts, other)
	b.Discards = slices.DeleteFunc(b.Discards, func(c event.Discard) bool { return !d.wants(name, c.TableName) })
}

// shapes reports whether calls of a type may be rows of what the order is about.
func (d *doing) shapes(name, callType string) bool {
	if d.tables == nil {
		return true
	}
	if callType != "track" {
		return slices.ContainsFunc(tablesOf(callType), func(t string) bool { return d.wants(name, t) })
	}
	return slices.ContainsFunc(d.tables[name], func(t string) bool {
		switch t {
		case "identifies", "users", "pages", "screens", "groups", "accounts", "aliases":
			return false
		}
		return true
	})
}

// tablesOf are the tables of calls that are not track.
func tablesOf(callType string) []string {
	switch callType {
	case "identify":
		return []string{"identifies", "users"}
	case "group":
		return []string{"groups", "accounts"}
	case "alias":
		return []string{"aliases"}
	}
	return []string{callType + "s"}
}

// replay writes again what the warehouse lacks of a source, of a time of receipt.
func (d *doing) replay(ctx context.Context, name string) error {
	var s *source
	var limit map[string]uint64
	err := d.patiently(ctx, func() error {
		if _, ok := inner(d.l.o.Warehouse).(Replayer); !ok {
			return cannot("replay", d.l.o.Name)
		}
		s = d.l.sources[name]
		if err := s.follow(ctx); err != nil {
			return err
		}
		limit = map[string]uint64{}
		for log, p := range s.positions {
			limit[log] = p.Next
		}
		return nil
	}, nothing)
	if err != nil {
		return err
	}
	from, to := micros(d.o.From, event.NoTime), micros(d.o.To, 1<<63-1)
	w := &walker{
		o: &d.l.o, source: name, label: s.schema + ".replay", rows: d.l.o.Rows,
		file: func(f *lake.File) bool { return f.MaxReceived >= from && f.MinReceived < to },
		call: func(c *event.Call) bool {
			return c.ReceivedAt >= from && c.ReceivedAt < to && d.shapes(name, c.Type)
		},
	}
	d.withoutTheirRows(s)
	return d.walk(ctx, w, StageReplay, limit, func(c *chunk, began time.Time) error {
		return d.patiently(ctx, func() error { return d.replayChunk(ctx, s, c, began) }, nothing)
	})
}

// follow makes sure that the source's shaper is as the warehouse is. The gate is held.
func (s *source) follow(ctx context.Context) error {
	if s.positions == nil || s.stale || s.shaper == nil || s.ahead != nil {
		return s.open(ctx)
	}
	return nil
}

// replayChunk hands one chunk to the warehouse. The source's own shaper makes the rows, so that columns which come up are known to the
// loads that follow. The gate is held.
func (d *doing) replayChunk(ctx context.Context, s *source, c *chunk, began time.Time) error {
	if err := s.follow(ctx); err != nil {
		return err
	}
	kept := &chunk{log: c.log, from: c.from, to: c.to, calls: slices.Clone(c.calls)} // for another try
	b, err := s.shape(s.shaper, kept)
	if err != nil {
		return s.missed(err)
	}
	b.Source, b.Schema, b.Log, b.From, b.To = s.name, s.schema, c.log, c.from, c.to
	d.restrict(s.name, b)
	d.onlyComputable(s, b)
	ready := d.l.o.Now()
	r, err := d.l.o.Warehouse.(Replayer).Replay(ctx, b)
	if err != nil {
		return s.missed(err)
	}
	r.Notices = append(b.Notices, r.Notices...)
	d.session.loaded(ctx, s.schema, r, spent{began: began, prepare: ready.Sub(began), load: d.l.o.Now().Sub(ready)})
	return nil
}

// rowsOf are the tables that a replay computes users and accounts from.
func (d *doing) rowsOf(t string) string {
	if strings.EqualFold(t, "users") {
		return d.l.o.Rules.Standard("identifies")
	}
	return d.l.o.Rules.Standard("groups")
}

// onlyComputable leaves out users and accounts where the tables that they are computed from are not loaded.
func (d *doing) onlyComputable(s *source, b *warehouse.Batch) {
	b.Upserts = slices.DeleteFunc(b.Upserts, func(t *table.Batch) bool {
		return !d.l.o.Selection.table(s.name, s.schema, d.rowsOf(t.Name))
	})
}

// withoutTheirRows says so of tables that onlyComputable leaves out.
func (d *doing) withoutTheirRows(s *source) {
	for _, t := range []string{"users", "accounts"} {
		sel := &d.l.o.Selection
		if d.wants(s.name, t) && sel.table(s.name, s.schema, t) && !sel.table(s.name, s.schema, d.rowsOf(t)) {
			d.session.notice(fmt.Sprintf("%s.%s is left as it is: a replay computes it from %s, which is not loaded", s.schema, t, d.rowsOf(t)))
		}
	}
}

// walk reads what the walker finds of each journal below its limit, in order, and hands it on chunk by chunk.
func (d *doing) walk(ctx context.Context, w *walker, stage string, limit map[string]uint64, fn func(c *chunk, began time.Time) error) (err error) {
	defer func() { err = errors.Join(err, w.dropSpool()) }()
	if err := w.refresh(ctx); err != nil {
		return err
	}
	var total, done int64
	for log, end := range limit {
		total += expected(files(w.snap, log, 0, end), 0, end)
	}
	d.at(ctx, w.source, stage, 0, total)
	for _, log := range journals(w.snap) {
		for at := uint64(0); at < limit[log]; {
			began := d.l.o.Now()
			found := files(w.snap, log, at, limit[log])
			if len(found) == 0 {
				break
			}
			c, err := w.chunk(ctx, log, at, limit[log])
			if err != nil {
				return err
			}
			if len(c.calls) > 0 {
				if err := fn(c, began); w.smaller(err, len(c.calls)) {
					continue
				} else if err != nil {
					return err
				}
			}
			done += expected(found, at, c.to)
			at = c.to
			d.at(ctx, w.source, stage, done, total)
		}
	}
	d.at(ctx, w.source, stage, total, total)
	return nil
}

// micros is a time in Unix microseconds, rounded up, for half-open bounds; def stands for the zero time.
func micros(t time.Time, def int64) int64 {
	if t.IsZero() {
		return def
	}
	us := t.UnixMicro()
	if t.After(time.UnixMicro(us)) {
		us++
	}
	return us
}
