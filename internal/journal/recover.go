package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"firth/internal/disk"
)

// Open opens the journal in a folder, or makes one. It reads all of it: the rest of an interrupted write at the end of the
// last segment is cut away (see Stats().Recovered); a journal damaged in any other way is refused with a [*DamageError],
// one of a newer format with a [*VersionError], and nothing is changed on disk.
func Open(fsys disk.FS, dir string, o Options) (*Journal, error) {
	j := &Journal{fs: fsys, dir: dir, opt: o.withDefaults()}
	j.queue.wake = make(chan struct{}, 1)
	if err := disk.MakeDir(fsys, dir, 0o700); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	seqs, leftovers, err := j.list()
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if len(seqs) == 0 {
		err = j.begin()
	} else {
		err = j.load(seqs)
	}
	for _, name := range leftovers {
		if err != nil {
			break
		}
		if err = fsys.Remove(name); errors.Is(err, fs.ErrNotExist) {
			err = nil // the new segment took its name
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), j.Close())
	}
	return j, nil
}

// list gives the numbers of the segments in order, and the files that a crash left half made.
func (j *Journal) list() (seqs []uint64, leftovers []string, err error) {
	entries, err := j.fs.ReadDir(j.dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if seq, ok := segmentSeq(e.Name()); ok {
			seqs = append(seqs, seq)
		}
		if strings.HasSuffix(e.Name(), ".tmp") {
			leftovers = append(leftovers, filepath.Join(j.dir, e.Name()))
		}
	}
	slices.Sort(seqs)
	for i := 1; i < len(seqs); i++ {
		if missing := seqs[i-1] + 1; seqs[i] != missing {
			return nil, nil, damaged(segmentPath(j.dir, missing), 0, "the file is missing between two others")
		}
	}
	return seqs, leftovers, nil
}

// begin makes the first segment of a new log.
func (j *Journal) begin() error {
	if _, err := io.ReadFull(j.opt.Random, j.log[:]); err != nil {
		return fmt.Errorf("make a UUID: %w", err)
	}
	j.log[6] = j.log[6]&0x0f | 0x40 // RFC 9562, version 4
	j.log[8] = j.log[8]&0x3f | 0x80
	seg, file, err := j.create(segmentInfo{log: j.log, seq: 1})
	if err != nil {
		return err
	}
	j.segments, j.tail, j.bytes, j.active = []*segment{seg}, seg, seg.size, file
	return nil
}

// load reads all segments and makes the last one ready to be appended to.
func (j *Journal) load(seqs []uint64) error {
	group := int64(segmentHeader)
	for i, seq := range seqs {
		seg, last, err := j.read(seq, i == len(seqs)-1, &group)
		if err != nil {
			return err
		}
		seg.sealed = i < len(seqs)-1
		j.segments, j.tail = append(j.segments, seg), seg
		j.bytes += seg.size
		j.next, j.last = seg.end, last
	}
	j.floor = j.segments[0].base
	return j.mend(group)
}

// read checks one segment against those before it. last is the received_at of the last frame up to its end; group is set to
// where the last group begins.
func (j *Journal) read(seq uint64, isTail bool, group *int64) (seg *segment, last int64, err error) {
	path := segmentPath(j.dir, seq)
	file, err := j.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	stat, err := file.Stat()
	if err != nil {
		return nil, 0, err
	}
	head := make([]byte, min(stat.Size(), 4096))
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, stat.Size()), head); err != nil {
		return nil, 0, fmt.Errorf("read journal segment %s: %w", path, err)
	}
	info, err := decodeSegment(path, head)
	if err != nil {
		return nil, 0, err
	}
	if err := j.follows(path, seq, info); err != nil {
		return nil, 0, err
	}
	seg = newSegment(j.dir, info)
	sc := seg.scan(file, stat.Size())
	for err == nil {
		_, err = sc.frame()
	}
	if torn := (tornError{}); errors.As(err, &torn) && isTail {
		if err := torn.judge(file, seg, stat.Size(), sc); err != nil {
			return nil, 0, err
		}
		j.stats.Recovered = Recovery{Path: path, Byte: sc.pos, Bytes: stat.Size() - sc.pos, Reason: torn.Reason}
	} else if !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	seg.size, seg.end = sc.pos, sc.next
	*group = sc.group
	return seg, sc.last, nil
}

