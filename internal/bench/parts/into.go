package parts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firth/internal/bench"
	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/warehouse"
	"firth/internal/warehouse/postgres"
)

// counting passes loads on and sums up their rows.
type counting struct {
	*postgres.DB
	rows int64
}

func (c *counting) Load(ctx context.Context, b *warehouse.Batch) (*warehouse.Result, error) {
	r, err := c.DB.Load(ctx, b)
	if err == nil && !r.Duplicate {
		for _, n := range r.Rows {
			c.rows += n
		}
	}
	return r, err
}

// into loads the source's calls into Segment's tables of a Postgres, as a server's runner does.
func into(ctx context.Context, job bench.IntoJob) (out bench.IntoResult, err error) {
	reader, err := lake.OpenReader(ctx, catalogPath(job.Data))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	snap, err := reader.Snapshot(ctx, job.Source)
	if err != nil {
		return out, err
	}
	db, err := postgres.Open(ctx, job.URL, postgres.Options{Name: "bench"})
	if err != nil {
		return out, fmt.Errorf("open: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rules, w := name.Postgres(), &counting{DB: db}
	began, cpu := time.Now(), cpuTime()
	loader := load.New(load.Options{
		Name: "bench", Lake: reader, Warehouse: w, Rules: rules, Standard: event.Standard(rules),
		NewShaper: load.Segment(rules, event.ShapeOptions{}), TempDir: job.Temp, Ahead: true, Rows: load.DefaultRows / 2,
	})
	if err := loader.CatchUp(ctx); err != nil {
		return out, err
	}
	out.Took, out.CPU = time.Since(began), cpuTime()-cpu
	out.Calls, out.Rows, out.Peak = snap.Rows, w.rows, peak()
	return out, nil
}
