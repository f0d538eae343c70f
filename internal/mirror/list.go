package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// listState is what a list remembers, published with the ids.
type listState struct {
	IDs  int64          `json:"ids"`
	At   time.Time      `json:"at"`
	Type vector.Type    `json:"type"`
	New  []vector.Value `json:"new,omitempty"` // that no get has asked for yet, the first of them
}

const (
	maxNew  = 20_000 // ids that are remembered as new
	idsPage = 50_000 // ids that are read from the warehouse, or staged, at once: each page costs the warehouse a look at all
)

// List reads the ids that should exist and publishes them; rows of ids that are gone are deleted, within MaxDelete. Nothing is
// published, and nothing deleted, unless the source has handed out all of its ids.
func (m *Mirror) List(ctx context.Context, o RunOptions, progress func(Progress)) (*Report, error) {
	return m.do(ctx, "list", o, progress, func(ctx context.Context, r *run) error {
		for try := 1; ; try++ {
			err := m.listOnce(ctx, r)
			if err == nil || try == tries || ctx.Err() != nil || !canRetry(err) {
				return err
			}
			if !r.pause(ctx, try, err) {
				return err
			}
			r.again()
		}
	})
}

// listing is one try of a list.
type listing struct {
	*run
	cfg   *Config
	src   Source
	prior *warehouse.MirrorState
	all   *stored
	state getState // of the get half, for the ids that it remembers

	column *ids
	stage  Stage
	typ    vector.Type // of the stage's column
	count  int64

	gets    bool     // there was a get: it is of interest which ids are new to it
	known   []uint64 // sorted hashes of the ids of the list before
	fresh   []vector.Value
	failed  map[string]vector.Value // ids whose get failed, by text
	present []vector.Value          // those of them that are still listed
	unasked map[string]bool         // ids that were new before and are waiting
}

func (m *Mirror) listOnce(ctx context.Context, r *run) (err error) {
	l := &listing{run: r, cfg: &m.o.Config}
	r.enter("connect", -1)
	if l.prior, err = m.o.Target.Mirror(ctx, l.cfg.Table); err != nil {
		return err
	}
	if l.all, err = readStored(l.prior.State); err != nil {
		return err
	}
	if err := l.recall(ctx); err != nil {
		return err
	}
	if l.src, err = m.o.List(ctx); err != nil {
		return err
	}
	defer m.closeSource(l.src, &err)
	info, err := l.src.Describe(ctx)
	if err != nil {
		return err
	}
	if err := l.cfg.plainID(l.path(info)); err != nil {
		return err
	}
	l.column = newIDs(l.path(info))
	if err := l.src.Begin(ctx); err != nil {
		return err
	}
	r.enter("list", info.Rows)
	err = l.read(ctx)
	if err = errors.Join(err, l.src.End()); err == nil {
		err = l.finish(ctx)
	}
	if err != nil && l.stage != nil && ctx.Err() == nil {
		if derr := l.stage.Discard(ctx); derr != nil {
			m.o.Log.Warn("a staging table could not be dropped", "mirror", l.cfg.Name, "err", derr)
		}
	}
	return err
}

// closeSource closes a source. A failure of that is told where nothing else failed.
func (m *Mirror) closeSource(s Source, err *error) {
	if cerr := s.Close(); cerr != nil && *err == nil {
		m.o.Log.Warn("a source could not be closed", "mirror", m.o.Config.Name, "err", cerr)
	}
}

// path is where the id of a listed row is.
func (l *listing) path(info *source.Info) string {
	switch {
	case l.cfg.ListID != "":
		return l.cfg.ListID
	case len(info.Columns) == 1:
		return info.Columns[0].Path
	case len(info.Key) == 1:
		return info.Key[0]
	}
	return idColumn
}

// recall reads what is known of the ids: those of the list before, and those that a get has to come back to.
func (l *listing) recall(ctx context.Context) error {
	l.failed, l.unasked = map[string]vector.Value{}, map[string]bool{}
	if len(l.all.Get) > 0 {
		if err := json.Unmarshal(l.all.Get, &l.state); err != nil {
			return fmt.Errorf("read the mirror's state: %w", err)
		}
	}
	for _, id := range l.state.Failed {
		l.failed[valueText(id)] = id
	}
	before, err := l.all.list()
	if err != nil || before == nil || len(l.all.Get) == 0 {
		return err
	}
	l.gets = true
	for _, id := range before.New {
		l.unasked[valueText(id)] = true
	}
	return eachID(ctx, l.m.o.Target, l.cfg.Table, func(id vector.Value) {
		if text := valueText(id); !l.unasked[text] {
			l.known = append(l.known, xxhash.Sum64String(text))
		}
	}, func() { slices.Sort(l.known) })
}

// list is the state of the list half; nil: there is none.
func (s *stored) list() (*listState, error) {
	if len(s.List) == 0 {
		return nil, nil
	}
	out := &listState{}
	if err := json.Unmarshal(s.List, out); err != nil {
		return nil, fmt.Errorf("read the mirror's state: %w", err)
	}
	return out, nil
}

// eachID goes through the ids of the last list.
func eachID(ctx context.Context, t Target, at warehouse.MirrorTable, do func(vector.Value), end func()) error {
	var after vector.Value
	for {
		page, err := t.IDs(ctx, at, after, idsPage)
		if err != nil {
			return err
		}
		for _, id := range page {
			do(id)
		}
		if len(page) < idsPage {
			end()
			return nil
		}
		after = page[len(page)-1]
	}
}

// read reads all ids and stages them.
func (l *listing) read(ctx context.Context) error {
	ranges, err := l.src.Ranges(ctx, 1)
	if err != nil {
		return err
	}
	if len(ranges) == 0 {
		ranges = []source.Range{{}}
	}
	for _, r := range ranges {
		if err := l.scan(ctx, source.Request{Range: r, Only: []string{l.column.path}}); err != nil {
			return err
		}
	}
	return l.flush(ctx)
}