// follows checks that a segment belongs behind the ones read so far.
func (j *Journal) follows(path string, seq uint64, info segmentInfo) error {
	if info.seq != seq {
		return damaged(path, 48, fmt.Sprintf("it was written as segment %d", info.seq))
	}
	if len(j.segments) == 0 {
		j.log = info.log
		return nil
	}
	switch {
	case info.log != j.log:
		return damaged(path, 16, fmt.Sprintf("it belongs to log %s, the ones before it to %s", info.log, j.log))
	case info.base != j.next:
		return damaged(path, 56, fmt.Sprintf("it begins at offset %d, but the one before it ends at %d", info.base, j.next))
	case info.last < j.last:
		return damaged(path, 64, fmt.Sprintf("the time of receipt goes back from %d to %d", j.last, info.last))
	}
	return nil
}

// judge tells a write that was cut short from damage to what was durable. A group is written only when the one before it is
// durable, and each frame says where its group began. So if any frame behind the bad one belongs to a group that began
// behind it, then the bad one had been durable. And a frame that one flipped bit explains was written as a whole.
func (t tornError) judge(file io.ReaderAt, seg *segment, size int64, sc *scanner) error {
	left := size - t.Byte
	if left > max(groupBytes, frameHeader+MaxPayload) {
		return t.DamageError // no group is as long
	}
	rest := make([]byte, left)
	if _, err := io.ReadFull(io.NewSectionReader(file, t.Byte, left), rest); err != nil {
		return fmt.Errorf("read journal segment %s at byte %d: %w", t.Path, t.Byte, err)
	}
	if m, ok := mendFrame(rest, seg.seed, t.Byte); ok && m.bit >= 0 && m.offset == sc.next && m.received >= sc.last && !gaping(rest[:m.size()], t.Byte) {
		found := *t.DamageError
		found.Reason += fmt.Sprintf("; it is whole but for a bit at byte %d, and so was durable", t.Byte+m.bit/8)
		return &found
	}
	mark := binary.LittleEndian.AppendUint32(nil, frameMark)
	for at := 1; ; at++ {
		i := bytes.Index(rest[min(at, len(rest)):], mark)
		if i < 0 {
			return nil
		}
		at += i
		if len(rest)-at < frameHeader {
			return nil
		}
		pos := t.Byte + int64(at)
		h, reason := parseHeader(rest[at:], seg.seed, pos)
		if reason == "" && pos-int64(h.back) > t.Byte {
			found := *t.DamageError
			found.Reason += fmt.Sprintf("; it was durable, for at byte %d stands a frame that was written after it", pos)
			return &found
		}
	}
}

// gaping reports whether a frame at a position has a sector of zeros: a write that was cut short leaves those, a flipped bit does not.
func gaping(b []byte, pos int64) bool {
	const sector, least = 512, 16
	for at := 0; at < len(b); {
		end := min(len(b), at+sector-int((pos+int64(at))%sector))
		if end-at >= least && len(bytes.Trim(b[at:end], "\x00")) == 0 {
			return true
		}
		at = end
	}
	return false
}

// mend makes what was read durable for certain and the tail ready to be appended to.
//
// A process that was killed, or that saw a sync fail, may leave frames that can be read but are not on the disk: if the
// lake took them over and the power went, their offsets would be given a second time. Writing the last group once more and
// syncing it rules that out; all groups before it were synced.
func (j *Journal) mend(group int64) error {
	tail := j.tail
	file, err := j.fs.OpenFile(tail.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	j.active = file
	if j.stats.Recovered.Bytes > 0 {
		if err := file.Truncate(tail.size); err != nil {
			return fmt.Errorf("truncate journal segment %s: %w", tail.path, err)
		}
	}
	if err := rewrite(file, group, tail.size); err != nil && !disk.IsFull(err) { // a full disk may refuse even this
		return fmt.Errorf("rewrite the end of journal segment %s: %w", tail.path, err)
	}
	if err := file.Sync(); err != nil {
		return &disk.SyncError{Path: tail.path, Err: err}
	}
	if err := j.fs.SyncDir(j.dir); err != nil {
		return &disk.SyncError{Path: j.dir, Err: err}
	}
	return nil
}

// rewrite reads a part of a file and writes it back as it is.
func rewrite(file disk.File, from, to int64) error {
	if from == to {
		return nil
	}
	b := make([]byte, to-from)
	if _, err := io.ReadFull(io.NewSectionReader(file, from, to-from), b); err != nil {
		return err
	}
	_, err := file.WriteAt(b, from)
	return err
}
