package iceberg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	icetable "github.com/apache/iceberg-go/table"

	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// tendEvery keeps the times apart at which tables are tended.
const tendEvery = time.Minute

// Tend puts small files of tables together, lets go of snapshots that are older than the grace, and removes files that nothing has
// named for as long. It does nothing where the last time was less than a minute ago.
func (d *DB) Tend(ctx context.Context) error {
	d.sweeping.Lock()
	defer d.sweeping.Unlock()
	return d.tend(ctx)
}

// tendAfter tends after a publication: where nothing is loaded but mirrors nobody else does. It waits for no other who tends or forgets.
func (d *DB) tendAfter(ctx context.Context) {
	if !d.sweeping.TryLock() {
		return
	}
	defer d.sweeping.Unlock()
	if err := d.tend(ctx); err != nil && ctx.Err() == nil {
		d.o.Log.Warn("the tables of mirrors could not be tidied up; it is tried again", "warehouse", d.o.Name, "error", err)
	}
}

// tend is Tend; the caller holds sweeping.
func (d *DB) tend(ctx context.Context) error {
	now := d.o.Now()
	if now.Sub(d.tended) < tendEvery {
		return nil
	}
	d.tended = now
	err := d.tendTables(ctx)
	if now.Sub(d.swept) >= max(tendEvery, d.o.Grace/4) {
		d.swept = now
		err = errors.Join(err, d.sweep(ctx))
	}
	if err != nil {
		return d.fail("tend", d.o.Name, err)
	}
	return nil
}

func (d *DB) tendTables(ctx context.Context) error {
	schemas, err := d.present(ctx)
	if err != nil {
		return err
	}
	for _, schema := range schemas {
		if err := d.dropMade(ctx, schema); err != nil {
			return fmt.Errorf("schema %s: %w", schema, err)
		}
		names, err := d.tables(ctx, schema)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := d.mergeTable(ctx, schema, name); err != nil {
				return fmt.Errorf("merge files of %s.%s: %w", schema, name, err)
			}
		}
		if err := d.expire(ctx, schema); err != nil {
			return fmt.Errorf("let go of old snapshots in %s: %w", schema, err)
		}
	}
	return nil
}

// Files are put together with others of about their size, so that each row is written anew a few times at most.
const (
	mergeAtLeast = 8
	firstTier    = 1 << 20
	lastTier     = 64 << 20
)

// due are files of a table that are to become one: those of the first size of which there are enough.
func due(files []dataFile) []dataFile {
	for lower, upper := int64(0), int64(firstTier); upper <= lastTier; lower, upper = upper, upper*mergeAtLeast {
		var tier []dataFile
		for _, f := range files {
			if n := f.FileSizeBytes(); n >= lower && n < upper {
				tier = append(tier, f)
			}
		}
		if len(tier) >= mergeAtLeast {
			// Files bear the time at which they were written.
			slices.SortFunc(tier, func(a, b dataFile) int { return strings.Compare(a.path, b.path) })
			return grouped(tier)[0]
		}
	}
	return nil
}

// mergeTable puts small files of a table together that loads or mirrors made.
func (d *DB) mergeTable(ctx context.Context, schema, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		t, err := d.load(ctx, schema, name)
		if errors.Is(err, errNoTable) {
			return nil
		}
		if err != nil {
			return err
		}
		files := due(slices.DeleteFunc(slices.Clone(t.files), func(f dataFile) bool { return d.wide[f.path] }))
		if t.props[sourceKey] == "" && t.props[mirrorProperty] == "" || len(files) < 2 {
			return nil
		}
		if err := d.merge(ctx, t, files); err != nil {
			if errors.Is(err, icetable.ErrCommitFailed) {
				return nil // another committer: the next time
			}
			if warehouse.KindOf(err) == warehouse.NoMemory {
				d.leave(t, files, err)
				return nil
			}
			return err
		}
	}
}

// leave keeps files from being put together again while this process runs; of a table it is said once. The caller holds mu.
func (d *DB) leave(t *tbl, files []dataFile, err error) {
	if !slices.ContainsFunc(t.files, func(f dataFile) bool { return d.wide[f.path] }) {
		d.o.Log.Warn("too little memory to put small files together: they stay as they are; raise query.memory", "table", t.schema+"."+t.name, "files", len(files), "error", err)
	}
	if d.wide == nil {
		d.wide = map[string]bool{}
	}
	for _, f := range files {
		d.wide[f.path] = true
	}
}

func (d *DB) merge(ctx context.Context, t *tbl, files []dataFile) error {
	r, err := d.scan(ctx, t, files)
	if err != nil {
		return err
	}
	defer r.release()
	return d.inWorkshop(ctx, func(w *duckdb.Workshop) error {
		add, err := d.write(ctx, w, t, "SELECT * FROM "+r.expr)
		if err != nil {
			return err
		}
		var before, after int64
		for _, f := range files {
			before += f.Count()
		}
		for _, f := range add {
			after += f.Count()
		}
		if before != after {
			d.discardAll(add)
			return fmt.Errorf("files of %d rows became files of %d: nothing is changed", before, after)
		}
		return d.commit(ctx, t.schema, []change{{table: t, remove: files, add: add}})
	})
}

// expire lets go of the snapshots that are older than the grace, of all tables of a schema in one commit.
func (d *DB) expire(ctx context.Context, schema string) error {
	s, err := d.space(ctx, schema)
	if err != nil {
		return err
	}
	names, err := d.tables(ctx, schema)
	if err != nil {
		return err
	}
	var changes []change
	for _, name := range names {
		t, err := s.catalog.Load(ctx, name)
		if errors.Is(err, errNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		if len(d.expired(t.Metadata())) > 0 {
			changes = append(changes, change{table: &tbl{schema: schema, name: name, at: name, t: t, fields: t.Schema().Fields()}})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	err = d.commit(ctx, schema, changes)
	if errors.Is(err, icetable.ErrCommitFailed) {
		return nil // another committer: the next time
	}
	return err
}

// expired are the snapshots of a table that are to go: those that others have followed for longer than the grace, and the oldest of too many.
func (d *DB) expired(m icetable.Metadata) []int64 {
	drop := oldest(m, keepSnapshots)
	all := m.Snapshots()
	before := d.o.Now().Add(-d.o.Grace).UnixMilli()
	named := map[int64]bool{}
	for _, ref := range m.Refs() {
		named[ref.SnapshotID] = true
	}
	for i := 0; i+1 < len(all); i++ {
		id := all[i].SnapshotID
		if all[i+1].TimestampMs < before && !named[id] && !slices.Contains(drop, id) {
			drop = append(drop, id)
		}
	}
	return drop
}

// dropMade drops tables that a process which was killed was making.
func (d *DB) dropMade(ctx context.Context, schema string) error {
	s, err := d.space(ctx, schema)
	if err != nil {
		return err
	}
	all, err := s.catalog.Tables(ctx)
	if err != nil {
		return err
	}
	for name := range all {
		if !strings.HasPrefix(name, makingPrefix) || d.isMaking(schema, name) {
			continue
		}
		t, err := s.catalog.Load(ctx, name)
		if errors.Is(err, errNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		if d.o.Now().Sub(time.UnixMilli(t.Metadata().LastUpdatedMillis())) < d.o.Grace {
			continue
		}
		if err := d.commit(ctx, schema, []change{{table: &tbl{schema: schema, name: name, at: name, t: t}, drop: true}}); err != nil {
			return err
		}
	}
	return nil
}
