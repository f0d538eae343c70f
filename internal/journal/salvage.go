package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"

	"firth/internal/disk"
)

// Salvaged says what [Salvage] found and did.
type Salvaged struct {
	Mended []DamageError // single flipped bits, which the checksums tell and which were put right
	Lost   []Loss
	Aside  []string // copies of the damaged files, as they were found
}

// Loss is a part of the journal of which nothing can be made any more.
type Loss struct {
	DamageError
	Bytes    int64  // of the file
	From, To uint64 // the offsets From to To-1 are lost; at the end of the journal not all of them may have been given
}

func (l Loss) String() string {
	return fmt.Sprintf("%v; %d bytes, offsets %d to %d", &l.DamageError, l.Bytes, l.From, l.To-1)
}

// reserve is how many offsets are passed over where the end of the journal is lost and nothing tells how many were given: none may be
// given a second time.
const reserve = 1 << 24

// Salvage makes a damaged journal whole again, which no [Journal] may have open. Frames in which one bit is flipped are put right,
// all other whole frames are kept, and a frame that says so takes the place of what is lost: it takes up the lost offsets, and its
// payload is a sentence and no request, so that it ends as a row of the dead letters. A damaged segment is copied to a name that
// ends in ".damaged" before a new one takes its place. A journal that can be opened is left as it is. With dry set, nothing is
// changed.
//
// Errors: a [*VersionError], a [*DamageError] where not one header can be read, or those of reads and writes. A crash at any moment
// leaves a journal that can be salvaged again.
func Salvage(fsys disk.FS, dir string, o Options, dry bool) (Salvaged, error) {
	s := &salvage{j: Journal{fs: fsys, dir: dir, opt: o.withDefaults()}, dry: dry}
	if err := s.run(); err != nil {
		return s.out, fmt.Errorf("salvage journal: %w", err)
	}
	return s.out, nil
}

type salvage struct {
	j   Journal
	dry bool
	out Salvaged

	next uint64 // offset behind all that was seen
	last int64  // received_at of it
}

// ruin is a segment as far as it can be read.
type ruin struct {
	segmentInfo
	path  string
	bytes []byte
	known bool // its header could be read
	bad   bool // it must be written anew
}

func (s *salvage) run() error {
	ruins, err := s.survey()
	if err != nil || len(ruins) == 0 {
		return err
	}
	s.next, s.last = ruins[0].base, ruins[0].last
	for i, r := range ruins {
		var after *ruin
		if i+1 < len(ruins) {
			after = ruins[i+1]
		}
		frames := s.frames(r, after)
		if after == nil && r.bad {
			// The one behind it makes all of the frames durable ones, as after a shutdown.
			if err := s.write(segmentInfo{log: r.log, seq: r.seq + 1, base: s.next, last: s.last}, nil); err != nil {
				return err
			}
		}
		if !r.bad {
			continue
		}
		if err := s.setAside(r); err != nil {
			return err
		}
		if err := s.write(r.segmentInfo, frames); err != nil {
			return err
		}
	}
	return nil
}

// survey reads the headers. Segments whose files or headers are missing get what their neighbours tell.
func (s *salvage) survey() ([]*ruin, error) {
	seqs, err := s.j.numbers()
	if err != nil || len(seqs) == 0 {
		return nil, err
	}
	var out []*ruin
	var log *id
	for seq := seqs[0]; seq <= seqs[len(seqs)-1]; seq++ {
		r := &ruin{path: segmentPath(s.j.dir, seq), segmentInfo: segmentInfo{seq: seq}, bad: true}
		out = append(out, r)
		if r.bytes, err = s.content(r.path); err != nil {
			return nil, err
		}
		info, err := mendInfo(r.path, r.bytes)
		if v := (*VersionError)(nil); errors.As(err, &v) {
			return nil, err
		}
		if err == nil && info.seq == seq && (log == nil || *log == info.log) {
			_, damage := decodeSegment(r.path, r.bytes)
			r.segmentInfo, r.known, r.bad = info, true, damage != nil
			log = &info.log
			if damage != nil {
				s.out.Mended = append(s.out.Mended, DamageError{Path: r.path, Reason: "one bit of the segment header was flipped"})
			}
		}
	}
	if log == nil {
		return nil, damaged(out[0].path, 0, "no segment's header can be read, so that nothing tells which log this is")
	}
	for _, r := range out {
		r.log = *log
	}
	if first := out[0]; !first.known {
		first.base = s.firstOffset(first, out)
	}
	return out, nil
}

