package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"firth/internal/infer"
	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// item is some rows of a range on their way into the stage, with what of the range is staged when they are.
type item struct {
	at     int // of the range
	chunk  *vector.Chunk
	kids   []childRows
	part   part
	early  []warehouse.MirrorReject // of rows that an earlier run staged
	plan   json.RawMessage          // of documents, where it grew
	unsure []unsure                 // rows that are staged, and what the warehouse rejected of them is not known
}

// unsure are the rows from lo to before hi of a chunk.
type unsure struct {
	chunk  *vector.Chunk
	lo, hi int
}

// writer stages rows. One goroutine uses it.
type writer struct {
	c        *copying
	id       string
	stage    Stage
	list     []vector.Column // of the stage
	progress staged          // as staged
	read     []part          // as read
	waiting  []item          // before there is a stage
	held     int

	rejects  []warehouse.MirrorReject
	listed   int // bytes of them
	kept     int // bytes of the values among those in the progress
	unlisted int64
	lost     map[string]int64 // values that writing rejected, by column
}

const (
	// chunkRows and chunkBytes are when a chunk is handed on. So many rows are a part of what an engine of columns compresses at once, which
	// spares it putting pieces together.
	chunkRows  = 4096
	chunkBytes = 4 << 20
	// lazyBytes is how much waits in memory before a stage is made: a run that finds nothing new makes none.
	lazyBytes = 4 << 20
	// maxRejects is how many bytes of rejects are kept to be listed.
	maxRejects = 64 << 20
)

// columns are those of the rows as they were staged last.
func (w *writer) columns() []vector.Column {
	switch {
	case w.c.layout != nil:
		return w.c.layout.list()
	case w.list != nil:
		return w.list
	}
	return w.c.docs.columns()
}

// resume goes on with a stage.
func (w *writer) resume(s *staged) {
	w.progress = *s
	w.progress.Done = slices.Clone(s.Done)
	w.read = make([]part, len(s.Done))
	for _, r := range s.Rejects {
		w.reject(r)
		w.lose(r.Column)
	}
}

// open makes the stage, or goes on with one.
func (w *writer) open(ctx context.Context) error {
	if w.stage != nil {
		return nil
	}
	columns := w.columns()
	if w.progress.Columns != nil {
		columns = w.progress.Columns
	}
	s, err := w.c.m.o.Target.Stage(ctx, w.c.cfg.Table, warehouse.StageOptions{
		Run: w.id, Resume: w.resuming(), Columns: columns, Key: w.c.key(),
	})
	if err != nil {
		return err
	}
	if _, ok := s.(ParentStage); w.c.kids != nil && !ok {
		return errors.Join(&source.Error{
			Op: "write", Name: w.c.cfg.Name, Err: errors.New("this warehouse does not take arrays as tables of their own"), Advice: "leave out arrays: they are JSON then",
		}, s.Discard(ctx))
	}
	w.stage, w.list = s, columns
	return nil
}

func (w *writer) resuming() bool {
	for i := range w.progress.Done {
		if w.progress.Done[i] != (part{}) {
			return true
		}
	}
	return false
}

// take stages an item, or keeps it while there is little.
func (w *writer) take(ctx context.Context, it item) error {
	w.read[it.at] = it.part
	for _, r := range it.early {
		w.reject(r)
	}
	for _, u := range it.unsure {
		if err := w.recheck(ctx, u); err != nil {
			return err
		}
	}
	if w.c.o.DryRun {
		if it.chunk != nil {
			w.note(it.chunk, it.chunk.Rejects, false)
			w.c.recycle(it.chunk)
		}
		return nil
	}
	if w.stage == nil && !w.resuming() {
		w.waiting = append(w.waiting, it)
		if it.chunk != nil {
			w.held += it.chunk.Size()
			for _, k := range it.kids {
				w.held += k.chunk.Size()
			}
		}
		if w.held < w.c.m.o.lazyBytes {
			return nil
		}
		return w.flush(ctx)
	}
	if err := w.open(ctx); err != nil {
		return err
	}
	return w.write(ctx, it)
}

// flush stages what waits, and makes the stage where there is none.
func (w *writer) flush(ctx context.Context) error {
	if err := w.open(ctx); err != nil {
		return err
	}
	waiting := w.waiting
	w.waiting, w.held = nil, 0
	for _, it := range waiting {
		if err := w.write(ctx, it); err != nil {
			return err
		}
	}
	return nil
}

