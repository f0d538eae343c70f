package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// copyState is what a copy remembers in the warehouse, beside the rows that it stands for.
type copyState struct {
	Settings string `json:"settings"`
	// High is the greatest cursor that was read; From is where the next run begins; Window digests the rows from there on.
	High   vector.Value    `json:"high,omitzero"`
	From   vector.Value    `json:"from,omitzero"`
	Window *digest         `json:"window,omitempty"`
	Keys   *digest         `json:"keys,omitempty"` // all of them, for deletes
	Plan   json.RawMessage `json:"plan,omitempty"` // of documents
	Rows   int64           `json:"rows"`           // read by the last run that wrote
}

// copying is one attempt of a copy.
type copying struct {
	*run
	cfg   *Config
	src   Source
	info  *source.Info
	prior *warehouse.MirrorState
	all   *stored
	last  copyState // zero: there is none, or it does not count

	settings string
	layout   *layout // of a relational source
	docs     *docs   // of one of documents
	kids     *children
	from     vector.Value
	full     bool // all rows are read
	remake   bool // a stage that exists does not count

	ranges  []source.Range
	resumed []part // what of the ranges an earlier run has staged
	unsure  *span  // the rows that it staged last
	w       writer

	width int                // columns of a relational source
	spare chan *vector.Chunk // staged, to be filled again

	mu     sync.Mutex // guards what readers add up
	window window
	counts []counts
}

const (
	// tries is how often a copy is begun again after trouble that may go by itself.
	tries = 4
	// rowsAPiece is how many rows a range has, about.
	rowsAPiece = 250_000
	maxPieces  = 256
)

// Copy carries the rows of the source into the table, by the mode of the configuration.
func (m *Mirror) Copy(ctx context.Context, o RunOptions, progress func(Progress)) (*Report, error) {
	return m.do(ctx, "", o, progress, m.copy)
}

// copy tries until it is done, or the trouble is none that goes by itself.
func (m *Mirror) copy(ctx context.Context, r *run) error {
	remake, complete := r.o.Full, false
	for try := 1; ; try++ {
		err := m.attempt(ctx, r, remake, complete)
		var e *source.Error
		changed := errors.Is(err, errAnew) || errors.As(err, &e) && e.Changed && e.Retry
		switch {
		case err == nil, ctx.Err() != nil, try == tries:
			return err
		case errors.Is(err, errComplete):
			complete, remake = true, true
		case changed:
			r.notice("%v: the copy began anew", err)
			remake = true
		case canRetry(err):
			if !r.pause(ctx, try, err) {
				return err
			}
			remake = false
		default:
			return err
		}
		r.again()
	}
}

// errComplete says that deletes cannot be told from what was read: everything is read.
var errComplete = errors.New("the keys have changed, and the warehouse cannot take them apart from the rows")

// canRetry reports whether the same may well work in a moment.
func canRetry(err error) bool {
	var temporary interface{ CanRetry() bool }
	return source.CanRetry(err) || errors.As(err, &temporary) && temporary.CanRetry() ||
		warehouse.KindOf(err) == warehouse.Down || warehouse.KindOf(err) == warehouse.Timeout || warehouse.KindOf(err) == warehouse.Busy
}

// attempt is one try.
func (m *Mirror) attempt(ctx context.Context, r *run, remake, complete bool) (err error) {
	c := &copying{run: r, cfg: &m.o.Config, remake: remake, spare: make(chan *vector.Chunk, 4)}
	r.enter("connect", -1)
	if c.src, err = m.o.From(ctx); err != nil {
		return err
	}
	defer func() {
		if cerr := c.src.Close(); err == nil && cerr != nil {
			m.o.Log.Warn("a source could not be closed", "mirror", m.o.Config.Name, "err", cerr)
		}
	}()
	if c.info, err = c.src.Describe(ctx); err != nil {
		return err
	}
	if err := c.recall(ctx); err != nil {
		return err
	}
	if err := c.checkFirst(ctx); err != nil {
		return err
	}
	if err = c.src.Begin(ctx); err != nil {
		return err
	}
	defer c.src.End() //nolint:errcheck // what was read was read
	c.where(complete)
	if err := c.prepare(ctx); err != nil {
		return err
	}
	if err := c.plan(ctx); err != nil {
		return err
	}
	r.enter("read", c.expected())
	if err := c.transfer(ctx); err != nil {
		return err
	}
	return c.finish(ctx)
}