func (l *listing) scan(ctx context.Context, r source.Request) error {
	rows, err := l.src.Scan(ctx, r)
	if err != nil {
		return err
	}
	var b source.Batch
	for {
		b.Chunk, b.Docs, b.Bytes = nil, nil, 0
		if err = rows.Next(ctx, &b); err != nil {
			break
		}
		first := l.column.v.Len()
		if bad := l.column.add(&b); bad >= 0 {
			err = &source.Error{
				Op: "list", Name: l.cfg.Name, Err: fmt.Errorf("row %d has no %s", l.count+int64(l.column.v.Len())+1, l.column.path),
				Advice: "name the field that holds the id with id:, and leave out rows without one, by filter or where",
			}
			break
		}
		l.look(first)
		l.run.read(int64(l.column.v.Len()-first), b.Bytes)
		if l.column.v.Len() >= idsPage {
			if err = l.flush(ctx); err != nil {
				break
			}
		}
	}
	if source.AtEnd(err) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// look sees which ids are new, and which failed before.
func (l *listing) look(first int) {
	for row := first; row < l.column.v.Len(); row++ {
		h := l.column.hash(row)
		text := l.column.text
		if id, ok := l.failed[string(text)]; ok {
			l.present = append(l.present, id)
			delete(l.failed, string(text))
		}
		if !l.gets || len(l.fresh) >= maxNew {
			continue
		}
		if _, known := slices.BinarySearch(l.known, h); !known {
			l.fresh = append(l.fresh, l.column.v.At(row))
		}
	}
}

// flush stages the ids that were read.
func (l *listing) flush(ctx context.Context) error {
	n := l.column.v.Len()
	l.count += int64(n)
	if n == 0 || l.o.DryRun {
		l.column.v.Reset()
		return nil
	}
	if err := l.open(ctx); err != nil {
		return err
	}
	c := &vector.Chunk{Columns: l.columns(), Vectors: []*vector.Vector{l.column.v}, Rows: n}
	rejects, err := l.stage.Write(ctx, c, nil)
	if err != nil {
		return err
	}
	if len(rejects) > 0 {
		return fmt.Errorf("the id %q cannot be stored: %s", rejects[0].Value, rejects[0].Reason)
	}
	l.column.v.Reset()
	return nil
}

func (l *listing) columns() []vector.Column {
	return []vector.Column{{Name: idColumn, Type: l.column.v.Type, Path: l.column.path}}
}

// open makes the stage, or widens the type of its column.
func (l *listing) open(ctx context.Context) (err error) {
	t := l.column.v.Type
	if t.Kind == vector.Null {
		t = vector.Type{Kind: vector.Text}
		if before, err := l.all.list(); err == nil && before != nil && before.Type.Kind != vector.Null {
			t = before.Type
		}
		l.column.v = vector.New(t)
	}
	switch {
	case l.stage == nil:
		l.stage, err = l.m.o.Target.Stage(ctx, l.cfg.Table, warehouse.StageOptions{Run: l.id, Columns: l.columns(), Key: []string{idColumn}})
	case !l.typ.Equal(t):
		err = l.stage.AddColumns(ctx, l.columns())
	}
	l.typ = t
	return err
}

// finish publishes the list.
func (l *listing) finish(ctx context.Context) error {
	if l.o.DryRun {
		l.notice("%d ids, %d of them new", l.count, len(l.fresh))
		return nil
	}
	rows := l.prior.Rows
	if before, err := l.all.list(); err == nil && before != nil {
		rows = max(rows, before.IDs) // the warehouse may not know
	}
	if l.count == 0 && rows > 0 && l.prior.Columns != nil && l.cfg.MaxDelete < 1 {
		return &source.Error{
			Op: "list", Name: l.cfg.Name, Err: fmt.Errorf("the list is empty and the table has about %d rows: nothing was deleted", rows),
			Advice: "where that is right, set max_delete: 100% at this mirror for one run",
		}
	}
	if err := l.open(ctx); err != nil {
		return err
	}
	l.enter("publish", l.count)
	p, err := l.publication()
	if err != nil {
		return err
	}
	done, err := l.stage.Publish(ctx, p)
	if err != nil {
		if warehouse.KindOf(err) == warehouse.TooManyDeletes && HintOf(err) == "" {
			err = &source.Error{Op: "list", Name: l.cfg.Name, Err: err, Advice: "look whether the list is whole; where it is, raise max_delete at this mirror for one run"}
		}
		return err
	}
	l.stage = nil
	l.published(done)
	return nil
}

func (l *listing) publication() (*warehouse.Publication, error) {
	var err error
	if l.all.List, err = json.Marshal(listState{IDs: l.count, At: l.m.o.Now(), Type: l.typ, New: l.fresh}); err != nil {
		return nil, fmt.Errorf("write the mirror's state: %w", err)
	}
	if len(l.state.Failed) > 0 {
		l.state.Failed = l.present
		if l.all.Get, err = json.Marshal(&l.state); err != nil {
			return nil, fmt.Errorf("write the mirror's state: %w", err)
		}
	}
	l.all.Version = storedVersion
	state, err := json.Marshal(l.all)
	if err != nil {
		return nil, fmt.Errorf("write the mirror's state: %w", err)
	}
	return &warehouse.Publication{
		Mode: warehouse.PublishIDs, Key: []string{idColumn}, Deletes: l.cfg.MaxDelete, History: l.cfg.History, Synced: !l.cfg.History,
		At: l.m.o.Now(), State: state,
	}, nil
}
