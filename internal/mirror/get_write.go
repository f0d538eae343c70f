package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// getWriter stages rows and publishes them slice by slice. One goroutine uses it.
type getWriter struct {
	g     *getting
	stage Stage
	list  []vector.Column // of the stage, the id first
	buf   *vector.Chunk   // rows that are not staged yet
	asked *vector.Vector  // ids whose rows are in the slice
	began time.Time       // of the slice
	dirty bool            // there is something to be published

	next    int // the first batch that has not come
	done    map[int]vector.Value
	after   vector.Value
	settled map[string]bool // ids that come first in a run, and have been answered
	failed  []vector.Value
	missing int64
	found   int64 // ids that had rows

	rejects  []warehouse.MirrorReject
	listed   int
	unlisted int64
	counts   map[string]*counts
}

func newGetWriter(g *getting) getWriter {
	return getWriter{
		g: g, began: g.m.o.Now(), done: map[int]vector.Value{}, settled: map[string]bool{}, counts: map[string]*counts{}, after: g.last.After,
		asked: vector.New(g.idType), dirty: g.prior.Columns == nil, // a table is there after the first run, be it empty
	}
}

// take takes the rows of a batch in.
func (w *getWriter) take(ctx context.Context, r *result) error {
	w.done[r.seq] = r.mark
	for mark, ok := w.done[w.next]; ok; mark, ok = w.done[w.next] {
		if mark.Kind != vector.Null {
			w.after = mark
		}
		delete(w.done, w.next)
		w.next++
	}
	for _, c := range r.chunks {
		if err := w.add(ctx, c); err != nil {
			return err
		}
	}
	if err := w.answer(ctx, r); err != nil {
		return err
	}
	if w.asked.Len() >= sliceIDs || w.dirty && w.g.m.o.Now().Sub(w.began) >= sliceEvery && !w.lostAll() {
		return w.publish(ctx)
	}
	return nil
}

// lostAll reports whether the source has nothing for any id so far, and had for some in the run before: more often than not it is the wrong
// database, or one that is being filled anew. Rows must not go, or become NULL, for that.
func (w *getWriter) lostAll() bool {
	return w.found == 0 && w.g.last.Found > 0 && w.asked.Len() > 1 && len(w.g.o.IDs) == 0 && w.g.cfg.MaxDelete < 1
}

// answer notes what became of each id.
func (w *getWriter) answer(ctx context.Context, r *result) error {
	var none []vector.Value
	for i, id := range r.ids {
		w.dirty = true
		if err := r.failed[i]; err != nil {
			w.g.failed(r.text[i], err)
			if len(w.failed) < maxRetry {
				w.failed = append(w.failed, id)
			}
		} else {
			appendIDValue(w.asked, id)
			if r.rows[i] == 0 {
				none = append(none, id)
			} else {
				w.found++
			}
		}
		if w.g.order.asked[r.text[i]] {
			w.settled[r.text[i]] = true
		}
	}
	w.missing += int64(len(none))
	if len(none) == 0 || w.g.cfg.Missing != MissingNull && w.g.cfg.Missing != MissingZero {
		return nil
	}
	return w.add(ctx, w.blank(none))
}

// blank are rows for ids that the source has nothing for.
func (w *getWriter) blank(ids []vector.Value) *vector.Chunk {
	c := vector.NewChunk(append([]vector.Column{w.g.idColumn()}, w.g.rows.columns()...))
	for _, id := range ids {
		appendIDValue(c.Vectors[0], id)
		for _, v := range c.Vectors[1:] {
			if k := v.Type.Kind; w.g.cfg.Missing == MissingZero && (k == vector.Int || k == vector.Uint) {
				v.AppendNum(0)
			} else {
				v.AppendNull()
			}
		}
		c.Rows++
	}
	return c
}

