package lake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// restoredKey, followed by the UUID of a journal: all rows of it below this offset that belong to the table came, or were there
// when they came, out of a backup.
const restoredKey = "firth.restored."

// ErrOverlap says that a table holds rows of a journal of the backup, and not those of the backup. To bring these in would double some
// rows, or hide that others are lost.
var ErrOverlap = errors.New("the lake holds other rows of the same journal")

// Restore brings a backup into the lake, while the lake is written, merged and tended, and read: each table gets all of the
// backup's rows, and their positions, in one commit. Files are verified as they are copied, and nothing is committed before all
// of them are there. A table that has all of the backup is left as it is, so after a failure or a crash Restore is simply called
// again. The writer's dedup window takes the ids in before its next flush of the table; loaders see journals that they have not
// begun.
//
// Errors: [ErrNoBackup], [ErrDamaged] for a backup that does not hold what was written to it, naming the file, [ErrOverlap].
func (l *Lake) Restore(ctx context.Context, dir string, progress func(BackupProgress)) (BackupReport, error) {
	began := l.o.Now()
	if !l.backing.TryLock() {
		return BackupReport{}, errBackingUp
	}
	defer l.backing.Unlock()
	end, err := l.besidePurge(ctx)
	if err != nil {
		return BackupReport{}, fmt.Errorf("restore from %s: %w", dir, err)
	}
	defer end()
	r := &restore{l: l, dir: dir, progress: progress}
	report, err := r.run(ctx)
	if err != nil {
		return BackupReport{}, fmt.Errorf("restore from %s: %w", dir, err)
	}
	report.Took = l.o.Now().Sub(began)
	return report, nil
}

// restore is one run.
type restore struct {
	l        *Lake
	dir      string
	progress func(BackupProgress)
	tables   []*restoring
	at       BackupProgress
}

// restoring is one table of the backup.
type restoring struct {
	*backupTable
	store  *store
	there  bool
	files  []*newFile
	landed []iceberg.DataFile
}

func (r *restore) run(ctx context.Context) (out BackupReport, err error) {
	d, err := readDescription(r.l.o.FS, r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return out, fmt.Errorf("%w: it has no file %s, which is written last", ErrNoBackup, backupName)
	}
	if err != nil {
		return out, err
	}
	if err := r.look(ctx, d); err != nil {
		return out, err
	}
	if d.Suppressed != nil {
		if err := errors.Join(r.l.o.step("restore suppressed"), r.l.suppress.adopt(d.Suppressed)); err != nil {
			return out, err
		}
	}
	defer func() {
		for _, t := range r.tables {
			for _, f := range t.files { // of tables that were not committed
				err = errors.Join(err, f.discard())
			}
		}
	}()
	for _, t := range r.tables {
		if err := r.copyTable(ctx, t); err != nil {
			return out, err
		}
	}
	out = BackupReport{Dir: r.dir, Made: d.Made}
	for _, t := range r.tables {
		report := BackupTable{Table: t.Name, State: BackupThere, Rows: t.Rows, Bytes: t.Bytes, Files: len(t.Files), Kept: len(t.Files)}
		if !t.there {
			report.State, report.Copied, report.Kept = BackupRestored, len(t.Files), 0
			if err := t.commit(ctx, d); err != nil {
				return out, err
			}
		}
		out.Tables = append(out.Tables, report)
	}
	return out, nil
}

