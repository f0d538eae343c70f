package lake

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"

	"firth/internal/disk"
	"firth/internal/lake/rowfile"
)

const (
	parquetExt = ".parquet"
	tmpExt     = ".tmp" // of a file that is not whole yet
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// newFile is a data file on its way: written under a temporary name, then given its name, which tells its checksums, then named
// by a commit. From [store.newFile] to release or discard the sweeper leaves it alone. It serves one goroutine.
type newFile struct {
	s    *store
	stem string // path without checksums
	path string // as it is now
	day  int64
	out  io.WriteCloser
	size int64
	sum  uint32
}

// newFile begins a file of a day of the table. Its name begins with the offset in the journal from which its rows come, or the
// least of them. The caller writes a whole Parquet file to it and then calls finish or discard.
func (s *store) newFile(day int64, from uint64) (*newFile, error) {
	var b [8]byte
	if _, err := io.ReadFull(s.l.o.Rand, b[:]); err != nil {
		return nil, fmt.Errorf("name a lake file: %w", err)
	}
	spec := s.current().Spec()
	folder := filepath.Join(s.l.o.Dir, s.name, "data", spec.Field(0).Name+"="+dayTime(day).Format(time.DateOnly))
	stem := filepath.Join(folder, fmt.Sprintf("%016x-%s", from, hex.EncodeToString(b[:])))
	f := &newFile{s: s, stem: stem, path: stem + parquetExt + tmpExt, day: day}
	s.l.setWriting(stem, true)
	out, err := s.l.catalog.IO().Create(s.l.catalog.IO().Location(f.path))
	if err != nil {
		f.release()
		return nil, fmt.Errorf("create lake file: %w", err)
	}
	f.out = out
	return f, nil
}

// Write implements io.Writer.
func (f *newFile) Write(b []byte) (int, error) {
	n, err := f.out.Write(b)
	f.size += int64(n)
	f.sum = crc32.Update(f.sum, castagnoli, b[:n])
	return n, err
}

// finish makes the file's content durable, gives it its name and describes it for a manifest. The name is durable with the
// commit, before its catalog row. After an error the file is still to be discarded.
func (f *newFile) finish(stats *rowfile.Stats) (iceberg.DataFile, error) {
	if err := f.settle(); err != nil {
		return nil, err
	}
	return f.s.describe(f.s.l.catalog.IO().Location(f.path), f.day, f.size, stats)
}

// settle is finish for a file that is described already.
func (f *newFile) settle() error {
	out := f.out
	f.out = nil
	if err := out.Close(); err != nil {
		return fmt.Errorf("write lake file %s: %w", f.path, err)
	}
	sums := sums{whole: f.sum}
	var err error
	if sums.footer, err = footerSum(f.s.l.o.FS, f.path, f.size); err != nil {
		return err
	}
	to := f.stem + sums.String() + parquetExt
	if err := f.s.l.catalog.IO().Rename(f.path, to); err != nil {
		return fmt.Errorf("name lake file %s: %w", to, err)
	}
	f.path = to
	return f.s.l.verifier.trust(to)
}

// release says that the file is no longer being written: a commit names it, or the process gives it up to the sweeper. A file
// of a commit whose outcome is not known is not released before it is.
func (f *newFile) release() { f.s.l.setWriting(f.stem, false) }

// discard removes the file, which no commit names.
func (f *newFile) discard() error {
	var err error
	if f.out != nil {
		err = f.out.Close()
		f.out = nil
	}
	if rerr := f.s.l.o.FS.Remove(f.path); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("remove %s: %w", f.path, rerr))
	}
	f.release()
	return err
}

func (l *Lake) setWriting(stem string, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if on {
		l.writing[stem] = struct{}{}
	} else {
		delete(l.writing, stem)
	}
}

// beingWritten reports whether a file, by whichever of its names, is on its way and no commit names it yet, or is being read by a
// backup. Who removes files that
// no snapshot names asks, in this order: which files are there, whether each is being written, and only then which files the
// tables name; a file that a commit named in between is then seen to be named. Safe for concurrent use.
func (l *Lake) beingWritten(path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, yes := l.writing[stemOf(path)]
	return yes || l.held[path] > 0
}

// stemLen is the length of <from>-<random>, sixteen hexadecimal digits each.
const stemLen = 33

func stemOf(path string) string {
	dir, name := filepath.Split(path)
	return dir + name[:min(len(name), stemLen)]
}

// sums are the CRC32C of a data file and of its footer: from the start of Parquet's metadata to the end of the file.
type sums struct{ whole, footer uint32 }

func (s sums) String() string { return fmt.Sprintf("-%08x-%08x", s.whole, s.footer) }

// sumsOf reads the checksums out of a file's name; files of older versions have none.
func sumsOf(path string) (sums, bool) {
	name, ok := strings.CutSuffix(filepath.Base(path), parquetExt)
	if !ok || len(name) != stemLen+18 || name[stemLen] != '-' || name[stemLen+9] != '-' {
		return sums{}, false
	}
	whole, err := strconv.ParseUint(name[stemLen+1:stemLen+9], 16, 32)
	if err != nil {
		return sums{}, false
	}
	footer, err := strconv.ParseUint(name[stemLen+10:], 16, 32)
	return sums{whole: uint32(whole), footer: uint32(footer)}, err == nil
}

// footerEnd is what a Parquet file ends with: the length of the metadata before it, and a word.
const footerEnd = 8

// footerSum is the CRC32C of a file's footer.
func footerSum(fsys disk.FS, path string, size int64) (sum uint32, err error) {
	file, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return 0, fmt.Errorf("read lake file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return sumFooter(file, path, size)
}

func sumFooter(file io.ReaderAt, path string, size int64) (uint32, error) {
	if size < footerEnd {
		return 0, fmt.Errorf("lake file %s: %w", path, errNoFooter)
	}
	var end [footerEnd]byte
	if _, err := io.ReadFull(io.NewSectionReader(file, size-footerEnd, footerEnd), end[:]); err != nil {
		return 0, fmt.Errorf("read the end of lake file %s: %w", path, err)
	}
	length := int64(binary.LittleEndian.Uint32(end[:])) + footerEnd
	if length > size || string(end[4:]) != "PAR1" {
		return 0, fmt.Errorf("lake file %s: %w", path, errNoFooter)
	}
	h := crc32.New(castagnoli)
	if _, err := io.Copy(h, io.NewSectionReader(file, size-length, length)); err != nil {
		return 0, fmt.Errorf("read the end of lake file %s: %w", path, err)
	}
	return h.Sum32(), nil
}

var errNoFooter = errors.New("it does not end as a Parquet file does")