// firstOffset is where a journal begins whose first header is lost: where that cannot be told, before all that may have been there.
func (s *salvage) firstOffset(first *ruin, all []*ruin) uint64 {
	if first.seq == 1 {
		return 0
	}
	if pos, seed, ok := anyFrame(first.bytes); ok {
		if m, ok := mendFrame(first.bytes[pos:], seed, pos); ok && pos == segmentHeader {
			return m.offset
		} else if ok {
			return m.offset - min(m.offset, reserve)
		}
	}
	for _, r := range all {
		if r.known {
			return r.base
		}
	}
	return 0
}

// numbers lists the segments' numbers in order.
func (j *Journal) numbers() ([]uint64, error) {
	entries, err := j.fs.ReadDir(j.dir)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, e := range entries { // sorted, and the digits are as many
		if seq, ok := segmentSeq(e.Name()); ok {
			out = append(out, seq)
		}
	}
	return out, nil
}

const unreadable = 4 << 10 // how much is given up where the disk does not give a part

// content reads a file; what the disk does not give is zeros. A missing file is empty.
func (s *salvage) content(path string) (out []byte, err error) {
	file, err := s.j.fs.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	out = make([]byte, stat.Size())
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, stat.Size()), out); err == nil {
		return out, nil
	}
	for at := 0; at < len(out); at += unreadable {
		part := out[at:min(len(out), at+unreadable)]
		if _, err := file.ReadAt(part, int64(at)); err != nil && !errors.Is(err, io.EOF) {
			clear(part)
		}
	}
	return out, nil
}

// frames reads what is left of a segment and puts a note wherever something is lost. It decides whether the segment is bad.
func (s *salvage) frames(r, after *ruin) []mended {
	if r.known && r.base > s.next {
		s.next = r.base // the note stands at the end of the segment before
	}
	r.base, r.last = s.next, s.last
	var frames []mended
	seed := newSegment(s.j.dir, r.segmentInfo).seed
	pos := int64(segmentHeader)
	if !r.known {
		_, seed, _ = anyFrame(r.bytes)
	}
	for pos < int64(len(r.bytes)) {
		m, ok := mendFrame(r.bytes[pos:], seed, pos)
		if ok && m.offset == s.next && m.received >= s.last {
			if m.bit >= 0 {
				if after == nil && s.torn(r, seed, pos) {
					return frames
				}
				r.bad = true
				s.out.Mended = append(s.out.Mended, DamageError{Path: r.path, Byte: pos + m.bit/8, Reason: "one bit was flipped"})
			}
			frames = s.take(frames, m)
			pos += m.size()
			continue
		}
		at, m := s.find(r.bytes, seed, pos)
		if at < 0 {
			break
		}
		r.bad = true
		frames = s.lose(frames, r, pos, at-pos, m.offset, m.received)
		frames = s.take(frames, m)
		pos = at + m.size()
	}
	return s.end(r, after, frames, seed, pos)
}

func (s *salvage) take(frames []mended, m mended) []mended {
	s.next, s.last = m.offset+uint64(m.count), m.received
	return append(frames, m)
}

// torn reports whether the end of the last segment, from a position on, is a write that was cut short: [Open] cuts it away.
func (s *salvage) torn(r *ruin, seed uint32, pos int64) bool {
	seg := newSegment(s.j.dir, r.segmentInfo)
	seg.seed = seed
	sc := &scanner{pos: pos, next: s.next, last: s.last}
	return tornError{&DamageError{Path: r.path, Byte: pos}}.judge(bytes.NewReader(r.bytes), seg, int64(len(r.bytes)), sc) == nil
}

// find looks for the next whole frame behind a position.
func (s *salvage) find(b []byte, seed uint32, pos int64) (at int64, m mended) {
	mark := binary.LittleEndian.AppendUint32(nil, frameMark)
	for at = pos + 1; at < int64(len(b)); at++ {
		i := bytes.Index(b[at:], mark)
		if i < 0 {
			break
		}
		at += int64(i)
		m, ok := mendFrame(b[at:], seed, at)
		if ok && m.bit < 0 && m.offset >= s.next && m.received >= s.last {
			return at, m
		}
	}
	return -1, mended{}
}

