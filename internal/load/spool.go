package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/klauspost/compress/s2"

	"firth/internal/disk"
	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/warehouse"
)

// A merged file is sorted by event and time, so that the rows of a few offsets are scattered all over it: to read it chunk by chunk
// would decode the whole file for each chunk. A spool reads every file once and lays its rows out in buckets by offset, in
// compressed temporary files, which are then loaded one after the other. Rows never change, so a spool is good even when the
// lake is merged meanwhile and its files are gone.

const (
	// spoolWaste is how many rows a chunk may decode for each that it loads before a spool is the better way.
	spoolWaste = 3
	// spoolBuckets is the most files of one spool; each takes some 200 KB of memory while it is filled.
	spoolBuckets = 48
	spoolPrefix  = "load-"
	spoolSuffix  = ".spool"
	spoolBlock   = 64 << 10
)

// spool holds the calls of one journal with from <= offset < to.
type spool struct {
	fs       disk.FS
	log      string
	from, to uint64
	buckets  []*bucket
}

// bucket is one temporary file: the calls from its first offset to that of the next bucket.
type bucket struct {
	from, to uint64
	path     string
	file     disk.File
	out      *s2.Writer
	written  int64 // bytes, compressed
}

func (b *bucket) Write(p []byte) (int, error) {
	n, err := b.file.Write(p)
	b.written += int64(n)
	return n, err
}

// wasteful reports whether a chunk up to to would decode far more rows than it loads, and others would do so again.
func wasteful(files []*lake.File, from, to uint64, rows int) bool {
	var decoded int64
	for _, f := range files {
		if f.MinOffset < to && f.MaxOffset >= from {
			decoded += f.Rows
		}
	}
	return decoded > spoolWaste*max(expected(files, from, to), int64(rows))
}

// spoolEnd is the end of the rows to be spooled from an offset on: that of the files which overlap, and of those which overlap
// these, as far as limit rows go.
func spoolEnd(files []*lake.File, from, to, end uint64, limit int64) uint64 {
	for {
		next := to
		for _, f := range files {
			if f.MinOffset < to {
				next = max(next, min(end, f.MaxOffset+1))
			}
		}
		if expected(files, from, next) > limit {
			return upperBound(files, from, next, limit)
		}
		if next == to {
			return to
		}
		to = next
	}
}

// newSpool reads the files that hold rows from from on and lays these out. rows is how many a bucket should have.
func newSpool(ctx context.Context, o *Options, read reader, name string, found []*lake.File, log string, from, to uint64, rows int) (sp *spool, err error) {
	sp = &spool{fs: o.FS, log: log, from: from, to: to}
	defer func() {
		if err != nil {
			err = errors.Join(err, sp.remove())
		}
	}()
	if err := o.FS.MkdirAll(o.TempDir, 0o700); err != nil {
		return sp, spoolError(o.TempDir, err)
	}
	for at := from; at < to; {
		next := upperBound(found, at, to, int64(rows))
		if len(sp.buckets) == spoolBuckets-1 {
			next = to
		}
		b := &bucket{from: at, to: next, path: filepath.Join(o.TempDir, fmt.Sprintf("%s%s-%s-%016x%s", spoolPrefix, o.Name, name, at, spoolSuffix))}
		if b.file, err = o.FS.OpenFile(b.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return sp, spoolError(b.path, err)
		}
		b.out = s2.NewWriter(b, s2.WriterConcurrency(1), s2.WriterBlockSize(spoolBlock))
		sp.buckets = append(sp.buckets, b)
		at = next
	}
	if err := sp.fill(ctx, read, o.SpoolBytes); err != nil {
		return sp, err
	}
	for _, b := range sp.buckets {
		if err := b.out.Close(); err != nil {
			return sp, spoolError(b.path, err)
		}
		f := b.file
		b.out, b.file = nil, nil
		if err := f.Close(); err != nil {
			return sp, spoolError(b.path, err)
		}
	}
	return sp, nil
}

