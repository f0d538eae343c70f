package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"firth/internal/warehouse"
)

// swapping is one swap under way. Tables change names in one statement, which commits by itself and apart from the bookkeeping;
// so the swap is written down before, and whoever finds it cut off ends it, or undoes it where no table has moved yet.
type swapping struct {
	db      *DB
	session session
	swap    *warehouse.Swap
	moves   []move
}

// move is one table of a swap.
type move struct {
	Name string `json:"name"`
	Had  bool   `json:"had"` // there was a table to take the place of
}

// old is the name that the i-th old table gets in the schema of the rebuild, until it is dropped with that.
func old(i int) string { return fmt.Sprintf("_firth_old_%d", i) }

// Swap puts rebuilt tables in the place of the old ones. Columns and keys that only the old ones have are copied first, and rows of
// tables that were taken over which the rebuild has no calls of; then all tables change places at once. The discards and the
// bookkeeping follow in a transaction. A swap that fails in between is ended by the next call of any kind, or by Open.
func (d *DB) Swap(ctx context.Context, s *warehouse.Swap) (*warehouse.Result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.known)
	result := &warehouse.Result{Rows: map[string]int64{}}
	err := d.withSession(ctx, func(session session) error {
		if err := d.finishSwaps(ctx, session); err != nil {
			return err
		}
		w := &swapping{db: d, session: session, swap: s}
		return d.alone(ctx, session, func() error { return w.run(ctx, result) })
	})
	if err != nil {
		return nil, d.fail("swap", s.Source, err)
	}
	return result, nil
}

func (w *swapping) run(ctx context.Context, result *warehouse.Result) error {
	if !strings.HasPrefix(w.swap.RebuildSchema, warehouse.RebuildPrefix) {
		return fmt.Errorf("%s is no schema of a rebuild", w.swap.RebuildSchema)
	}
	if err := w.comparePositions(ctx); err != nil {
		return err
	}
	if err := w.prepare(ctx, result); err != nil {
		return err
	}
	text, err := json.Marshal(w.moves)
	if err != nil {
		return fmt.Errorf("write down the swap: %w", err)
	}
	w.db.unfinished = true
	err = w.session.exec(ctx, "REPLACE INTO `_firth`.`swaps` (source, schema_name, rebuild_source, rebuild_schema, tables, begun_at) VALUES (?, ?, ?, ?, ?, ?)",
		w.swap.Source, w.swap.Schema, w.swap.RebuildSource, w.swap.RebuildSchema, string(text), w.db.now().UTC())
	if err != nil {
		return fmt.Errorf("write down the swap: %w", err)
	}
	if err := w.db.step("swap recorded"); err != nil {
		return err
	}
	return w.finish(ctx, true)
}

// comparePositions refuses rebuilds that are not where the source is.
func (w *swapping) comparePositions(ctx context.Context) error {
	have, err := positions(ctx, w.session, w.swap.Source)
	if err != nil {
		return fmt.Errorf("read positions: %w", err)
	}
	rebuilt, err := positions(ctx, w.session, w.swap.RebuildSource)
	if err != nil {
		return fmt.Errorf("read positions: %w", err)
	}
	same := len(rebuilt) > 0 && maps.EqualFunc(have, rebuilt, func(a, b warehouse.Position) bool { return a.Next == b.Next })
	if same {
		return nil
	}
	return &warehouse.Error{
		Op: "swap", Object: w.swap.Source, Kind: warehouse.Moved, Err: errors.New("the rebuilt tables do not hold the same calls as those in use"),
	}
}

// prepare brings over what only the old tables have. Nobody sees any of it yet, and it can be done again.
func (w *swapping) prepare(ctx context.Context, result *warehouse.Result) error {
	before, err := w.db.readSchema(ctx, w.session, w.swap.Source, w.swap.Schema)
	if err != nil {
		return err
	}
	after, err := w.db.readSchema(ctx, w.session, w.swap.RebuildSource, w.swap.RebuildSchema)
	if err != nil {
		return err
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(w.swap.Tables))) {
		to := after[w.db.key(name)]
		if to == nil || !to.exists || !to.known || name == warehouse.Discards {
			continue
		}
		from := before[w.db.key(name)]
		had := from != nil && from.exists
		if had {
			c := &carrying{swapping: w, from: from, to: to, result: result}
			if err := c.run(ctx); err != nil {
				return fmt.Errorf("bring over what only %s has: %w", name, err)
			}
		}
		var n int64
		if err := w.session.QueryRowContext(ctx, tagged("SELECT count(*) FROM "+qualified(w.swap.RebuildSchema, to.name))).Scan(&n); err != nil {
			return fmt.Errorf("count %s: %w", name, err)
		}
		result.Rows[name] = n
		w.moves = append(w.moves, move{Name: to.name, Had: had})
	}
	if r := before[w.db.key(warehouse.Discards)]; r != nil && r.exists {
		return nil
	}
	if err := w.session.exec(ctx, createSchema(w.swap.Schema, w.db.server.collation)); err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	statement, err := createTable(w.swap.Schema, warehouse.Discards, warehouse.DiscardColumns(), "row_id", w.db.server.collation)
	if err == nil {
		err = w.session.exec(ctx, statement)
	}
	return err
}