// end sees to what a segment should hold behind its last frame.
func (s *salvage) end(r, after *ruin, frames []mended, seed uint32, pos int64) []mended {
	rest := int64(len(r.bytes)) - pos
	if after == nil {
		if rest <= 0 && r.known || rest > 0 && r.known && s.torn(r, seed, pos) {
			return frames
		}
		r.bad = true
		to := s.next + reserve
		if m, reason := headerAt(r.bytes, seed, pos); reason == "" && m.offset == s.next && rest < frameHeader+int64(m.length)+1 {
			to = m.offset + uint64(m.count)
		}
		return s.lose(frames, r, pos, rest, to, max(s.last, s.j.opt.Now().UnixMicro()))
	}
	to, received := s.next, s.last
	if after.known {
		to, received = max(to, after.base), max(received, after.last)
	} else if at, first, ok := anyFrame(after.bytes); ok {
		if m, ok := mendFrame(after.bytes[at:], first, at); ok && at == segmentHeader {
			to = max(to, m.offset)
		}
	}
	if rest > 0 || to > s.next {
		r.bad = true
	}
	if to > s.next {
		frames = s.lose(frames, r, pos, rest, to, received)
	}
	return frames
}

func headerAt(b []byte, seed uint32, pos int64) (header, string) {
	if int64(len(b))-pos < frameHeader {
		return header{}, "too short"
	}
	return parseHeader(b[pos:], seed, pos)
}

// anyFrame finds a frame in a segment whose header is lost, and with it the seed of all of them.
func anyFrame(b []byte) (pos int64, seed uint32, ok bool) {
	mark := binary.LittleEndian.AppendUint32(nil, frameMark)
	for at := segmentHeader; at+frameHeader <= len(b); at++ {
		i := bytes.Index(b[at:], mark)
		if i < 0 || at+i+frameHeader > len(b) {
			break
		}
		at += i
		seed := seedOf(b[at:], int64(at))
		if m, ok := mendFrame(b[at:], seed, int64(at)); ok && m.bit < 0 {
			return int64(at), seed, true
		}
	}
	return 0, 0, false
}

// lose notes that the offsets up to one are lost.
func (s *salvage) lose(frames []mended, r *ruin, pos, n int64, to uint64, received int64) []mended {
	loss := Loss{DamageError: DamageError{Path: r.path, Byte: min(pos, int64(len(r.bytes))), Reason: "nothing can be read here"}, Bytes: max(n, 0), From: s.next, To: to}
	if len(r.bytes) == 0 {
		loss.Reason = "the file is missing"
	}
	s.out.Lost = append(s.out.Lost, loss)
	for s.next < to {
		count := min(to-s.next, math.MaxInt32)
		m := mended{header: header{count: uint32(count), offset: s.next, received: received}, bit: -1}
		m.payload = fmt.Appendf(nil, "lost: %v", loss)
		frames = s.take(frames, m)
	}
	return frames
}

// setAside copies a damaged file to a name of its own.
func (s *salvage) setAside(r *ruin) error {
	if len(r.bytes) == 0 {
		return nil
	}
	name := r.path + ".damaged"
	for n := 2; ; n++ {
		if _, err := s.j.fs.Stat(name); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return err
		}
		name = fmt.Sprintf("%s.damaged%d", r.path, n)
	}
	s.out.Aside = append(s.out.Aside, name)
	if s.dry {
		return nil
	}
	return disk.WriteFile(s.j.fs, name, r.bytes, 0o600)
}

// write puts a segment of frames in the place of what is there.
func (s *salvage) write(info segmentInfo, frames []mended) error {
	if s.dry {
		return nil
	}
	if _, err := io.ReadFull(s.j.opt.Random, info.salt[:]); err != nil {
		return fmt.Errorf("make a salt: %w", err)
	}
	seg := newSegment(s.j.dir, info)
	return disk.Replace(s.j.fs, seg.path, 0o600, func(w io.Writer) error {
		b := info.encode()
		pos := int64(len(b))
		if _, err := w.Write(b); err != nil {
			return err
		}
		for _, m := range frames {
			m.length, m.sum, m.back = uint32(len(m.payload)), crc32.Checksum(m.payload, castagnoli), 0
			b = append(m.appendTo(b[:0], seg.seed, pos), m.payload...)
			if _, err := w.Write(b); err != nil {
				return err
			}
			pos += int64(len(b))
		}
		return nil
	})
}