// add adds rows to those that wait to be staged.
func (w *getWriter) add(ctx context.Context, c *vector.Chunk) error {
	if w.list == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	grown, list, err := w.drift(c.Columns)
	if err != nil {
		return err
	}
	if len(grown) > 0 {
		if err := w.flush(ctx); err != nil {
			return err
		}
		if w.stage != nil {
			if err := w.stage.AddColumns(ctx, grown); err != nil {
				return err
			}
		}
		w.list, w.buf = list, nil
	}
	c = conform(c, w.list)
	w.note(c, c.Rejects, false)
	w.count(c)
	if w.g.o.DryRun {
		return nil
	}
	if w.buf == nil {
		w.buf = vector.NewChunk(w.list)
	}
	for i, v := range c.Vectors {
		appendRows(w.buf.Vectors[i], v, 0, c.Rows)
	}
	w.buf.Rows += c.Rows
	if w.buf.Rows >= chunkRows || w.buf.Size() >= chunkBytes {
		return w.flush(ctx)
	}
	return nil
}

// begin says which columns the stage has: those of the table, and those that the rows have besides.
func (w *getWriter) begin() (err error) {
	_, w.list = merge([]vector.Column{w.g.idColumn()}, withoutID(own(w.g.prior.Columns)))
	_, w.list, err = w.drift(w.g.rows.columns())
	return err
}

// drift adds columns to those of the stage, as far as the settings let a table that exists change.
func (w *getWriter) drift(columns []vector.Column) (grown, list []vector.Column, err error) {
	g := w.g
	grown, list = merge(w.list, columns)
	if _, relational := g.rows.(*getTable); relational || len(grown) == 0 || g.prior.Columns == nil || g.last.Settings != g.settings {
		return grown, list, nil
	}
	for _, c := range grown {
		switch what := fmt.Sprintf("column %s (%s)", c.Name, c.Type); g.cfg.Drift {
		case DriftFreeze:
			return nil, nil, &source.Error{
				Op: "get", Name: g.cfg.Name, Err: fmt.Errorf("%s is new at the source, or wider, and drift is freeze", what),
				Advice: "nothing of it was written; set drift: evolve for one run, or name the columns that are wanted",
			}
		case DriftReport:
			g.notice("%s is new at the source, or wider: left as it is", what)
		default:
			g.notice("%s is new at the source, or wider: the table follows", what)
		}
	}
	if g.cfg.Drift == DriftReport {
		return nil, w.list, nil
	}
	return grown, list, nil
}

// flush stages the rows that wait.
func (w *getWriter) flush(ctx context.Context) error {
	if w.buf == nil || w.buf.Rows == 0 {
		return nil
	}
	if err := w.open(ctx); err != nil {
		return err
	}
	rejects, err := w.stage.Write(ctx, w.buf, nil)
	if err != nil {
		return err
	}
	w.note(w.buf, rejects, true)
	w.buf.Reset()
	return nil
}

func (w *getWriter) open(ctx context.Context) (err error) {
	if w.stage != nil {
		return nil
	}
	if w.list == nil {
		if err := w.begin(); err != nil {
			return err
		}
	}
	w.stage, err = w.g.m.o.Target.Stage(ctx, w.g.cfg.Table, warehouse.StageOptions{Run: w.g.id, Columns: w.list, Key: []string{idColumn}})
	return err
}

// count adds the values of a chunk up for the report.
func (w *getWriter) count(c *vector.Chunk) {
	for i, col := range c.Columns {
		n := w.counts[col.Name]
		if n == nil {
			n = &counts{}
			w.counts[col.Name] = n
		}
		valid := countValid(c.Vectors[i].Valid)
		n.exact += valid
		n.null += int64(c.Rows) - valid
	}
}

// note keeps the rejects of a chunk; written: its values were counted as good.
func (w *getWriter) note(c *vector.Chunk, rejects []vector.Reject, written bool) {
	for _, r := range rejects {
		if n := w.counts[r.Column]; n != nil {
			if written {
				n.exact--
			} else {
				n.null--
			}
			n.rejected++
		} else {
			w.counts[r.Column] = &counts{rejected: 1, null: -1}
		}
		size := len(r.Value) + len(r.Reason) + 128
		if w.listed+size > maxRejects {
			w.unlisted++
			continue
		}
		w.listed += size
		w.rejects = append(w.rejects, warehouse.MirrorReject{
			Key: keyText(c, []string{idColumn}, r.Row), Column: r.Column, Value: r.Value, Reason: r.Reason, At: w.g.report.Started,
		})
	}
}

