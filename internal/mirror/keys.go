package mirror

import (
	"context"
	"errors"

	"firth/internal/source"
	"firth/internal/vector"
)

// keys reads the keys of all rows, where deletes are wanted and what was read are only the new rows. They go into the stage where anything
// has changed. Nil: that is not needed.
func (c *copying) keys(ctx context.Context) (*digest, error) {
	if c.cfg.Mode != ModeUpsert || !c.cfg.DeleteMissing {
		return nil, nil
	}
	if c.full {
		if c.cfg.Cursor == "" {
			return nil, nil
		}
		d, err := c.scanKeys(ctx, nil)
		return &d, err
	}
	c.enter("keys", c.info.Rows)
	d, err := c.scanKeys(ctx, nil)
	if err != nil || c.unchanged(&d) {
		return &d, err
	}
	if err := c.w.flush(ctx); err != nil {
		return nil, err
	}
	stage, ok := c.w.stage.(KeyStage)
	if !ok {
		return nil, errComplete
	}
	d, err = c.scanKeys(ctx, func(k *vector.Chunk) error { return stage.WriteKeys(ctx, k) })
	return &d, err
}

// scanKeys reads all keys and digests them.
func (c *copying) scanKeys(ctx context.Context, write func(*vector.Chunk) error) (d digest, err error) {
	rows, err := c.src.Scan(ctx, source.Request{Only: c.keyPaths()})
	if err != nil {
		return d, err
	}
	defer rows.Close() //nolint:errcheck // it was read
	var b source.Batch
	for {
		err := rows.Next(ctx, &b)
		if source.AtEnd(err) {
			return d, nil
		}
		if err != nil {
			return d, err
		}
		k, err := c.keyChunk(&b)
		if err != nil {
			return d, err
		}
		for row := range k.Rows {
			h := uint64(0)
			for i, v := range k.Vectors {
				h += blend(v.Hash(row), uint64(i))
			}
			d.add(blend(h, 1))
		}
		if write == nil || k.Rows == 0 {
			continue
		}
		if err := write(k); err != nil {
			return d, err
		}
	}
}

func (c *copying) keyPaths() []string {
	if c.layout == nil {
		return c.docs.keyPaths()
	}
	var out []string
	for _, i := range c.layout.keys {
		out = append(out, c.layout.columns[i].Path)
	}
	return out
}

// keyChunk makes rows of the key columns alone, as they are staged.
func (c *copying) keyChunk(b *source.Batch) (*vector.Chunk, error) {
	if c.layout == nil {
		return c.docs.keyChunk(b)
	}
	part := &layout{cursor: -1, at: -1}
	for _, i := range c.layout.keys {
		k := c.layout.columns[i]
		k.from = -1
		for at := range b.Chunk.Columns {
			if b.Chunk.Columns[at].Path == k.Path {
				k.from = at
			}
		}
		if k.from < 0 {
			return nil, &source.Error{Op: "read", Name: c.cfg.Name, Err: errors.New("the column " + k.Path + " of the key was not handed out"), Changed: true}
		}
		part.columns = append(part.columns, k)
	}
	t := newTransform(part)
	out := vector.NewChunk(t.list)
	t.append(out, b.Chunk, 0, b.Chunk.Rows)
	return out, nil
}
