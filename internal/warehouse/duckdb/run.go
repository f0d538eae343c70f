package duckdb

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"firth/internal/warehouse"
)

// RecordRun writes a run, in the place of the one with the same ID.
func (d *DB) RecordRun(ctx context.Context, r *warehouse.Run) error {
	rows := r.Tables
	if rows == nil {
		rows = map[string]int64{}
	}
	tables, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("record run %s: %w", r.ID, err)
	}
	texts := r.Notices
	if texts == nil {
		texts = []string{}
	}
	notices, err := json.Marshal(texts)
	if err != nil {
		return fmt.Errorf("record run %s: %w", r.ID, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	err = d.inTx(ctx, func() error {
		if err := d.exec(ctx, "DELETE FROM _firth.runs WHERE id = $1", r.ID); err != nil {
			return err
		}
		return d.exec(ctx, "INSERT INTO _firth.runs VALUES "+placeholders(1, 11),
			r.ID, r.Kind, r.Name, r.State, r.StartedAt.UTC(), optionalTime(r.FinishedAt), r.Rows, string(tables), string(notices), optional(r.Error), optional(r.Hint))
	})
	if err != nil {
		return d.fail("record run", r.ID, err)
	}
	d.dirty = true
	return nil
}

// EndRuns marks the runs of a kind and name that still stand as running, which a process left behind that ended without a
// word, and forgets those that finished before the time given.
func (d *DB) EndRuns(ctx context.Context, kind, name, reason, hint string, forget time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := d.inTx(ctx, func() error {
		if err := d.exec(ctx, "UPDATE _firth.runs SET state = 'failure', finished_at = $3, error = $4, hint = $5 WHERE kind = $1 AND name = $2 AND state = 'running'",
			kind, name, d.now().UTC(), reason, hint); err != nil {
			return err
		}
		return d.exec(ctx, "DELETE FROM _firth.runs WHERE kind = $1 AND name = $2 AND finished_at < $3", kind, name, forget.UTC())
	})
	if err != nil {
		return d.fail("end runs of", name, err)
	}
	d.dirty = true
	return nil
}

func optional(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func optionalTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC()
}