// write stages one item.
func (w *writer) write(ctx context.Context, it item) error {
	last := &span{At: it.at, Lo: w.progress.Done[it.at].Digest.Rows, Hi: it.part.Digest.Rows}
	w.progress.Done[it.at] = it.part
	if it.chunk == nil || it.chunk.Rows == 0 {
		return nil
	}
	if it.plan != nil {
		w.progress.Plan = it.plan
	}
	chunk, err := w.fit(ctx, it.chunk)
	if err != nil {
		return err
	}
	w.note(chunk, chunk.Rejects, false)
	w.progress.Last = last
	progress, err := json.Marshal(&w.progress)
	if err != nil {
		return fmt.Errorf("write the progress: %w", err)
	}
	rejects, err := w.stage.Write(ctx, chunk, progress)
	if err != nil {
		return err
	}
	w.note(chunk, rejects, true)
	w.c.recycle(it.chunk)
	if w.c.kids == nil {
		return nil
	}
	return w.c.kids.write(ctx, it.kids)
}

// recheck finds out what the warehouse rejected of rows that were staged last before the process ended: nobody was told. They are written
// to a stage that is thrown away.
func (w *writer) recheck(ctx context.Context, u unsure) error {
	t := w.c.cfg.Table
	t.Name, t.Table = t.Name+"/check", fmt.Sprintf("check_%x", hashText(t.Name))
	s, err := w.c.m.o.Target.Stage(ctx, t, warehouse.StageOptions{Run: w.id, Columns: u.chunk.Columns})
	if err != nil {
		return err
	}
	rejects, err := s.Write(ctx, u.chunk, json.RawMessage("{}"))
	if derr := s.Discard(ctx); err == nil {
		err = derr
	}
	if err != nil {
		return err
	}
	rejects = slices.DeleteFunc(rejects, func(r vector.Reject) bool { return r.Row < u.lo || r.Row >= u.hi })
	w.note(u.chunk, rejects, true)
	return nil
}

// fit makes stage and chunk have the same columns.
func (w *writer) fit(ctx context.Context, c *vector.Chunk) (*vector.Chunk, error) {
	if w.c.layout != nil {
		return c, nil
	}
	grown, list := merge(w.list, c.Columns)
	if len(grown) > 0 {
		if err := w.stage.AddColumns(ctx, grown); err != nil {
			return nil, err
		}
		w.list, w.progress.Columns = list, list
	}
	return conform(c, w.list), nil
}

// merge adds the columns that a list lacks, and takes wider types; grown are those of the new list that changed.
func merge(list, with []vector.Column) (grown, out []vector.Column) {
	out = append(out, list...)
	at := make(map[string]int, len(list))
	for i := range list {
		at[list[i].Name] = i
	}
	for _, c := range with {
		i, ok := at[c.Name]
		switch {
		case !ok:
			out, grown = append(out, c), append(grown, c)
		case !out[i].Type.Equal(c.Type) && infer.Widens(out[i].Type, c.Type):
			out[i].Type = c.Type
			grown = append(grown, out[i])
		}
	}
	return grown, out
}

// note keeps the rejects of a chunk, with the keys of their rows.
func (w *writer) note(c *vector.Chunk, rejects []vector.Reject, written bool) {
	if len(rejects) == 0 {
		return
	}
	for _, r := range rejects {
		m := w.c.told(c, r)
		w.reject(m)
		if !written {
			continue
		}
		w.lose(r.Column)
		w.kept += len(m.Value)
		if len(w.progress.Rejects) >= maxStagedRejects || w.kept > maxStagedBytes {
			w.progress.Rejects, w.progress.Unsound = nil, true
		}
		if !w.progress.Unsound {
			w.progress.Rejects = append(w.progress.Rejects, m)
		}
	}
}

func (w *writer) lose(column string) {
	if w.lost == nil {
		w.lost = map[string]int64{}
	}
	w.lost[column]++
}

func (w *writer) reject(m warehouse.MirrorReject) {
	size := len(m.Key) + len(m.Column) + len(m.Value) + len(m.Reason) + 96
	if w.listed+size > maxRejects {
		w.unlisted++
		return
	}
	w.listed += size
	w.rejects = append(w.rejects, m)
}

// total digests all that was read.
func (w *writer) total() digest {
	var d digest
	for i := range w.read {
		d.join(w.read[i].Digest)
	}
	return d
}

// told is a reject as the warehouse lists it.
func (c *copying) told(chunk *vector.Chunk, r vector.Reject) warehouse.MirrorReject {
	return warehouse.MirrorReject{
		Key: keyText(chunk, c.key(), r.Row), Column: r.Column, Value: r.Value, Reason: r.Reason, At: c.report.Started,
	}
}

// keyText writes the key of a row; the parts of one of several columns have a comma and a blank between.
func keyText(c *vector.Chunk, key []string, row int) string {
	if row < 0 || row >= c.Rows {
		return ""
	}
	var parts []string
	for _, name := range key {
		if i := c.Find(name); i >= 0 {
			parts = append(parts, c.Vectors[i].Text(row))
		}
	}
	return strings.Join(parts, ", ")
}
