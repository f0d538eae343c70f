package load

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"firth/internal/event"
	"firth/internal/name"
	"firth/internal/table"
	"firth/internal/warehouse"
)

// rebuildSuffix makes the key of a rebuild's bookkeeping out of that of its source.
const rebuildSuffix = "#rebuild"

// rebuilding makes tables of one source anew: a pass over the history finds the types of all columns, a second one loads it
// into a schema beside, and in the end the tables change places. Loading goes on meanwhile and is held but for the last rows.
type rebuilding struct {
	d      *doing
	s      *source
	key    string // of the bookkeeping
	schema string
	walker *walker

	tables    []warehouse.Table // as the survey found them
	shaper    Shaper            // nil: to be made
	positions map[string]uint64 // of what is rebuilt
	done      int64
}

// rebuildSchema is where the tables of a schema are made anew.
func rebuildSchema(rules name.Rules, schema string) string {
	out := warehouse.RebuildPrefix + schema
	if rules.MaxBytes <= 0 || len(out) <= rules.MaxBytes {
		return out
	}
	sum := sha256.Sum256([]byte(schema))
	mark := "_" + hex.EncodeToString(sum[:4])
	return out[:rules.MaxBytes-len(mark)] + mark
}

// rebuild makes the tables of a source anew.
func (d *doing) rebuild(ctx context.Context, name string) (err error) {
	r := &rebuilding{d: d, key: name + rebuildSuffix, schema: rebuildSchema(d.l.o.Rules, d.l.o.Rules.Schema(name))}
	if d.l.o.NewSurvey == nil {
		return cannot("rebuild", d.l.o.Name)
	}
	var survey Surveyor
	var target map[string]uint64
	err = d.patiently(ctx, func() error {
		if _, ok := inner(d.l.o.Warehouse).(Rebuilder); !ok {
			return cannot("rebuild", d.l.o.Name)
		}
		r.s = d.l.sources[name]
		if err := r.drop(ctx); err != nil {
			return err
		}
		if survey, err = r.survey(ctx); err != nil {
			return err
		}
		target, err = r.present(ctx)
		return err
	}, nothing)
	if err != nil {
		return err
	}
	if len(target) == 0 {
		d.session.notice("nothing of " + name + " is loaded yet: there is nothing to make anew")
		return nil
	}
	r.walker = &walker{
		o: &d.l.o, source: name, label: r.s.schema + ".rebuild", rows: d.l.o.Rows,
		call: func(c *event.Call) bool { return d.shapes(name, c.Type) && d.l.o.Wanted(c) },
	}
	defer func() { err = errors.Join(err, r.giveUp(ctx, err)) }()
	began := d.l.o.Now()
	if err := d.walk(ctx, r.walker, StageSurvey, target, func(c *chunk, _ time.Time) error { return surveyChunk(survey, c) }); err != nil {
		return err
	}
	r.tables = survey.Columns()
	d.session.run.Prepare += d.l.o.Now().Sub(began)
	return r.finish(ctx)
}

func surveyChunk(survey Surveyor, c *chunk) error {
	for i := range c.calls {
		if err := survey.Add(&c.calls[i]); err != nil {
			return fmt.Errorf("shape the call at offset %d: %w", c.calls[i].Offset, err)
		}
	}
	survey.Take()
	return nil
}

// drop removes what this or an earlier rebuild left. The gate is held.
func (r *rebuilding) drop(ctx context.Context) error {
	return r.d.l.o.Warehouse.(Rebuilder).DropRebuild(ctx, r.key, r.schema)
}

// giveUp removes what was built when the rebuild failed, as far as that can be done now; else the next one does.
func (r *rebuilding) giveUp(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), historyWait)
	defer cancel()
	if e := r.d.exclusively(ctx, func() error { return r.drop(ctx) }); e != nil {
		r.d.l.o.Log.Warn("what a rebuild left is removed by the next one", "warehouse", r.d.l.o.Name, "schema", r.schema, "err", e)
	}
	return nil
}

// present is how far the source's tables are. The gate is held.
func (r *rebuilding) present(ctx context.Context) (map[string]uint64, error) {
	positions, err := r.d.l.o.Warehouse.Positions(ctx, r.s.name)
	if err != nil {
		return nil, err
	}
	out := make(map[string]uint64, len(positions))
	for log, p := range positions {
		out[log] = p.Next
	}
	return out, nil
}