// publish makes the rows of the slice visible.
func (w *getWriter) publish(ctx context.Context) error {
	if !w.dirty || w.g.o.DryRun {
		return nil
	}
	if w.lostAll() {
		return &source.Error{
			Op: "get", Name: w.g.cfg.Name,
			Err:    fmt.Errorf("the source has nothing for any of %d ids, and had for %d in the run before: nothing was written", w.asked.Len(), w.g.last.Found),
			Advice: "look whether get reads the right keys of the right database; where it does, set max_delete: 100% at this mirror",
		}
	}
	if err := w.flush(ctx); err != nil {
		return err
	}
	if err := w.open(ctx); err != nil {
		return err
	}
	state, err := w.state()
	if err != nil {
		return err
	}
	done, err := w.stage.Publish(ctx, &warehouse.Publication{
		Mode: warehouse.PublishGroups, Key: []string{idColumn}, Deletes: 1, Asked: w.asked, Synced: !w.g.cfg.History, History: w.g.cfg.History,
		At: w.g.m.o.Now(), Rejects: w.rejects, State: state,
	})
	if err != nil {
		return err
	}
	w.g.published(done)
	w.stage, w.buf, w.rejects, w.listed = nil, nil, nil, 0
	w.asked = vector.New(w.g.idType)
	w.dirty, w.began = false, w.g.m.o.Now()
	return nil
}

// state is what the next run has to know.
func (w *getWriter) state() (json.RawMessage, error) {
	g := w.g
	next := getState{Settings: g.settings, Plan: g.rows.plan(), After: w.after, Failed: w.failed, Found: w.found}
	if len(g.o.IDs) > 0 {
		next.Found = g.last.Found
	}
	for _, id := range g.last.Failed {
		if text := valueText(id); !w.settled[text] && len(next.Failed) < maxRetry {
			next.Failed = append(next.Failed[:len(next.Failed):len(next.Failed)], id)
		}
	}
	var err error
	if g.list != nil {
		list := *g.list
		list.New = nil
		for _, id := range g.list.New {
			if !w.settled[valueText(id)] {
				list.New = append(list.New, id)
			}
		}
		if g.all.List, err = json.Marshal(&list); err != nil {
			return nil, fmt.Errorf("write the mirror's state: %w", err)
		}
	}
	if g.all.Get, err = json.Marshal(&next); err != nil {
		return nil, fmt.Errorf("write the mirror's state: %w", err)
	}
	g.all.Version = storedVersion
	text, err := json.Marshal(g.all)
	if err != nil {
		return nil, fmt.Errorf("write the mirror's state: %w", err)
	}
	return text, nil
}

// fidelity writes the counts into the report.
func (w *getWriter) fidelity() {
	if w.list == nil {
		return
	}
	for _, c := range w.list {
		f := Fidelity{Name: c.Name, Path: c.Path, Type: c.Type.String(), Source: c.Source}
		if n := w.counts[c.Name]; n != nil {
			f.Exact, f.Null, f.Rejected = n.exact, n.null, n.rejected
			if c.Source != "" && w.g.widened(c) {
				f.Exact, f.Widened = 0, n.exact
			}
		}
		w.g.report.Columns = append(w.g.report.Columns, f)
	}
	if w.missing > 0 {
		w.g.notice("the source has nothing for %d of the ids", w.missing)
	}
	if w.unlisted > 0 {
		w.g.notice("%d rejected values more than the table of rejects lists", w.unlisted)
	}
}

// widened reports whether a column is stored in another type than the source has.
func (g *getting) widened(c vector.Column) bool {
	t, ok := g.rows.(*getTable)
	if !ok || t.layout == nil {
		return false
	}
	for i := range t.layout.columns {
		if x := &t.layout.columns[i]; x.Name == c.Name && x.from >= 0 && x.from < len(t.from) {
			return !x.mask.on() && !x.Type.Equal(t.from[x.from].Type)
		}
	}
	return false
}