// checkFirst looks for what is wrong before the first rows of a table are copied: a name under exclude that is written wrongly would let a column
// leave the source that was never to. Later on a column that is gone is a matter of drift.
func (c *copying) checkFirst(ctx context.Context) error {
	if c.prior.Columns != nil || c.info.Columns == nil {
		return nil
	}
	for _, f := range c.src.Check(ctx) {
		if !f.OK {
			return &source.Error{Op: "check", Name: f.What, Err: errors.New(f.Found), Advice: f.Hint}
		}
	}
	return ctx.Err()
}

// recall reads what the warehouse has of the mirror.
func (c *copying) recall(ctx context.Context) (err error) {
	if c.prior, err = c.m.o.Target.Mirror(ctx, c.cfg.Table); err != nil {
		return err
	}
	if c.all, err = readStored(c.prior.State); err != nil {
		return err
	}
	if c.settings, err = runID(c.cfg.Settings, c.cfg.Mode, c.cfg.Key, c.cfg.Cursor, c.cfg.Columns, c.cfg.Only, c.cfg.Exclude, c.cfg.History,
		c.cfg.Late, c.cfg.Depth, c.cfg.Threshold, c.cfg.Tables, hashText(c.cfg.Salt), c.cfg.UUIDSubtype3); err != nil {
		return err
	}
	if c.all.Copy != nil && c.prior.Columns != nil {
		c.last = *c.all.Copy
	}
	return nil
}

// prepare says how rows become rows of the warehouse.
func (c *copying) prepare(ctx context.Context) (err error) {
	if err := c.cfg.maskable(c.info.Key); err != nil {
		return err
	}
	same := c.last.Settings == c.settings
	if c.info.Columns == nil {
		c.docs, err = c.planDocs(ctx, same)
		return err
	}
	narrow, err := c.narrow(ctx)
	if err != nil {
		return err
	}
	c.layout, err = c.m.arrange(c.run, c.info, c.prior, narrow, same)
	if err == nil {
		c.counts, c.width = make([]counts, len(c.layout.columns)), len(c.info.Columns)
	}
	return err
}

// where says from which cursor on rows are read.
func (c *copying) where(complete bool) {
	c.window = window{late: c.cfg.Late, now: c.m.o.Now()}
	c.full = true
	if c.cfg.Cursor == "" || c.cfg.Mode == ModeReplace || c.o.Full || complete || c.last.High.Kind == vector.Null {
		return
	}
	if i := pathIn(c.info.Columns, c.cfg.Cursor); i >= 0 && c.info.Columns[i].Type.Kind != c.last.High.Kind {
		c.notice("the cursor %s is of another type than before: everything is read", c.cfg.Cursor)
		return
	}
	c.full, c.from = false, c.last.From
	if c.last.Settings != c.settings {
		c.from = c.cfg.Late.behind(c.last.High)
	}
	c.window.high = c.last.High
}

// plan cuts the reading into ranges, those of an unfinished stage where there is one.
func (c *copying) plan(ctx context.Context) error {
	id, err := runID(c.settings, c.from, c.columnsForID())
	if err != nil {
		return err
	}
	c.w = writer{c: c, id: id}
	if !c.remake && !c.o.DryRun {
		if s := readStaged(c.prior.Staged, id); s != nil && c.docs.restore(s) {
			c.ranges, c.resumed, c.unsure = s.Ranges, s.Done, s.Last
			c.w.resume(s)
			c.notice("goes on with %d rows that were staged before", c.prior.Staged.Rows)
			return nil
		}
	}
	if c.ranges, err = c.src.Ranges(ctx, c.pieces()); err != nil {
		return err
	}
	if len(c.ranges) == 0 {
		c.ranges = []source.Range{{}}
	}
	c.resumed = make([]part, len(c.ranges))
	c.w.read = make([]part, len(c.ranges))
	c.w.progress = staged{Version: stagedVersion, Ranges: c.ranges, Done: make([]part, len(c.ranges))}
	return nil
}