// survey makes a shaper that knows the names of the columns and finds out their types. Columns that the warehouse knows no origin of,
// such as those that users added, are rebuilt where values come for them. The gate is held.
func (r *rebuilding) survey(ctx context.Context) (Surveyor, error) {
	tables, err := r.d.l.o.Warehouse.Catalogue(ctx, r.s.name)
	if err != nil {
		return nil, err
	}
	standard := standardTypes(r.d.l.o.Rules)
	survey := r.d.l.o.NewSurvey(r.s.name)
	for _, t := range tables {
		columns := slices.Clone(t.Columns)
		for i := range columns {
			if columns[i].Path == "" {
				columns[i].Type = standard[strings.ToLower(columns[i].Name)]
			}
		}
		survey.Restore(t.Name, columns)
	}
	return survey, nil
}

// standardTypes are the types of the columns that have no path, by name in lower case.
func standardTypes(rules name.Rules) map[string]table.Type {
	out := map[string]table.Type{overflowName: table.String}
	for _, t := range event.Standard(rules) {
		for _, c := range t.Columns {
			out[strings.ToLower(c.Name)] = c.Type
		}
	}
	return out
}

// finish loads the history beside and swaps.
func (r *rebuilding) finish(ctx context.Context) error {
	for moved := 0; ; {
		// Beside the loads until little is left, then with the loads held.
		if err := r.follow(ctx); err != nil {
			return err
		}
		again := false
		err := r.d.patiently(ctx, func() error {
			target, err := r.present(ctx)
			if err != nil {
				return err
			}
			if again, err = r.farOff(ctx, target); err != nil || again {
				return err
			}
			if err := r.fill(ctx, target, true); err != nil {
				return err
			}
			return r.swap(ctx)
		}, r.renew(ctx))
		switch {
		case again && err == nil:
		case warehouse.KindOf(err) != warehouse.Moved:
			return err
		default:
			if moved++; moved == maxMoved {
				return err
			}
			if err := r.d.exclusively(ctx, r.renew(ctx)); err != nil {
				return err
			}
		}
	}
}

// follow loads up to where the source's tables are now.
func (r *rebuilding) follow(ctx context.Context) error {
	var target map[string]uint64
	err := r.d.patiently(ctx, func() (err error) {
		target, err = r.present(ctx)
		return err
	}, nothing)
	if err != nil {
		return err
	}
	return r.fill(ctx, target, false)
}

// farOff reports whether more is left than should be loaded while the loads are held.
func (r *rebuilding) farOff(ctx context.Context, target map[string]uint64) (bool, error) {
	if err := r.walker.refresh(ctx); err != nil {
		return false, err
	}
	var left int64
	for log, end := range target {
		if at := r.positions[log]; at < end {
			left += expected(files(r.walker.snap, log, at, end), at, end)
		}
	}
	return left > 2*int64(r.d.l.o.Rows), nil
}

