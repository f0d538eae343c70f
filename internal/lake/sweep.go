package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
	"unique"

	"firth/internal/lake/catalog"
)

// A sweep removes what nothing names any more. It lists the folders, then asks which files are being written, and only then
// what the tables name; so a file that a commit names meanwhile is seen to be named. What is dead is condemned: written down with
// the time. What has been dead for the grace, and still is when the table is looked at again right before, is removed.

// sweepBatch is how many files are removed at a time; commits of the table wait meanwhile.
const sweepBatch = 16

// corpse is a file that nothing names.
type corpse struct {
	name  fileName
	since time.Time
	bytes int64

	orphan bool // another engine wrote it
}

// ward is a table during a sweep.
type ward struct {
	watch *watch
	list  *listing
	dead  []corpse
}

// sweep is one sweep over all tables. An error in listing or reading ends it before anything is removed.
func (t *Tender) sweep(ctx context.Context, tables []string, now time.Time, progress func(TendProgress), report *TendReport) error {
	known, err := t.l.catalog.Condemned(ctx)
	if err != nil {
		return err
	}
	since := make(map[fileName]catalog.Condemned, len(known))
	for _, f := range known {
		since[unique.Make(f.Path)] = f
	}
	var wards []*ward
	var total TendStats
	for _, table := range tables {
		progress(TendProgress{Step: "look", Table: table})
		w, err := t.examine(ctx, table, &total)
		if err != nil {
			return err
		}
		wards = append(wards, w)
	}
	if err := t.condemn(ctx, wards, since, now); err != nil {
		return err
	}
	if total.CatalogBytes, err = t.catalogBytes(); err != nil {
		return err
	}
	var due int64
	for _, w := range wards {
		for _, c := range w.dead {
			total.condemn(c)
			if now.Sub(c.since) >= t.grace(c) {
				due++
			}
		}
	}
	report.ForeignFiles, report.WaitingFiles, report.WaitingBytes = total.ForeignFiles, total.CondemnedFiles, total.CondemnedBytes
	t.stat(func(s *TendStats) { s.see(&total) })
	return t.bury(ctx, wards, now, due, progress, report)
}

func (t *Tender) catalogBytes() (int64, error) {
	database, log, err := t.l.catalog.Sizes()
	return database + log, err
}

func (s *TendStats) condemn(c corpse) {
	s.CondemnedFiles++
	s.CondemnedBytes += c.bytes
	if s.Oldest.IsZero() || c.since.Before(s.Oldest) {
		s.Oldest = c.since
	}
}

// see takes over what a sweep saw.
func (s *TendStats) see(o *TendStats) {
	s.CondemnedFiles, s.CondemnedBytes, s.Oldest, s.ForeignFiles = o.CondemnedFiles, o.CondemnedBytes, o.Oldest, o.ForeignFiles
	s.Files, s.Bytes, s.MetadataFiles, s.MetadataBytes = o.Files, o.Bytes, o.MetadataFiles, o.MetadataBytes
	s.Snapshots, s.Manifests, s.CatalogBytes = o.Snapshots, o.Manifests, o.CatalogBytes
}

// examine finds the dead files of a table. Their times are not known yet.
func (t *Tender) examine(ctx context.Context, table string, total *TendStats) (*ward, error) {
	w, err := t.watch(ctx, table)
	if err != nil {
		return nil, err
	}
	files, err := listTable(t.l, table)
	if err != nil {
		return nil, err
	}
	if err := t.spare(ctx, table, files); err != nil {
		return nil, err
	}
	written := map[fileName]bool{}
	for n := range files.files {
		if t.l.beingWritten(t.path(n)) {
			written[n] = true
		}
	}
	seen, err := w.look(ctx)
	if err != nil {
		return nil, err
	}
	out := &ward{watch: w, list: files}
	for n, entry := range files.files {
		_, live := seen.live[n]
		if written[n] || live && isData(n) {
			continue
		}
		size, err := t.size(entry)
		if err != nil {
			return nil, err
		}
		if live {
			total.MetadataFiles++
			total.MetadataBytes += size
		} else {
			out.dead = append(out.dead, corpse{name: n, bytes: size, orphan: files.orphans[n]})
		}
	}
	total.ForeignFiles += files.foreign
	total.Snapshots += int64(seen.snapshots)
	total.Manifests += int64(seen.manifests)
	total.Files += seen.files
	total.Bytes += seen.bytes
	return out, nil
}

// size is that of a listed file; 0 of one that was renamed or removed since.
func (t *Tender) size(e fs.DirEntry) (int64, error) {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("size of a lake file: %w", err)
	}
	return info.Size(), nil
}

func (t *Tender) watch(ctx context.Context, table string) (*watch, error) {
	if w, ok := t.watches[table]; ok {
		return w, nil
	}
	s, err := t.l.store(ctx, table)
	if err != nil {
		return nil, err
	}
	w := &watch{s: s, root: filepath.Clean(t.l.o.Dir)}
	t.watches[table] = w
	return w, nil
}

