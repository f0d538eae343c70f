package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firth/internal/source"
	"firth/internal/vector"
)

// result is what became of a batch.
type result struct {
	*batch
	chunks []*vector.Chunk // rows, each with its id in the last column
	failed []error         // by id; nil: it did not fail
	rows   []int32         // by id: how many there are
}

// fetch asks for a batch: again where that may help, and then for each id alone, so that one that fails takes no other along.
func (g *getting) fetch(ctx context.Context, b *batch) (*result, error) {
	if len(b.ids) == 0 {
		return &result{batch: b}, nil
	}
	var err error
	for try := 1; try <= batchTries; try++ {
		var r *result
		if r, err = g.ask(ctx, b, batchPatience); err == nil {
			return r, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !retryable(err) {
			break
		}
		if try < batchTries {
			if werr := g.m.o.Wait(ctx, time.Second<<(2*(try-1))); werr != nil {
				return nil, werr
			}
		}
	}
	if len(b.ids) == 1 {
		return &result{batch: b, failed: []error{err}, rows: make([]int32, 1)}, nil
	}
	return g.alone(ctx, b, err)
}

// alone asks for each id of a batch by itself.
func (g *getting) alone(ctx context.Context, b *batch, why error) (*result, error) {
	out := &result{batch: b, failed: make([]error, len(b.ids)), rows: make([]int32, len(b.ids))}
	bad, good := 0, false
	for i := range b.ids {
		one := &batch{ids: b.ids[i : i+1], text: b.text[i : i+1]}
		r, err := g.single(ctx, one)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			out.failed[i] = err
			if bad++; bad >= giveUpAfter && !good {
				return nil, g.giveUp(why)
			}
			continue
		}
		good = true
		out.chunks = append(out.chunks, r.chunks...)
		out.failed[i], out.rows[i] = r.failed[0], r.rows[0]
	}
	return out, nil
}

func (g *getting) single(ctx context.Context, one *batch) (r *result, err error) {
	for try := 1; ; try++ {
		r, err = g.ask(ctx, one, singlePatience)
		if err == nil || try == singleTries || !retryable(err) || ctx.Err() != nil {
			return r, err
		}
		if werr := g.m.o.Wait(ctx, 200*time.Millisecond); werr != nil {
			return nil, werr
		}
	}
}

// retryable: a request that took too long may well not the next time.
func retryable(err error) bool { return canRetry(err) || errors.Is(err, context.DeadlineExceeded) }

// ask asks for the rows of a batch. Where it fails nothing of it counts.
func (g *getting) ask(ctx context.Context, b *batch, patience time.Duration) (*result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patience, func() { cancel(errSilence) })
	defer silence.Stop()
	out, err := g.answer(ctx, b, func() { silence.Reset(patience) })
	if err != nil && errors.Is(context.Cause(ctx), errSilence) {
		return nil, fmt.Errorf("nothing came for %s: %w", patience, context.DeadlineExceeded)
	}
	return out, err
}

// errSilence ends a request that nothing comes of.
var errSilence = errors.New("no answer")

// answer reads the rows of a batch; alive is called when some come.
func (g *getting) answer(ctx context.Context, b *batch, alive func()) (*result, error) {
	rows, err := g.src.Get(ctx, b.ids)
	if err != nil {
		return nil, err
	}
	out := &result{batch: b, failed: make([]error, len(b.ids)), rows: make([]int32, len(b.ids))}
	at := make(map[string]int, len(b.ids))
	for i, text := range b.text {
		at[text] = i
	}
	err = g.drain(ctx, rows, out, at, alive)
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	for i, ferr := range out.failed {
		if ferr != nil && out.rows[i] > 0 {
			out.without(i)
		}
	}
	return out, nil
}

// drain reads all rows.
func (g *getting) drain(ctx context.Context, rows source.Rows, out *result, at map[string]int, alive func()) error {
	var b source.Batch
	var owner []int
	alien := int64(0)
	for {
		b.Chunk, b.Docs, b.Bytes = nil, nil, 0
		err := rows.Next(ctx, &b)
		alive()
		var some *source.FailedIDs
		switch {
		case source.AtEnd(err):
			g.strangers(alien)
			return nil
		case errors.As(err, &some):
			for _, f := range some.IDs {
				if i, ok := at[valueText(f.ID)]; ok {
					out.failed[i] = f.Err
				}
			}
			g.strangers(alien)
			return nil
		case err != nil:
			return err
		}
		owner = owner[:0]
		err = g.rows.owners(&b, func(_ int, id string) {
			i, ok := at[id]
			if !ok {
				i = -1
				alien++
			} else {
				out.rows[i]++
			}
			owner = append(owner, i)
		})
		if err != nil {
			return err
		}
		g.read(int64(len(owner)), b.Bytes)
		chunk, err := g.rows.make(&b, owner)
		if err != nil {
			return err
		}
		if chunk.Rows > 0 {
			out.chunks = append(out.chunks, g.own(chunk, out.batch, owner))
		}
	}
}

func (g *getting) strangers(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.alien += n
}

// own adds the column of the id, as the list has it, to rows.
func (g *getting) own(c *vector.Chunk, b *batch, owner []int) *vector.Chunk {
	v := vector.New(g.idType)
	for _, i := range owner {
		if i >= 0 {
			appendIDValue(v, b.ids[i])
		}
	}
	c.Columns = append([]vector.Column{g.idColumn()}, c.Columns...)
	c.Vectors = append([]*vector.Vector{v}, c.Vectors...)
	return c
}

func (g *getting) idColumn() vector.Column {
	return vector.Column{Name: idColumn, Type: g.idType, Path: g.key}
}

// without takes the rows of an id away that failed behind them.
func (r *result) without(i int) {
	text := r.text[i]
	for n, c := range r.chunks {
		kept := vector.NewChunk(c.Columns)
		for row := range c.Rows {
			if c.Vectors[0].Text(row) == text {
				continue
			}
			for at, v := range c.Vectors {
				kept.Vectors[at].AppendFrom(v, row)
			}
			for _, x := range c.Rejects {
				if x.Row == row {
					x.Row = kept.Rows
					kept.Rejects = append(kept.Rejects, x)
				}
			}
			kept.Rows++
		}
		r.chunks[n] = kept
	}
	r.rows[i] = 0
}

var errNoID = errors.New("a row without its id was handed out")

// noID says that the source hands out rows that belong to nobody.
func (g *getting) noID() error {
	return &source.Error{
		Op: "get", Name: g.cfg.Name, Err: fmt.Errorf("%w: there is no %s", errNoID, g.key),
		Advice: "let each row carry the id that was asked for, and name its column or field with key:",
	}
}