// fill loads everything below the target. held: the gate is.
func (r *rebuilding) fill(ctx context.Context, target map[string]uint64, held bool) (err error) {
	defer func() { err = errors.Join(err, r.walker.dropSpool()) }()
	if err := r.walker.refresh(ctx); err != nil {
		return err
	}
	if r.positions == nil {
		r.positions = map[string]uint64{}
	}
	total := r.done
	for log, end := range target {
		total += expected(files(r.walker.snap, log, r.positions[log], end), r.positions[log], end)
	}
	logs := journals(r.walker.snap)
	for _, log := range slices.Sorted(maps.Keys(target)) {
		if !slices.Contains(logs, log) {
			logs = append(logs, log) // the lake has nothing of it any more
		}
	}
	for _, log := range logs {
		if err := r.fillLog(ctx, log, target[log], total, held); err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuilding) fillLog(ctx context.Context, log string, end uint64, total int64, held bool) error {
	for at := r.positions[log]; at < end; {
		began := r.d.l.o.Now()
		c, found := &chunk{log: log, from: at, to: end}, files(r.walker.snap, log, at, end)
		if len(found) > 0 {
			var err error
			if c, err = r.walker.chunk(ctx, log, at, end); err != nil {
				return err
			}
		}
		if len(c.calls) > 0 || c.to == end {
			load := func() error { return r.load(ctx, c, began) }
			var err error
			if held {
				err = load()
			} else {
				err = r.d.patiently(ctx, load, r.renew(ctx))
			}
			if r.walker.smaller(err, len(c.calls)) {
				continue
			}
			if err != nil {
				return err
			}
		}
		r.done += expected(found, at, c.to)
		at = c.to
		r.d.at(ctx, r.s.name, StageRebuild, r.done, total)
	}
	return nil
}

// load writes one chunk into the schema beside. The gate is held.
func (r *rebuilding) load(ctx context.Context, c *chunk, began time.Time) error {
	if c.to <= r.positions[c.log] {
		return nil // an earlier try came in
	}
	if r.shaper == nil {
		if err := r.reshape(ctx); err != nil {
			return err
		}
	}
	kept := &chunk{log: c.log, from: c.from, to: c.to, calls: slices.Clone(c.calls)} // for another try
	b, err := r.s.shape(r.shaper, kept)
	if err != nil {
		return err
	}
	r.d.restrict(r.s.name, b)
	b.Source, b.Schema, b.Log, b.From, b.To = r.key, r.schema, c.log, r.positions[c.log], c.to
	ready := r.d.l.o.Now()
	result, err := r.d.l.o.Warehouse.Load(ctx, b)
	if err != nil {
		r.shaper = nil
		return err
	}
	r.positions[c.log] = c.to
	result.Notices = b.Notices // that tables are new goes without saying
	if !result.Duplicate {
		r.d.session.loaded(ctx, r.s.schema, result, spent{began: began, prepare: ready.Sub(began), load: r.d.l.o.Now().Sub(ready)})
	}
	return nil
}

// renew makes what reads the warehouse's bookkeeping of the rebuild again, after a failure. The gate is to be held.
func (r *rebuilding) renew(ctx context.Context) func() error {
	return func() error {
		r.shaper = nil
		positions, err := r.d.l.o.Warehouse.Positions(ctx, r.key)
		if err != nil {
			return err
		}
		r.positions = map[string]uint64{}
		for log, p := range positions {
			r.positions[log] = p.Next
		}
		return nil
	}
}

// reshape makes a shaper that follows the tables beside: what is there already, else what the survey found.
func (r *rebuilding) reshape(ctx context.Context) error {
	there, err := r.d.l.o.Warehouse.Catalogue(ctx, r.key)
	if err != nil {
		return err
	}
	shaper := r.d.l.o.NewShaper(r.s.name)
	for _, t := range r.tables {
		if at := slices.IndexFunc(there, func(o warehouse.Table) bool { return strings.EqualFold(o.Name, t.Name) }); at >= 0 {
			t = there[at]
		}
		shaper.Restore(t.Name, t.Columns)
	}
	for _, t := range there {
		if !slices.ContainsFunc(r.tables, func(o warehouse.Table) bool { return strings.EqualFold(o.Name, t.Name) }) {
			shaper.Restore(t.Name, t.Columns)
		}
	}
	r.shaper = shaper
	return nil
}

// swap puts the tables into their place. The gate is held.
func (r *rebuilding) swap(ctx context.Context) error {
	r.d.at(ctx, r.s.name, StageSwap, 0, 1)
	began := r.d.l.o.Now()
	result, err := r.d.l.o.Warehouse.(Rebuilder).Swap(ctx, &warehouse.Swap{
		Source: r.s.name, Schema: r.s.schema, RebuildSource: r.key, RebuildSchema: r.schema, Tables: r.names(),
	})
	// Whatever came of it, the source's columns are to be read again.
	r.s.stale, r.s.shaper = true, nil
	if err != nil {
		return err
	}
	r.d.session.loaded(ctx, r.s.schema, &warehouse.Result{Notices: result.Notices}, spent{began: began, load: r.d.l.o.Now().Sub(began)})
	r.d.at(ctx, r.s.name, StageSwap, 1, 1)
	return nil
}

// names are the tables to be swapped.
func (r *rebuilding) names() []string {
	var out []string
	for _, t := range r.tables {
		if r.d.wants(r.s.name, t.Name) && r.d.l.o.Selection.table(r.s.name, r.s.schema, t.Name) {
			out = append(out, t.Name)
		}
	}
	return out
}
