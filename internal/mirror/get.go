package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// getState is what a get remembers, published with the rows.
type getState struct {
	Settings string          `json:"settings"`
	Plan     json.RawMessage `json:"plan,omitempty"`   // of documents
	After    vector.Value    `json:"after,omitzero"`   // the id behind which the next run begins
	Failed   []vector.Value  `json:"failed,omitempty"` // ids that the next run asks for first
	Found    int64           `json:"found,omitempty"`  // ids that had rows in the last run
}

const (
	sliceIDs   = 50_000 // ids whose rows are published at once
	sliceEvery = 10 * time.Second
	maxRetry   = 10_000 // failed ids that are remembered

	batchTries     = 3 // of a batch, before each of its ids is asked for alone
	singleTries    = 2
	giveUpAfter    = 20               // ids in a row that fail alone, without one that did not: it is the source that is down
	batchPatience  = 10 * time.Minute // without a row; a program may take its time
	singlePatience = time.Minute
)

// Get asks for the columns of the ids of the last list: those that failed before, those that are new, then all others from where the last
// run ended. With RunOptions.IDs it asks for those alone. An id that fails keeps its rows and is in the report.
func (m *Mirror) Get(ctx context.Context, o RunOptions, progress func(Progress)) (*Report, error) {
	return m.do(ctx, "get", o, progress, m.get)
}

// getting is one run of a get.
type getting struct {
	*run
	cfg   *Config
	src   Source
	prior *warehouse.MirrorState
	all   *stored
	list  *listState
	last  getState

	settings string
	idType   vector.Type
	key      string // path of the id in what the source hands out
	rows     rowMaker
	order    *order
	w        getWriter

	mu     sync.Mutex // guards what the workers add up
	alien  int64      // rows of ids that were not asked for
	broken error      // why the source is given up
}

// rowMaker makes staged rows of what the source hands out. It may be called by several goroutines.
type rowMaker interface {
	// columns are those of the rows without the id.
	columns() []vector.Column
	// make makes rows of those of a batch that belong to an id: owner gives the number of the id, or -1.
	make(b *source.Batch, owner []int) (*vector.Chunk, error)
	// owners writes for each row of the batch the text of its id.
	owners(b *source.Batch, each func(row int, id string)) error
	// plan is stored; nil: there is none.
	plan() json.RawMessage
}

func (m *Mirror) get(ctx context.Context, r *run) (err error) {
	g := &getting{run: r, cfg: &m.o.Config}
	r.enter("connect", -1)
	if err := g.recall(ctx); err != nil {
		return err
	}
	if g.list == nil && len(r.o.IDs) == 0 {
		if m.o.List == nil {
			return nil
		}
		return &source.Error{Op: "get", Name: g.cfg.Name, Err: errors.New("there is no list of ids yet"), Advice: "firth sync " + g.cfg.Name + " lists and then gets"}
	}
	if g.src, err = m.o.Get(ctx); err != nil {
		return err
	}
	defer m.closeSource(g.src, &err)
	info, err := g.src.Describe(ctx)
	if err != nil {
		return err
	}
	if err := g.prepare(ctx, info); err != nil {
		return err
	}
	total := int64(len(r.o.IDs))
	if total == 0 {
		total = g.list.IDs
	}
	r.enter("get", total)
	err = g.transfer(ctx)
	if g.alien > 0 {
		r.notice("%d rows of ids that were not asked for were left out", g.alien)
	}
	g.w.fidelity()
	return err
}

// recall reads what the warehouse has of the mirror.
func (g *getting) recall(ctx context.Context) (err error) {
	if g.prior, err = g.m.o.Target.Mirror(ctx, g.cfg.Table); err != nil {
		return err
	}
	if g.all, err = readStored(g.prior.State); err != nil {
		return err
	}
	if g.list, err = g.all.list(); err != nil {
		return err
	}
	if len(g.all.Get) > 0 {
		if err := json.Unmarshal(g.all.Get, &g.last); err != nil {
			return fmt.Errorf("read the mirror's state: %w", err)
		}
	}
	g.settings, err = runID(g.cfg.Settings, g.cfg.Columns, g.cfg.Only, g.cfg.Exclude, g.cfg.History, g.cfg.Depth, g.cfg.Threshold,
		g.cfg.Tables, g.cfg.GetKey, hashText(g.cfg.Salt))
	return err
}

// prepare finds the types of the ids and of the rows.
func (g *getting) prepare(ctx context.Context, info *source.Info) (err error) {
	if g.key = g.cfg.GetKey; g.key == "" {
		g.key = idColumn
	}
	if err := g.cfg.plainID(g.key); err != nil {
		return err
	}
	g.idType = vector.Type{Kind: vector.Text}
	if g.list != nil && g.list.Type.Kind != vector.Null {
		g.idType = g.list.Type
	}
	g.order = &order{g: g}
	if err := g.order.begin(); err != nil {
		return err
	}
	if info.Columns != nil {
		g.rows, err = g.newTabular(info)
	} else {
		g.rows, err = g.newDocuments(ctx)
	}
	if err != nil {
		return err
	}
	g.w = newGetWriter(g)
	return nil
}

// newIDs are ids that were asked for by nobody, of the last list.
func (g *getting) newIDs() []vector.Value {
	if g.list == nil {
		return nil
	}
	return g.list.New
}

// transfer asks for all ids, several batches at once, and publishes their rows in slices.
func (g *getting) transfer(outer context.Context) error {
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	batches := make(chan *batch)
	results := make(chan *result, 1)
	var all sync.WaitGroup
	all.Go(func() {
		defer close(batches)
		if err := g.order.run(ctx, batches); err != nil {
			cancel(err)
		}
	})
	var workers sync.WaitGroup
	for range g.cfg.Concurrency {
		workers.Go(func() {
			for b := range batches {
				if ctx.Err() != nil {
					continue
				}
				r, err := g.fetch(ctx, b)
				if err != nil {
					cancel(err)
					continue
				}
				results <- r
			}
		})
	}
	all.Go(func() { workers.Wait(); close(results) })
	defer all.Wait()
	for r := range results {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errSourceDown) {
			continue // let the workers end
		}
		if err := g.w.take(outer, r); err != nil {
			cancel(err)
		}
	}
	err := context.Cause(ctx)
	if err != nil && !errors.Is(err, errSourceDown) {
		return err
	}
	if perr := g.w.publish(outer); perr != nil {
		return perr
	}
	if err != nil {
		return g.broken
	}
	return nil
}

// errSourceDown ends a run whose source no longer answers; what was read before it is published.
var errSourceDown = errors.New("the source does not answer")

// giveUp ends the run because of the source.
func (g *getting) giveUp(err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.broken == nil {
		g.broken = err
	}
	return errSourceDown
}
