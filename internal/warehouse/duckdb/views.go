package duckdb

import (
	"context"
	"database/sql/driver"
	_ "embed"
	"errors"
	"time"

	engine "github.com/duckdb/duckdb-go/v2"

	"firth/internal/event"
	"firth/internal/warehouse"
)

// SetLakeFiles makes lake.<name> a view of the events in the files, which are absolute paths below Options.LakeDir. It does
// nothing while the list stays the same. Statements that have begun keep the list they began with.
func (d *DB) SetLakeFiles(ctx context.Context, name string, files []string) error {
	return d.setView(ctx, "lake."+name, eventsView(name, files))
}

// SetDeadLetterFiles is SetLakeFiles for firth.dead_letters.
func (d *DB) SetDeadLetterFiles(ctx context.Context, files []string) error {
	return d.setView(ctx, "firth.dead_letters", deadLettersView(files))
}

// SetLakeDamage makes every question to lake.<name> fail with the text, which names the damaged file and says what to do, until
// SetLakeFiles is called: an answer without the file's rows would be wrong and look right.
func (d *DB) SetLakeDamage(ctx context.Context, name, text string) error {
	return d.setView(ctx, "lake."+name, failingView("lake."+quote(name), eventColumns, text))
}

// SetDeadLetterDamage is SetLakeDamage for firth.dead_letters.
func (d *DB) SetDeadLetterDamage(ctx context.Context, text string) error {
	return d.setView(ctx, "firth.dead_letters", failingView("firth.dead_letters", deadLetterColumns, text))
}

func (d *DB) setView(ctx context.Context, name, statement string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.views[name] == statement {
		return nil
	}
	if err := d.exec(ctx, statement); err != nil {
		return d.fail("refresh view", name, err)
	}
	d.views[name] = statement
	return nil
}

// SetFiles replaces the rows of firth.files.
func (d *DB) SetFiles(ctx context.Context, files []warehouse.LakeFile) error {
	return d.replace(ctx, "files", filesSQL, len(files), func(i int) []driver.Value {
		f := files[i]
		return []driver.Value{
			f.Table, f.Path, day(f.Day), f.Rows, f.Bytes, instant(f.MinTS), instant(f.MaxTS), instant(f.MinReceived), instant(f.MaxReceived),
			f.MinOffset, f.MaxOffset,
		}
	})
}

func day(t time.Time) driver.Value {
	if t.IsZero() {
		return nil
	}
	return t
}

// SetFreshness replaces the rows of firth.freshness.
func (d *DB) SetFreshness(ctx context.Context, rows []warehouse.Freshness) error {
	return d.replace(ctx, "freshness", freshnessSQL, len(rows), func(i int) []driver.Value {
		f := rows[i]
		var loadedAt any
		if !f.LoadedAt.IsZero() {
			loadedAt = f.LoadedAt.UTC()
		}
		row := []driver.Value{f.Source, f.Warehouse, instant(f.ReceivedThrough), instant(f.LoadedThrough), loadedAt, lag(f), f.PendingRows}
		return append(row, upstream(&f.Upstream)...)
	})
}

func upstream(u *warehouse.Upstream) []driver.Value {
	if !u.Known {
		return make([]driver.Value, 5)
	}
	var oldest driver.Value
	if u.OldestUnmerged != 0 {
		oldest = instant(u.OldestUnmerged)
	}
	return []driver.Value{u.FlushLag, u.FlushWaiting, u.MergeFiles, u.MergeRows, oldest}
}

// lag is in seconds; NULL while nothing at all has been loaded.
func lag(f warehouse.Freshness) driver.Value {
	switch {
	case f.PendingRows == 0:
		return 0.0
	case f.LoadedThrough == event.NoTime || f.ReceivedThrough == event.NoTime:
		return nil
	default:
		return max(0, float64(f.ReceivedThrough-f.LoadedThrough)/1e6)
	}
}

// replace makes a table of the catalog firth anew, with n rows. A new table, since memory of deleted rows is not given back.
func (d *DB) replace(ctx context.Context, name, create string, n int, row func(int) []driver.Value) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.inTx(ctx, func() error {
		if err := d.exec(ctx, create); err != nil {
			return err
		}
		return d.raw(func(conn driver.Conn) error {
			a, err := engine.NewAppender(conn, "firth", "main", name)
			if err != nil {
				return err
			}
			for i := range n {
				if err := a.AppendRow(row(i)...); err != nil {
					return errors.Join(err, a.Clear(), a.Close())
				}
			}
			return a.CloseWithCancel(ctx)
		})
	})
	if err != nil {
		return d.fail("refresh", "firth."+name, err)
	}
	return nil
}

//go:embed sql/files.sql
var filesSQL string

//go:embed sql/freshness.sql
var freshnessSQL string
