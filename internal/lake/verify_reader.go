package lake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"firth/internal/disk"
)

// Verify reads all files of a snapshot, also those that were found whole before, and lists the damaged ones. Progress, when set,
// is told how many files and bytes are done. An error is that of a read or of the context.
func (r *Reader) Verify(ctx context.Context, snap *Snapshot, progress func(files int, bytes int64)) ([]Damage, error) {
	var out []Damage
	bytes := int64(0)
	for i, f := range snap.Files {
		var d Damage
		err := r.verify(f, func(int) error { return ctx.Err() })
		if errors.As(err, &d) {
			out = append(out, d)
		} else if err != nil {
			return out, err
		}
		if bytes += f.Bytes; progress != nil {
			progress(i+1, bytes)
		}
	}
	return out, nil
}

// VerifyFile is [VerifyFile] where the reader's lake is.
func (r *Reader) VerifyFile(f *File) error { return VerifyFile(r.verifier.fs, f) }

func (r *Reader) verify(f *File, pace func(int) error) error {
	file, info, err := openData(r.verifier.fs, f)
	if err != nil {
		return err
	}
	return errors.Join(r.verifier.check(file, info, f, true, pace), file.Close())
}

// Check looks at the files that a view of a table is about to be made of and lists those that must not be read. All files of one
// call belong to one table. At the first call for a table the sizes and footers are looked at, which costs two short reads a
// file; later the files that are new are read as a whole (they have just been written and are in memory), and known ones that
// were written to since, by their size and time. Known damage is looked at again when the file was replaced, and what
// [Reader.Scrub] has found meanwhile is listed too. So a view is made again when the table or this list has changed.
//
// A missing file is listed as well: a snapshot that names it must not be answered from without it.
func (r *Reader) Check(ctx context.Context, files []*File) []Damage {
	if len(files) == 0 {
		return nil
	}
	folder := tableFolder(files[0].Path)
	r.mu.Lock()
	seen, again := r.checked[folder]
	r.mu.Unlock()
	now := make(map[string]stamp, len(files))
	var out []Damage
	for _, f := range files {
		if ctx.Err() != nil {
			return out
		}
		if !isHere(r.verifier.fs, f.Path) { // it is looked at when it comes
			now[f.Path] = seen[f.Path]
			continue
		}
		was, known := seen[f.Path]
		is, err := r.stamp(f)
		if err == nil && (!known || was != is || r.verifier.isBad(f.Path)) {
			err = r.look(f, again)
		}
		if err != nil {
			var d Damage
			if !errors.As(err, &d) {
				d = Damage{Path: f.Path, Reason: err.Error()}
			}
			out = append(out, d)
			continue // looked at again next time
		}
		now[f.Path] = is
	}
	r.mu.Lock()
	r.checked[folder] = now
	r.mu.Unlock()
	all := make(map[string]bool, len(out)) // what is not in now, and yet there
	for _, d := range out {
		all[d.Path] = true
	}
	r.verifier.forget(folder, func(path string) bool { _, ok := now[path]; return ok || all[path] })
	return out
}

// isHere reports whether a file can be read without fetching it from elsewhere.
func isHere(fsys disk.FS, path string) bool {
	far, ok := fsys.(interface{ Cached(name string) bool })
	return !ok || far.Cached(path)
}

// stamp is that of a file as it is now.
func (r *Reader) stamp(f *File) (stamp, error) {
	info, err := r.verifier.fs.Stat(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, fmt.Errorf("%w: %s", ErrFileGone, f.Path)
	}
	if err != nil {
		return stamp{}, fmt.Errorf("stat lake file: %w", err)
	}
	return stampOf(info), nil
}

// look verifies a file: as a whole, or where the table has not been looked at before, its size and footer.
func (r *Reader) look(f *File, whole bool) error {
	if !whole && !r.verifier.isBad(f.Path) {
		return verifyFooter(r.verifier.fs, f)
	}
	file, err := r.verifier.open(f)
	if err != nil {
		return err
	}
	return file.Close()
}

// Damaged lists the files that were found damaged and not found whole since, by path.
func (r *Reader) Damaged() []Damage {
	r.verifier.mu.Lock()
	defer r.verifier.mu.Unlock()
	var out []Damage
	for _, b := range r.verifier.bad {
		out = append(out, b.damage)
	}
	slices.SortFunc(out, func(a, b Damage) int { return cmp.Compare(a.Path, b.Path) })
	return out
}

// scrubPause is the least time from the end of one round to the beginning of the next.
const scrubPause = time.Minute

// Scrub reads all files of all tables, round after round, at no more than rate bytes a second, until the context ends; it returns
// nil then. What it finds is told to report (when set) once, and listed by [Reader.Damaged] and [Reader.Check]. Trouble with the
// catalog or the disk is told to report as well, and tried again in the next round.
func (r *Reader) Scrub(ctx context.Context, rate int64, report func(error)) error {
	told := map[string]bool{}
	say := func(err error) {
		if report != nil && !told[err.Error()] {
			told[err.Error()] = true
			report(err)
		}
	}
	pace := func(n int) error {
		if !sleep(ctx, time.Duration(float64(n)/float64(rate)*float64(time.Second))) {
			return ctx.Err()
		}
		return nil
	}
	for {
		if err := r.scrubRound(ctx, pace, say); err != nil && ctx.Err() == nil {
			say(err)
		}
		if !sleep(ctx, scrubPause) {
			return nil
		}
	}
}

func (r *Reader) scrubRound(ctx context.Context, pace func(int) error, say func(error)) error {
	tables, err := r.catalog.Tables(ctx)
	if err != nil {
		return err
	}
	for name := range tables {
		snap, err := r.Snapshot(ctx, name)
		if err != nil {
			return err
		}
		live := make(map[string]bool, len(snap.Files))
		for _, f := range snap.Files {
			live[f.Path] = true
			if !isHere(r.verifier.fs, f.Path) {
				continue
			}
			err := r.verify(f, pace)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil && !errors.Is(err, ErrFileGone) { // merged since, most likely; the next round knows
				say(err)
			}
		}
		if len(snap.Files) > 0 {
			r.verifier.forget(tableFolder(snap.Files[0].Path), func(path string) bool { return live[path] })
		}
	}
	return nil
}