// look decides for every table what is to be done, before anything is done.
func (r *restore) look(ctx context.Context, d *description) error {
	names, err := r.l.catalog.Tables(ctx)
	if err != nil {
		return err
	}
	var missing absent
	for _, b := range d.Tables {
		if !knownFormat(b.Format) {
			return fmt.Errorf("table %s has the format %q and this version of Firth knows %s: restore it with the version that made the backup, or a newer one",
				b.Name, b.Format, knownFormats)
		}
		t := &restoring{backupTable: b}
		r.tables = append(r.tables, t)
		if _, ok := names[b.Name]; ok {
			if t.store, err = r.l.store(ctx, b.Name); err != nil {
				return err
			}
			if t.there, err = b.isIn(t.store.current()); err != nil {
				return err
			}
		}
		if t.there {
			continue
		}
		r.at.FilesTotal += len(b.Files)
		r.at.BytesTotal += b.Bytes
		for _, f := range b.Files {
			path := filepath.Join(r.dir, b.place(f))
			info, err := r.l.o.FS.Stat(path)
			switch {
			case missing.note(path, err):
			case err != nil:
				return err
			case info.Size() != f.Bytes:
				missing.add(fmt.Sprintf("%s (%d bytes of %d)", path, info.Size(), f.Bytes))
			}
		}
	}
	if missing.n > 0 {
		return fmt.Errorf("%w: %d files of the backup are missing or cut short: %s", ErrDamaged, missing.n, missing.list())
	}
	for _, t := range r.tables {
		if t.store == nil {
			if t.store, err = r.l.store(ctx, t.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// isIn reports whether a table has all of the backup's rows. It is an error if it has something of the same journals otherwise.
func (b *backupTable) isIn(t *table.Table) (bool, error) {
	positions, err := offsets(t.Properties(), positionKey)
	if err != nil {
		return false, err
	}
	restored, err := offsets(t.Properties(), restoredKey)
	if err != nil {
		return false, err
	}
	if t.Metadata().TableUUID().String() == b.UUID { // the table that the backup was made of
		restored = positions
	}
	there, none := true, true
	for log, position := range b.Positions {
		_, begun := positions[log]
		none = none && !begun
		through, ok := restored[log]
		there = there && ok && through >= position
	}
	if there && len(b.Positions) > 0 {
		return true, nil
	}
	if !none {
		return false, fmt.Errorf("%w: table %s has its positions %s and the backup has %s; stop Firth, move catalog.db, window and "+
			"the lake's folder away, run firth lake restore, and start it only then", ErrOverlap, b.Name, showPositions(positions), showPositions(b.Positions))
	}
	// A table without positions has never had a row: nothing to do, nothing to double.
	return len(b.Positions) == 0 && len(b.Files) == 0, nil
}

func showPositions(all map[string]uint64) string {
	out := "none"
	for i, log := range slices.Sorted(maps.Keys(all)) {
		if i == 0 {
			out = ""
		} else {
			out += ", "
		}
		out += fmt.Sprintf("%d of journal %s", all[log], log)
	}
	return out
}

func (r *restore) copyTable(ctx context.Context, t *restoring) error {
	if t.there {
		return nil
	}
	r.at.Table = t.Name
	r.tell()
	for _, f := range t.Files {
		if err := r.copyFile(ctx, t, f); err != nil {
			return err
		}
		r.at.Files++
		r.at.Bytes += f.Bytes
		r.tell()
	}
	return nil
}

func (r *restore) tell() {
	if r.progress != nil {
		r.progress(r.at)
	}
}

// copyFile copies a file of the backup into the table's folder, under a name of its own: what an earlier run left is the
// sweeper's.
func (r *restore) copyFile(ctx context.Context, t *restoring, f *backupFile) error {
	day, err := f.day(t.Partition)
	if err != nil {
		return err
	}
	if err := r.l.o.step("restore file " + t.Name); err != nil {
		return err
	}
	to, err := t.store.newFile(day, startOf(f.Path))
	if err != nil {
		return err
	}
	t.files = append(t.files, to)
	path := filepath.Join(r.dir, t.place(f))
	sum, size, err := copyFile(ctx, r.l.o.FS, path, to)
	if err != nil {
		return err
	}
	if sum != f.CRC32C || size != f.Bytes {
		return damagedBackup(path, "it has %d bytes with the checksum %s, it was written with %d and %s", size, sum, f.Bytes, f.CRC32C)
	}
	if err := to.settle(); err != nil {
		return err
	}
	d, err := f.describe(t.store.current(), r.l.catalog.IO().Location(to.path), day)
	if err != nil {
		return err
	}
	return r.keep(ctx, t, &File{Path: to.path, Rows: f.Rows, Bytes: f.Bytes, Day: dayTime(day), MinOffset: startOf(f.Path)}, d)
}

// commit names the files and the positions in one step.
func (t *restoring) commit(ctx context.Context, d *description) error {
	s := t.store
	s.flushing.Lock()
	defer s.flushing.Unlock()
	err := s.change(ctx, "restore", func(present *table.Table, tx *table.Transaction) error {
		// The writer may have come first since it was looked at.
		if there, err := t.isIn(present); err != nil || there {
			return errors.Join(err, errors.New("the table was changed meanwhile"))
		}
		if len(t.landed) > 0 {
			note := iceberg.Properties{"firth.backup": d.ID, "firth.backup-made": d.Made.Format(time.RFC3339)}
			if err := tx.AddDataFiles(ctx, t.landed, note, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping()); err != nil {
				return fmt.Errorf("add files to table %s: %w", s.name, err)
			}
		}
		set := iceberg.Properties{}
		for log, position := range t.Positions {
			set[positionKey+log] = strconv.FormatUint(position, 10)
			set[restoredKey+log] = set[positionKey+log]
		}
		if err := tx.SetProperties(set); err != nil {
			return fmt.Errorf("set positions of table %s: %w", s.name, err)
		}
		return nil
	})
	if err != nil {
		if rerr := s.reload(ctx); rerr != nil { // the files may be named: they stay
			t.files = nil
			return errors.Join(err, rerr)
		}
		if there, terr := t.isIn(s.current()); terr != nil || !there {
			return errors.Join(err, terr)
		}
		if cerr := s.l.catalog.Confirm(ctx); cerr != nil { // it took place, and may not be on disk
			t.files = nil
			return errors.Join(err, cerr)
		}
	}
	for _, f := range t.files {
		f.release()
	}
	t.files = nil
	return nil
}