// settled ends or undoes a swap of this process that was cut off; those of others were at Open.
func (d *DB) settled(ctx context.Context, s session) error {
	if !d.unfinished {
		return nil
	}
	return d.finishSwaps(ctx, s)
}

// swapLock is the name of the lock that is held while a swap is under way or settled.
const swapLock = "_firth.swap"

// alone runs fn while no other program swaps tables on the server: what is written down of a swap that goes on is nobody else's to end.
func (d *DB) alone(ctx context.Context, s session, fn func() error) error {
	var got sql.NullBool
	if err := s.QueryRowContext(ctx, tagged("SELECT GET_LOCK(?, ?)"), swapLock, lockSeconds).Scan(&got); err != nil {
		return fmt.Errorf("wait for others that swap: %w", err)
	}
	if !got.Bool {
		return &warehouse.Error{
			Op: "swap", Object: d.login.place(), Kind: warehouse.Busy, Err: errors.New("another program puts rebuilt tables in their place"),
			Hint: "it is tried again; who it is: SELECT * FROM information_schema.processlist WHERE id = IS_USED_LOCK('" + swapLock + "')",
		}
	}
	err := fn()
	// A session that failed is closed, and the lock goes with it.
	if err == nil {
		err = s.exec(ctx, "DO RELEASE_LOCK(?)", swapLock)
	}
	return err
}

// finishSwaps ends or undoes what was cut off.
func (d *DB) finishSwaps(ctx context.Context, s session) error {
	var found bool
	if err := s.QueryRowContext(ctx, tagged("SELECT EXISTS (SELECT 1 FROM `_firth`.`swaps`)")).Scan(&found); err != nil {
		return fmt.Errorf("look for swaps: %w", err)
	}
	if !found {
		d.unfinished = false
		return nil
	}
	return d.alone(ctx, s, func() error { return d.finishAll(ctx, s) })
}

