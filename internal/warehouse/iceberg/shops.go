package iceberg

import (
	"context"
	"errors"
	"sync"
	"time"

	"firth/internal/warehouse/duckdb"
)

// shopIdle is how long an engine that nobody uses stays open for the next one: it holds some memory.
const shopIdle = 5 * time.Second

// shops keeps the engine that was used last open for a while, empty. It is safe for use by several goroutines.
type shops struct {
	mu    sync.Mutex
	idle  *duckdb.Workshop
	timer *time.Timer // closes idle
}

// takeShop is an engine without tables; whoever has it gives it back.
func (d *DB) takeShop(ctx context.Context) (*duckdb.Workshop, error) {
	d.shops.mu.Lock()
	w := d.shops.idle
	d.shops.idle = nil
	d.shops.mu.Unlock()
	if w != nil {
		return w, nil
	}
	return d.o.Workshop(ctx)
}

// giveShop ends the use of an engine; failed says that what was done in it went wrong: then it is closed.
func (d *DB) giveShop(ctx context.Context, w *duckdb.Workshop, failed bool) error {
	if failed || ctx.Err() != nil || w.Clear(ctx) != nil {
		return w.Close()
	}
	d.shops.mu.Lock()
	before := d.shops.idle
	d.shops.idle = w
	if d.shops.timer == nil {
		d.shops.timer = time.AfterFunc(shopIdle, d.closeIdle)
	} else {
		d.shops.timer.Reset(shopIdle)
	}
	d.shops.mu.Unlock()
	if before != nil {
		return before.Close()
	}
	return nil
}

// closeIdle closes the engine that nobody uses.
func (d *DB) closeIdle() {
	if err := d.shutShop(); err != nil {
		d.o.Log.Warn("an engine that was not in use could not be closed", "warehouse", d.o.Name, "error", err)
	}
}

func (d *DB) shutShop() error {
	d.shops.mu.Lock()
	defer d.shops.mu.Unlock()
	w := d.shops.idle
	d.shops.idle = nil
	if d.shops.timer != nil {
		d.shops.timer.Stop()
		d.shops.timer = nil
	}
	if w == nil {
		return nil
	}
	return w.Close()
}

// inWorkshop runs fn with an engine.
func (d *DB) inWorkshop(ctx context.Context, fn func(w *duckdb.Workshop) error) error {
	w, err := d.takeShop(ctx)
	if err != nil {
		return err
	}
	err = fn(w)
	return errors.Join(err, d.giveShop(ctx, w, err != nil))
}