// fill writes every call into its bucket. When that takes more than limit bytes, the last buckets are given up: they are for the
// next spool.
func (sp *spool) fill(ctx context.Context, read reader, limit int64) error {
	var buf []byte
	var unchecked int
	return read(ctx, sp.log, sp.from, sp.to, func(c *event.Call) error {
		if c.Offset < sp.from || c.Offset >= sp.to {
			return nil
		}
		b := sp.bucket(c.Offset)
		buf = appendCall(buf[:0], c)
		if _, err := b.out.Write(buf); err != nil {
			return spoolError(b.path, err)
		}
		if unchecked += len(buf); unchecked < 1<<20 {
			return nil
		}
		unchecked = 0
		for sp.bytes() > limit && len(sp.buckets) > 1 {
			if err := sp.cut(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (sp *spool) bytes() (n int64) {
	for _, b := range sp.buckets {
		n += b.written
	}
	return n
}

// cut gives the last bucket up.
func (sp *spool) cut() error {
	last := sp.buckets[len(sp.buckets)-1]
	sp.buckets, sp.to = sp.buckets[:len(sp.buckets)-1], last.from
	return last.remove(sp.fs)
}

// bucket is the one of an offset of the spool.
func (sp *spool) bucket(offset uint64) *bucket {
	return sp.buckets[sort.Search(len(sp.buckets), func(i int) bool { return sp.buckets[i].to > offset })]
}

// holds reports whether the spool has the calls that follow an offset. Buckets below it are removed.
func (sp *spool) holds(log string, from uint64) (bool, error) {
	if sp == nil || log != sp.log || from < sp.from || from >= sp.to {
		return false, nil
	}
	for sp.buckets[0].to <= from {
		if err := sp.buckets[0].remove(sp.fs); err != nil {
			return false, err
		}
		sp.buckets = sp.buckets[1:]
	}
	return true, nil
}

// read is a reader of the bucket that from lies in.
func (sp *spool) read(ctx context.Context, _ string, from, to uint64, fn func(*event.Call) error) (err error) {
	b := sp.bucket(from)
	f, err := sp.fs.OpenFile(b.path, os.O_RDONLY, 0)
	if err != nil {
		return spoolError(b.path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	in := bufio.NewReaderSize(s2.NewReader(io.NewSectionReader(f, 0, b.written), s2.ReaderMaxBlockSize(spoolBlock)), spoolBlock)
	d := decoder{in: in, log: sp.log}
	for {
		c, err := d.next()
		if errors.Is(err, io.EOF) {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("read spool %s: %w", b.path, err)
		}
		if c.Offset < from || c.Offset >= to {
			continue
		}
		if err := errors.Join(fn(c), ctx.Err()); err != nil {
			return err
		}
	}
}

// remove removes all files of the spool.
func (sp *spool) remove() (err error) {
	if sp == nil {
		return nil
	}
	for _, b := range sp.buckets {
		err = errors.Join(err, b.remove(sp.fs))
	}
	sp.buckets, sp.to = nil, sp.from
	return err
}

func (b *bucket) remove(fsys disk.FS) (err error) {
	if b.file != nil {
		err = b.file.Close()
		b.file = nil
	}
	if e := fsys.Remove(b.path); e != nil && !errors.Is(e, fs.ErrNotExist) {
		err = errors.Join(err, e)
	}
	return err
}

// removeSpools removes what an earlier process left behind.
func removeSpools(o *Options) error {
	entries, err := o.FS.ReadDir(o.TempDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), spoolPrefix+o.Name+"-") && strings.HasSuffix(e.Name(), spoolSuffix) {
			err = errors.Join(err, o.FS.Remove(filepath.Join(o.TempDir, e.Name())))
		}
	}
	return err
}

func spoolError(path string, err error) error {
	if disk.IsFull(err) {
		return &warehouse.Error{Op: "spool rows of merged files to", Object: path, Kind: warehouse.DiskFull, Err: err, Hint: "make room on the disk of the data folder: loading goes on by itself"}
	}
	return fmt.Errorf("spool rows of merged files to %s: %w", path, err)
}

// appendCall appends a call but for its log: numbers, then texts with their lengths; 0 is nil, otherwise one more than the length.
func appendCall(b []byte, c *event.Call) []byte {
	b = binary.AppendUvarint(b, c.Offset)
	for _, n := range [...]int64{c.TS, c.ReceivedAt, c.SentAt, c.OriginalTimestamp} {
		b = binary.AppendVarint(b, n)
	}
	for _, s := range [...]string{c.MessageID, c.Type, c.Event, c.UserID, c.AnonymousID} {
		b = append(binary.AppendUvarint(b, uint64(len(s))+1), s...)
	}
	for _, s := range [...][]byte{c.Properties, c.Context, c.Payload, c.Integrations} {
		if s == nil {
			b = append(b, 0)
			continue
		}
		b = append(binary.AppendUvarint(b, uint64(len(s))+1), s...)
	}
	return b
}

// decoder reads what appendCall wrote. The call's bytes are good until the next one.
type decoder struct {
	in    *bufio.Reader
	log   string
	call  event.Call
	bytes [4][]byte
	buf   []byte
}

func (d *decoder) next() (*event.Call, error) {
	offset, err := binary.ReadUvarint(d.in)
	if err != nil {
		return nil, err // io.EOF at the end of the file
	}
	d.call = event.Call{Log: d.log, Offset: offset}
	for _, n := range [...]*int64{&d.call.TS, &d.call.ReceivedAt, &d.call.SentAt, &d.call.OriginalTimestamp} {
		if *n, err = binary.ReadVarint(d.in); err != nil {
			return nil, noEOF(err)
		}
	}
	for _, s := range [...]*string{&d.call.MessageID, &d.call.Type, &d.call.Event, &d.call.UserID, &d.call.AnonymousID} {
		text, err := d.text(d.buf)
		if err != nil {
			return nil, noEOF(err)
		}
		*s, d.buf = string(text), text
	}
	for i, s := range [...]*[]byte{&d.call.Properties, &d.call.Context, &d.call.Payload, &d.call.Integrations} {
		text, err := d.text(d.bytes[i])
		if err != nil {
			return nil, noEOF(err)
		}
		if *s = text; text != nil {
			d.bytes[i] = text
		}
	}
	return &d.call, nil
}

// maxSpooled bounds a text; a longer one is damage.
const maxSpooled = 1 << 30

func (d *decoder) text(room []byte) ([]byte, error) {
	n, err := binary.ReadUvarint(d.in)
	if err != nil || n == 0 {
		return nil, err
	}
	if n--; n > maxSpooled {
		return nil, fmt.Errorf("a text of %d bytes", n)
	}
	if uint64(cap(room)) < n {
		room = make([]byte, n)
	}
	room = room[:n]
	_, err = io.ReadFull(d.in, room)
	return room, err
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
