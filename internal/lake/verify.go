package lake

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"firth/internal/disk"
	"firth/internal/lake/catalog"
	"firth/internal/lake/rowfile"
)

// ErrDamaged says that a file of the lake does not hold what was written to it. The error names the file and what is wrong with it; nothing
// of the file was handed out.
var ErrDamaged = catalog.ErrDamaged

// DamageHint is what a person can do about a damaged file.
const DamageHint = "look at the disk, and put the file back from a backup: firth lake restore"

// Damage is a data file that must not be read: it does not hold what was written to it, or it cannot be read at all.
//
// Whoever answers questions from files lets every question that would touch a damaged one fail with its path, and never answers
// without the rows of that file.
type Damage struct {
	Path   string
	Reason string
}

func (d Damage) Error() string { return fmt.Sprintf("lake file %s is damaged: %s", d.Path, d.Reason) }

// Is makes every Damage an [ErrDamaged].
func (d Damage) Is(target error) bool { return target == ErrDamaged }

func damaged(path, format string, args ...any) error {
	return Damage{Path: path, Reason: fmt.Sprintf(format, args...)}
}

// VerifyFile reads a whole data file and compares it with what its name and its manifest say. A file without checksums in its name,
// as older versions wrote them, is unpacked page by page instead. Errors: [ErrDamaged], [ErrFileGone], or that of a failed read.
func VerifyFile(fsys disk.FS, f *File) error {
	file, info, err := openData(fsys, f)
	if err != nil {
		return err
	}
	return errors.Join(verifyWhole(file, info, f, nil), file.Close())
}

func openData(fsys disk.FS, f *File) (disk.File, fs.FileInfo, error) {
	file, err := fsys.OpenFile(f.Path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: %s", ErrFileGone, f.Path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read lake file: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("stat lake file %s: %w", f.Path, err), file.Close())
	}
	return file, info, nil
}

const verifyChunk = 256 << 10

// verifyWhole verifies an open file; pace, when set, is told how much was read.
func verifyWhole(file io.ReaderAt, info fs.FileInfo, f *File, pace func(int) error) error {
	if info.Size() != f.Bytes {
		return damaged(f.Path, "it has %d bytes, its manifest says %d", info.Size(), f.Bytes)
	}
	want, ok := sumsOf(f.Path)
	if !ok {
		return verifyRows(f, rowfile.CheckPages, file)
	}
	got, buf := uint32(0), make([]byte, min(verifyChunk, f.Bytes))
	for at := int64(0); at < f.Bytes; {
		n, err := file.ReadAt(buf[:min(int64(len(buf)), f.Bytes-at)], at)
		got = crc32.Update(got, castagnoli, buf[:n])
		at += int64(n)
		switch {
		case err != nil && (!errors.Is(err, io.EOF) || at < f.Bytes):
			return fmt.Errorf("read lake file %s at byte %d: %w", f.Path, at, err)
		case n == 0:
			return fmt.Errorf("read lake file %s at byte %d: %w", f.Path, at, io.ErrNoProgress)
		}
		if pace != nil {
			if err := pace(n); err != nil {
				return err
			}
		}
	}
	if got != want.whole {
		return damaged(f.Path, "its checksum is %08x, its name says %08x", got, want.whole)
	}
	return nil
}

// verifyRows verifies a file that has no checksums in its name.
func verifyRows(f *File, check func(io.ReaderAt, int64) (int64, error), file io.ReaderAt) error {
	rows, err := check(file, f.Bytes)
	if err != nil {
		return damaged(f.Path, "%v", err)
	}
	if rows != f.Rows {
		return damaged(f.Path, "it has %d rows, its manifest says %d", rows, f.Rows)
	}
	return nil
}

// verifyFooter looks at the size and the end of a file: what an engine decides by which parts of it to read.
func verifyFooter(fsys disk.FS, f *File) (err error) {
	file, info, err := openData(fsys, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if info.Size() != f.Bytes {
		return damaged(f.Path, "it has %d bytes, its manifest says %d", info.Size(), f.Bytes)
	}
	want, ok := sumsOf(f.Path)
	if !ok {
		return verifyRows(f, rowfile.CheckFooter, file)
	}
	got, err := sumFooter(file, f.Path, f.Bytes)
	if errors.Is(err, errNoFooter) {
		return damaged(f.Path, "%v", errNoFooter)
	}
	if err != nil {
		return err
	}
	if got != want.footer {
		return damaged(f.Path, "the checksum of its footer is %08x, its name says %08x", got, want.footer)
	}
	return nil
}

// stamp tells a file from one that was put in its place.
type stamp struct{ size, modified int64 }

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime().UnixNano()} }

// maxVerified bounds what a verifier remembers; beyond it files are read once more.
const maxVerified = 200_000

// verifier remembers which files were found whole, and which were not, for as long as a process runs. Safe for concurrent use.
type verifier struct {
	fs disk.FS

	mu   sync.Mutex
	good map[string]stamp
	bad  map[string]found
}

type found struct {
	info   fs.FileInfo
	damage Damage
}

func newVerifier(fsys disk.FS) *verifier {
	return &verifier{fs: fsys, good: map[string]stamp{}, bad: map[string]found{}}
}

// check verifies the whole of an open file unless it was found whole, or damaged, before. With again it is read in any case.
func (v *verifier) check(file io.ReaderAt, info fs.FileInfo, f *File, again bool, pace func(int) error) error {
	if !again {
		v.mu.Lock()
		good, ok := v.good[f.Path]
		bad, known := v.bad[f.Path]
		v.mu.Unlock()
		if ok && good == stampOf(info) && info.Size() == f.Bytes {
			return nil
		}
		if known && os.SameFile(bad.info, info) && stampOf(bad.info) == stampOf(info) {
			return bad.damage
		}
	}
	err := verifyWhole(file, info, f, pace)
	v.note(f.Path, info, err)
	return err
}

// isBad reports whether a file was found damaged and not found whole since.
func (v *verifier) isBad(path string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, bad := v.bad[path]
	return bad
}

// open opens a file that holds what was written to it.
func (v *verifier) open(f *File) (disk.File, error) {
	file, info, err := openData(v.fs, f)
	if err != nil {
		return nil, err
	}
	if err := v.check(file, info, f, false, nil); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// note takes down how a file was found. An error that says nothing about the file's content changes nothing.
func (v *verifier) note(path string, info fs.FileInfo, err error) {
	var d Damage
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case err == nil:
		if len(v.good) >= maxVerified {
			clear(v.good)
		}
		v.good[path] = stampOf(info)
		delete(v.bad, path)
	case errors.As(err, &d):
		delete(v.good, path)
		v.bad[path] = found{info, d}
	}
}

// trust takes down that this process has just written a file.
func (v *verifier) trust(path string) error {
	info, err := v.fs.Stat(path)
	if err != nil {
		return fmt.Errorf("stat lake file: %w", err)
	}
	v.note(path, info, nil)
	return nil
}

// forget lets go of damage in a table's folder that no longer concerns it: files that were given up, or put back under another name.
func (v *verifier) forget(folder string, live func(path string) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for path := range v.bad {
		if tableFolder(path) == folder && !live(path) {
			delete(v.bad, path)
		}
	}
}

// tableFolder is the folder of a table's data files; below it is one folder a day.
func tableFolder(path string) string { return filepath.Dir(filepath.Dir(path)) }