func (t *Tender) path(n fileName) string {
	return filepath.Join(t.l.o.Dir, filepath.FromSlash(n.Value()))
}

// condemn brings the list of condemned files up to date and gives each dead file the time since when it is dead.
func (t *Tender) condemn(ctx context.Context, wards []*ward, since map[fileName]catalog.Condemned, now time.Time) error {
	var fresh []catalog.Condemned
	for _, w := range wards {
		for i := range w.dead {
			c := &w.dead[i]
			had, ok := since[c.name]
			delete(since, c.name)
			c.since = had.Since
			// A time that is still to come was written before the clock was set back, while nothing ran.
			if !ok || c.since.After(now) {
				c.since = now
			}
			if !ok || c.since.UnixMilli() != had.Since.UnixMilli() || c.bytes != had.Bytes {
				fresh = append(fresh, catalog.Condemned{Path: c.name.Value(), Since: c.since, Bytes: c.bytes})
			}
		}
		slices.SortFunc(w.dead, func(a, b corpse) int {
			return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.name.Value(), b.name.Value()))
		})
	}
	if len(fresh) == 0 && len(since) == 0 {
		return nil
	}
	if err := t.l.o.step("condemn"); err != nil {
		return err
	}
	if err := t.l.catalog.Condemn(ctx, fresh); err != nil {
		return err
	}
	var rest []string // gone, or named again
	for n := range since {
		rest = append(rest, n.Value())
	}
	slices.Sort(rest)
	return t.l.catalog.Acquit(ctx, rest)
}

// bury removes the dead files whose grace has passed.
func (t *Tender) bury(ctx context.Context, wards []*ward, now time.Time, due int64, progress func(TendProgress), report *TendReport) error {
	var done int64
	for _, w := range wards {
		var batch []corpse
		for _, c := range w.dead {
			if now.Sub(c.since) >= t.grace(c) {
				batch = append(batch, c)
			}
		}
		var gone []string
		for part := range slices.Chunk(batch, sweepBatch) {
			removed, err := t.remove(ctx, w, part)
			for _, c := range removed {
				gone = append(gone, c.name.Value())
				report.SweptFiles++
				report.SweptBytes += c.bytes
				report.WaitingFiles--
				report.WaitingBytes -= c.bytes
			}
			t.stat(func(s *TendStats) { s.bury(removed) })
			if err != nil {
				return err // what is gone but still condemned is forgotten by the next sweep
			}
			done += int64(len(part))
			progress(TendProgress{Step: "sweep", Table: w.watch.s.name, Done: done, Total: due})
		}
		if err := t.l.catalog.Acquit(ctx, gone); err != nil {
			return err
		}
		if err := t.empty(w, batch); err != nil {
			return err
		}
	}
	return nil
}

func (s *TendStats) bury(removed []corpse) {
	for _, c := range removed {
		s.SweptFiles++
		s.SweptBytes += c.bytes
		s.CondemnedFiles--
		s.CondemnedBytes -= c.bytes
	}
}

// maxLooks bounds how often a table is looked at again because it was committed to.
const maxLooks = 10

// remove removes files that are still dead. No commit of the table comes between the look and the removal.
func (t *Tender) remove(ctx context.Context, w *ward, files []corpse) ([]corpse, error) {
	s := w.watch.s
	for range maxLooks {
		seen, err := w.watch.look(ctx)
		if err != nil {
			return nil, err
		}
		removed, current, err := t.removeAt(ctx, s, seen, files)
		if current || err != nil {
			return removed, err
		}
	}
	return nil, nil // too many commits: the next sweep goes on
}

// removeAt removes the files unless the table was committed to since it was looked at.
func (t *Tender) removeAt(ctx context.Context, s *store, seen *look, files []corpse) (removed []corpse, current bool, err error) {
	s.committing.Lock()
	defer s.committing.Unlock()
	location, err := s.l.catalog.Current(ctx, s.name)
	if err != nil || location != seen.location {
		return nil, false, err
	}
	if err := s.l.o.step("sweep " + s.name); err != nil {
		return nil, true, err
	}
	for _, c := range files {
		path := t.path(c.name)
		if _, live := seen.live[c.name]; live || s.l.beingWritten(path) {
			continue
		}
		// The removal need not be durable: a file that comes back is dead, and found again.
		if err := s.l.o.FS.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return removed, true, fmt.Errorf("remove %s: %w", path, err)
		}
		removed = append(removed, c)
	}
	return removed, true, nil
}

// empty removes the folders of days that have become empty, or were found so.
func (t *Tender) empty(w *ward, removed []corpse) error {
	gone := make(map[fileName]bool, len(removed))
	for _, c := range removed {
		gone[c.name] = true
	}
	for dir, files := range w.list.days {
		if w.list.mixed[dir] || slices.ContainsFunc(files, func(n fileName) bool { return !gone[n] }) {
			continue
		}
		if _, err := t.l.catalog.IO().RemoveDir(dir); err != nil {
			return fmt.Errorf("remove the folder of a day: %w", err)
		}
	}
	return nil
}