// finishAll does so once nobody else can be at it.
func (d *DB) finishAll(ctx context.Context, s session) error {
	var found []*swapping
	err := s.each(ctx, "SELECT source, schema_name, rebuild_source, rebuild_schema, tables FROM `_firth`.`swaps`", nil, func(rows *sql.Rows) error {
		w := &swapping{db: d, session: s, swap: &warehouse.Swap{}}
		var text string
		if err := rows.Scan(&w.swap.Source, &w.swap.Schema, &w.swap.RebuildSource, &w.swap.RebuildSchema, &text); err != nil {
			return err
		}
		if text != "" {
			if err := json.Unmarshal([]byte(text), &w.moves); err != nil {
				return fmt.Errorf("a swap of %s: %w", w.swap.Source, err)
			}
			if w.moves == nil {
				w.moves = []move{}
			}
		}
		found = append(found, w)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for swaps: %w", err)
	}
	for _, w := range found {
		clear(d.known)
		if err := w.finish(ctx, false); err != nil {
			return fmt.Errorf("end the swap of %s: %w", w.swap.Source, err)
		}
		d.log.InfoContext(ctx, "a swap of rebuilt tables that was cut off is settled", "warehouse", d.login.place(), "source", w.swap.Source)
	}
	d.unfinished = false
	return nil
}

// finish does what is left of a swap that is written down. One of which no table has moved is undone, unless it is to begin. Without
// moves (nil) only the rest of the rebuild is left to be dropped.
func (w *swapping) finish(ctx context.Context, begin bool) error {
	if w.moves != nil {
		left, moved, err := w.left(ctx)
		if err != nil {
			return err
		}
		if !moved && !begin && len(left) > 0 {
			return w.forget(ctx)
		}
		if len(left) > 0 {
			if err := w.session.exec(ctx, "RENAME TABLE "+strings.Join(left, ", ")); err != nil {
				return fmt.Errorf("change the tables' places: %w", err)
			}
		}
		if err := w.db.step("swap renamed"); err != nil {
			return err
		}
		if err := w.session.inTx(ctx, func() error { return w.settle(ctx) }); err != nil {
			return fmt.Errorf("settle the bookkeeping: %w", err)
		}
		if err := w.db.step("swap settled"); err != nil {
			return err
		}
	}
	if err := w.session.exec(ctx, "DROP DATABASE IF EXISTS "+quote(w.swap.RebuildSchema)); err != nil {
		return fmt.Errorf("drop the old tables: %w", err)
	}
	if err := w.db.step("swap dropped"); err != nil {
		return err
	}
	return w.forget(ctx)
}

func (w *swapping) forget(ctx context.Context) error {
	if err := w.session.exec(ctx, "DELETE FROM `_firth`.`swaps` WHERE source = ?", w.swap.Source); err != nil {
		return err
	}
	w.db.unfinished = false
	return nil
}

// left are the changes of names that have not happened; moved says that others have.
func (w *swapping) left(ctx context.Context) (renames []string, moved bool, err error) {
	var names []string
	err = w.session.each(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", []any{w.swap.RebuildSchema}, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("look at the rebuild: %w", err)
	}
	for i, m := range w.moves {
		target := qualified(w.swap.Schema, m.Name)
		if m.Had && !slices.Contains(names, old(i)) {
			renames = append(renames, target+" TO "+qualified(w.swap.RebuildSchema, old(i)))
		} else if m.Had {
			moved = true
		}
		if slices.Contains(names, m.Name) {
			renames = append(renames, qualified(w.swap.RebuildSchema, m.Name)+" TO "+target)
		} else {
			moved = true
		}
	}
	return renames, moved, nil
}

// settle moves discards and bookkeeping of the swapped tables, and forgets the rebuild.
func (w *swapping) settle(ctx context.Context) error {
	var discards bool
	err := w.session.QueryRowContext(ctx, tagged("SELECT count(*) > 0 FROM information_schema.tables WHERE table_schema = ? AND table_name = ?"),
		w.swap.RebuildSchema, warehouse.Discards).Scan(&discards)
	if err != nil {
		return err
	}
	columns := make([]string, len(warehouse.DiscardColumns()))
	for i, c := range warehouse.DiscardColumns() {
		columns[i] = c.Name
	}
	list, source, rebuild := quoteAll(columns), w.swap.Source, w.swap.RebuildSource
	type statement struct {
		text string
		args []any
	}
	var todo []statement
	do := func(text string, args ...any) { todo = append(todo, statement{text, args}) }
	for _, m := range w.moves {
		do("DELETE FROM "+qualified(w.swap.Schema, warehouse.Discards)+" WHERE table_name = ?", m.Name)
		if discards {
			do("INSERT INTO "+qualified(w.swap.Schema, warehouse.Discards)+" ("+list+") SELECT "+list+" FROM "+
				qualified(w.swap.RebuildSchema, warehouse.Discards)+" WHERE table_name = ?", m.Name)
		}
		do("DELETE FROM `_firth`.`columns` WHERE source = ? AND table_name = ?", source, m.Name)
		do("UPDATE `_firth`.`columns` SET source = ?, schema_name = ? WHERE source = ? AND table_name = ?", source, w.swap.Schema, rebuild, m.Name)
		do("INSERT IGNORE INTO `_firth`.`tables` (source, schema_name, table_name, adopted, adopted_through, made, first_seen) "+
			"SELECT ?, ?, table_name, 0, NULL, 1, first_seen FROM `_firth`.`tables` WHERE source = ? AND table_name = ?", source, w.swap.Schema, rebuild, m.Name)
	}
	w.forgetRebuild(do)
	do("UPDATE `_firth`.`swaps` SET tables = '' WHERE source = ?", source)
	for _, s := range todo {
		if err := w.session.exec(ctx, s.text, s.args...); err != nil {
			return err
		}
	}
	return nil
}

func (w *swapping) forgetRebuild(do func(string, ...any)) {
	for _, name := range []string{"columns", "tables", "positions"} {
		do("DELETE FROM "+qualified(bookkeeping, name)+" WHERE source = ?", w.swap.RebuildSource)
	}
}

// DropRebuild forgets a rebuild and drops its schema; both, or the rest of it is dropped later.
func (d *DB) DropRebuild(ctx context.Context, rebuildSource, rebuildSchema string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.known)
	w := &swapping{db: d, swap: &warehouse.Swap{Source: rebuildSource, RebuildSource: rebuildSource, RebuildSchema: rebuildSchema}}
	err := d.withSession(ctx, func(s session) error {
		w.session = s
		if !strings.HasPrefix(rebuildSchema, warehouse.RebuildPrefix) {
			return fmt.Errorf("%s is no schema of a rebuild", rebuildSchema)
		}
		if err := d.finishSwaps(ctx, s); err != nil {
			return err
		}
		d.unfinished = true
		err := s.inTx(ctx, func() (err error) {
			w.forgetRebuild(func(text string, args ...any) {
				if err == nil {
					err = s.exec(ctx, text, args...)
				}
			})
			if err == nil {
				err = s.exec(ctx, "REPLACE INTO `_firth`.`swaps` (source, schema_name, rebuild_source, rebuild_schema, tables, begun_at) VALUES (?, '', ?, ?, '', ?)",
					rebuildSource, rebuildSource, rebuildSchema, d.now().UTC())
			}
			return err
		})
		if err != nil {
			return err
		}
		return w.finish(ctx, false)
	})
	if err != nil {
		return d.fail("drop the rebuild", rebuildSource, err)
	}
	return nil
}
