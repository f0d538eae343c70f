package lake

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"firth/internal/disk"
)

// copyTable brings a table's files into the backup. When one of them is gone the table is planned anew: what took its place is
// in a later commit.
func (b *backup) copyTable(ctx context.Context, i int) error {
	name := b.tables[i].Name
	for try := 1; ; try++ {
		report := BackupTable{Table: name, State: BackupDone}
		b.total()
		err := b.copyFiles(ctx, b.tables[i], &report)
		if err == nil {
			t := b.tables[i]
			report.Rows, report.Bytes, report.Files = t.Rows, t.Bytes, len(t.Files)
			b.reports = append(b.reports, report)
			return nil
		}
		if !errors.Is(err, ErrFileGone) || try == maxBackupPlans {
			return err
		}
		for _, f := range b.tables[i].Files[:report.Copied+report.Kept] { // which are looked at again
			b.at.Files--
			b.at.Bytes -= f.Bytes
		}
		if b.tables[i], err = b.plan(ctx, name); err != nil {
			return err
		}
	}
}

func (b *backup) total() {
	b.at.FilesTotal, b.at.BytesTotal = 0, 0
	for _, t := range b.tables {
		b.at.FilesTotal += len(t.Files)
		b.at.BytesTotal += t.Bytes
	}
}

func (b *backup) copyFiles(ctx context.Context, t *backupTable, report *BackupTable) error {
	b.at.Table = t.Name
	b.tell()
	for _, f := range t.Files {
		if err := ctx.Err(); err != nil {
			return err
		}
		kept, err := b.bring(ctx, t, f)
		if err != nil {
			return err
		}
		if kept {
			report.Kept++
		} else {
			report.Copied++
		}
		b.at.Files++
		b.at.Bytes += f.Bytes
		b.tell()
	}
	return nil
}

func (b *backup) tell() {
	if b.progress != nil {
		b.progress(b.at)
	}
}

// bring makes sure that a file is in the backup, whole, and notes its checksum.
func (b *backup) bring(ctx context.Context, t *backupTable, f *backupFile) (kept bool, err error) {
	source, place := filepath.Join(b.l.o.Dir, t.Name, "data", f.Path), t.place(f)
	want := b.known[place]
	if sums, ok := sumsOf(f.Path); ok {
		want = fmt.Sprintf("%08x", sums.whole)
	}
	target := filepath.Join(b.dir, place)
	if want != "" {
		switch sum, size, err := sumFile(ctx, b.l.o.FS, target); {
		case err == nil && size == f.Bytes && sum == want:
			f.CRC32C = sum
			return true, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return false, fmt.Errorf("read the file of the earlier backup: %w", err)
		}
	}
	if err := b.l.o.step("backup file " + t.Name); err != nil {
		return false, err
	}
	if err := disk.MakeDir(b.l.o.FS, filepath.Dir(target), 0o750); err != nil {
		return false, err
	}
	err = disk.Replace(b.l.o.FS, target, 0o640, func(w io.Writer) error {
		sum, size, err := copyFile(ctx, b.l.o.FS, source, w)
		if err != nil {
			return err
		}
		f.CRC32C = sum
		if size != f.Bytes {
			return damaged(source, "it has %d bytes, its manifest says %d", size, f.Bytes)
		}
		if sums, ok := sumsOf(source); ok && sum != fmt.Sprintf("%08x", sums.whole) {
			return damaged(source, "its checksum is %s, its name says %08x", sum, sums.whole)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		if _, serr := b.l.o.FS.Stat(source); errors.Is(serr, fs.ErrNotExist) {
			return false, fmt.Errorf("%w: %s", ErrFileGone, source)
		}
	}
	return false, err
}

// sumFile tells the CRC32C of a file, in hexadecimal digits, and its size.
func sumFile(ctx context.Context, fsys disk.FS, path string) (sum string, size int64, err error) {
	return copyFile(ctx, fsys, path, io.Discard)
}

// copyFile writes a file's content to w and tells its CRC32C, in hexadecimal digits, and its size.
func copyFile(ctx context.Context, fsys disk.FS, path string, w io.Writer) (sum string, size int64, err error) {
	in, err := fsys.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return "", 0, fmt.Errorf("stat %s: %w", path, err)
	}
	crc := crc32.New(castagnoli)
	from := &endable{ctx: ctx, r: io.NewSectionReader(in, 0, info.Size())}
	size, err = io.CopyBuffer(io.MultiWriter(w, crc), from, make([]byte, 256<<10))
	if err != nil {
		return "", size, fmt.Errorf("copy %s: %w", path, err)
	}
	return fmt.Sprintf("%08x", crc.Sum32()), size, nil
}

// endable ends with its context.
type endable struct {
	ctx context.Context //nolint:containedctx // for as long as one call
	r   io.Reader
}

func (e *endable) Read(p []byte) (int, error) {
	if err := e.ctx.Err(); err != nil {
		return 0, err
	}
	return e.r.Read(p)
}

// sweep removes the files that the backup, which is in place now, does not name.
func (b *backup) sweep() error {
	named := map[string]bool{}
	for _, t := range b.tables {
		for _, f := range t.Files {
			named[t.place(f)] = true
		}
	}
	tables, err := b.l.o.FS.ReadDir(filepath.Join(b.dir, backupFiles))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tidy the backup: %w", err)
	}
	for _, e := range tables {
		n, err := b.sweepTable(e.Name(), named)
		if err != nil {
			return fmt.Errorf("tidy the backup: %w", err)
		}
		for i := range b.reports {
			if b.reports[i].Table == e.Name() {
				b.reports[i].Removed = n
			}
		}
	}
	return nil
}

func (b *backup) sweepTable(table string, named map[string]bool) (removed int, err error) {
	root := filepath.Join(backupFiles, table)
	days, err := b.l.o.FS.ReadDir(filepath.Join(b.dir, root))
	if err != nil {
		return 0, err
	}
	for _, day := range days {
		files, err := b.l.o.FS.ReadDir(filepath.Join(b.dir, root, day.Name()))
		if err != nil {
			return removed, err
		}
		left := len(files)
		for _, f := range files {
			place := filepath.Join(root, day.Name(), f.Name())
			ours := strings.HasSuffix(place, parquetExt) || strings.HasSuffix(place, parquetExt+tmpExt)
			if named[place] || !ours {
				continue
			}
			if err := b.l.o.FS.Remove(filepath.Join(b.dir, place)); err != nil {
				return removed, err
			}
			left--
			removed++
		}
		if left == 0 {
			if err := b.l.o.FS.Remove(filepath.Join(b.dir, root, day.Name())); err != nil {
				return removed, err
			}
		}
	}
	return removed, nil
}

// startOf reads the journal's offset that a data file's name begins with.
func startOf(path string) uint64 {
	digits, _, _ := strings.Cut(filepath.Base(path), "-")
	n, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		return 0
	}
	return n
}