// columnsForID are what a stage depends on. Those of documents grow while they are read and are kept with the progress.
func (c *copying) columnsForID() any {
	if c.layout == nil {
		return nil
	}
	return []any{c.info.Columns, c.layout.list()}
}

// pieces is into how many ranges the reading is cut.
func (c *copying) pieces() int {
	if !c.full {
		return 1
	}
	if c.info.Rows < 0 {
		return c.cfg.Concurrency
	}
	if c.info.Rows < rowsAPiece/4 {
		return 1
	}
	return int(min(maxPieces, max(int64(c.cfg.Concurrency), c.info.Rows/rowsAPiece)))
}

// expected is how many rows will be read, about.
func (c *copying) expected() int64 {
	if c.full {
		return c.info.Rows
	}
	return -1
}

// transfer reads what is wanted and stages it.
func (c *copying) transfer(ctx context.Context) error {
	if raw, ok, err := c.raw(ctx); err != nil || ok {
		if err != nil {
			return err
		}
		return raw.run(ctx)
	}
	return c.pump(ctx)
}

// finish publishes what was staged, where anything has changed.
func (c *copying) finish(ctx context.Context) error {
	c.fidelity()
	c.remarks()
	if err := c.docs.drifted(c.run); err != nil {
		return err
	}
	if c.o.DryRun {
		c.report.Rejects = int64(len(c.w.rejects)) + c.w.unlisted
		return nil
	}
	keys, err := c.keys(ctx)
	if err != nil {
		return err
	}
	if err := c.notEmpty(keys); err != nil {
		return err
	}
	if c.unchanged(keys) {
		c.report.Unchanged = c.rows.Load()
		return c.tidy(ctx)
	}
	if len(c.w.columns()) == 0 {
		c.notice("there is no document yet: the table is made when there is one")
		return nil
	}
	if err := c.w.flush(ctx); err != nil {
		return err
	}
	c.enter("publish", c.total.Load())
	p, err := c.publication(keys)
	if err != nil {
		return err
	}
	if p.Children, err = c.kids.publication(ctx); err != nil {
		return err
	}
	done, err := c.w.stage.Publish(ctx, p)
	if err != nil {
		c.giveUp(ctx, err)
		return err
	}
	c.published(done)
	c.sameKeys(done, p.Key)
	return nil
}

// unchanged reports whether an incremental run has read what the one before had read already.
func (c *copying) unchanged(keys *digest) bool {
	if c.full || c.w.stage != nil || c.last.Window == nil || c.last.Settings != c.settings {
		return false
	}
	if c.w.total() != *c.last.Window || c.layout != nil && c.layout.drifted {
		return false
	}
	return keys == nil || c.last.Keys != nil && *keys == *c.last.Keys
}

// tidy drops what an earlier run left staged and nothing will go on with.
func (c *copying) tidy(ctx context.Context) error {
	if c.prior.Staged == nil {
		return nil
	}
	if err := c.w.open(ctx); err != nil {
		return err
	}
	return c.w.stage.Discard(ctx)
}

// giveUp drops the stage of a publication that will fail again.
func (c *copying) giveUp(ctx context.Context, err error) {
	switch warehouse.KindOf(err) {
	case warehouse.TooManyDeletes, warehouse.NoKey:
		if derr := errors.Join(c.kids.discard(ctx), c.w.stage.Discard(ctx)); derr != nil {
			c.m.o.Log.Warn("a staging table could not be dropped", "mirror", c.cfg.Name, "err", derr)
		}
	}
}

// publication says how the stage becomes part of the table.
func (c *copying) publication(keys *digest) (*warehouse.Publication, error) {
	p := &warehouse.Publication{
		Key: c.key(), Deletes: 1, History: c.cfg.History, At: c.m.o.Now(), Rejects: c.w.rejects,
	}
	switch c.cfg.Mode {
	case ModeAppend:
		p.Mode = warehouse.PublishAppend
		if len(c.cfg.Key) == 0 {
			p.Key = nil // rows are told apart as a whole
		}
		p.Cursor, p.From = c.cursorColumn(), c.targetFrom()
	case ModeUpsert:
		p.Mode, p.DeleteMissing, p.Deletes = warehouse.PublishUpsert, c.cfg.DeleteMissing, c.cfg.MaxDelete
	default:
		p.Mode = warehouse.PublishReplace
		if c.cfg.History && len(c.cfg.Key) == 0 && c.layout != nil && len(c.layout.keys) == 0 {
			p.Key = nil
		}
	}
	next := copyState{Settings: c.settings, Keys: keys, Rows: c.rows.Load(), Plan: c.docs.plan()}
	if c.cfg.Cursor != "" && c.cfg.Mode != ModeReplace {
		high, ok := bounded(c.window.high, c.window.now)
		if !ok {
			c.notice("the greatest %s lies in the future: the next run begins before now", c.cfg.Cursor)
		}
		next.High, next.From, next.Window = high, c.window.from(), c.window.digest()
	}
	c.all.Version, c.all.Copy = storedVersion, &next
	state, err := json.Marshal(c.all)
	if err != nil {
		return nil, fmt.Errorf("write the mirror's state: %w", err)
	}
	p.State = state
	return p, nil
}

// targetFrom is the least cursor that was read, in the type that it has in the warehouse.
func (c *copying) targetFrom() vector.Value {
	if c.from.Kind == vector.Null {
		return c.from
	}
	if c.layout == nil {
		return c.docs.targetValue(c.from)
	}
	from := vector.New(c.info.Columns[c.layout.cursor].Type)
	from.AppendValue(c.from)
	to := vector.New(c.layout.columns[c.layout.at].Type)
	if to.AppendConverted(from, 0) != "" {
		return vector.Value{}
	}
	return to.At(0)
}

func (c *copying) cursorColumn() string {
	switch {
	case c.cfg.Cursor == "":
		return ""
	case c.layout != nil:
		return c.layout.columns[c.layout.at].Name
	}
	return c.docs.cursorName()
}

func (c *copying) key() []string {
	if c.layout != nil {
		return c.layout.key
	}
	return c.docs.key()
}

// fidelity writes the counts into the report.
func (c *copying) fidelity() {
	c.report.Columns = nil
	columns, n := c.w.columns(), c.counts
	if c.docs != nil {
		n = c.docs.counts(columns)
	}
	for i, col := range columns {
		f := Fidelity{Name: col.Name, Path: col.Path, Type: col.Type.String(), Source: col.Source}
		if i < len(n) {
			f.Exact, f.Widened, f.Null, f.Rejected = n[i].exact, n[i].widened, n[i].null, n[i].rejected
		}
		lost := c.w.lost[col.Name]
		f.Rejected += lost
		if f.Exact -= lost; f.Exact < 0 {
			f.Widened, f.Exact = f.Widened+f.Exact, 0
		}
		c.report.Columns = append(c.report.Columns, f)
	}
}

// remarks tells what a person may want to know of what was read.
func (c *copying) remarks() {
	if n := c.window.none; n > 0 && c.cfg.Cursor != "" && c.cfg.Mode != ModeReplace {
		c.notice("%d rows have no %s: they are read by a full run alone", n, c.cfg.Cursor)
	}
	for _, p := range c.docs.proposals() {
		c.notice("%s", p)
	}
	if c.w.unlisted > 0 {
		c.notice("%d rejected values more than the table of rejects lists", c.w.unlisted)
	}
}
