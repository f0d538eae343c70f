package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Frame is one append as it is read back.
type Frame struct {
	Offset     uint64 // of its first item
	Count      int    // it takes up the offsets Offset to Offset+Count-1
	ReceivedAt int64  // Unix microseconds; never less than that of a frame before it
	Payload    []byte // valid until the next frame is asked for
}

// chunk is how much a scanner reads at once.
const chunk = 256 << 10

// scanner walks the frames of one segment and trusts nothing that it reads.
type scanner struct {
	file  io.ReaderAt
	path  string
	seed  uint32
	pos   int64  // of the next frame
	limit int64  // nothing is read at or beyond it
	next  uint64 // the offset that the next frame must have
	last  int64  // the least received_at that the next frame may have
	group int64  // where the group of the last frame begins

	buf   []byte // the file from start on
	start int64
}

// scan begins behind the header of a segment.
func (s *segment) scan(file io.ReaderAt, limit int64) *scanner {
	return &scanner{
		file: file, path: s.path, seed: s.seed,
		pos: segmentHeader, limit: limit,
		next: s.base, last: s.last, group: segmentHeader,
	}
}

// tornError is damage within the frames: a write cut short by a power loss leaves that as well, and one that was undone
// because the disk was full, or the loss of the file's last size, may leave frames of its own in the middle of the next.
type tornError struct{ *DamageError }

func (e tornError) Unwrap() error { return e.DamageError }

func (s *scanner) torn(format string, args ...any) error {
	return tornError{&DamageError{Path: s.path, Byte: s.pos, Reason: fmt.Sprintf(format, args...)}}
}

// frame reads the next frame. The error is io.EOF at the limit, a [*DamageError] (perhaps in a tornError) where no valid
// frame stands, or that of a failed read; the scanner then stays where it is.
func (s *scanner) frame() (Frame, error) {
	if s.pos == s.limit {
		return Frame{}, io.EOF
	}
	b, err := s.bytes(frameHeader)
	if err != nil {
		return Frame{}, err
	}
	h, reason := parseHeader(b, s.seed, s.pos)
	if reason != "" {
		return Frame{}, s.torn("%s", reason)
	}
	if h.offset != s.next {
		return Frame{}, s.torn("offset %d stands where %d should", h.offset, s.next)
	}
	if h.received < s.last {
		return Frame{}, s.torn("the time of receipt goes back from %d to %d", s.last, h.received)
	}
	b, err = s.bytes(frameHeader + int(h.length))
	if err != nil {
		return Frame{}, err
	}
	payload := b[frameHeader:]
	if got := crc32.Checksum(payload, castagnoli); got != h.sum {
		return Frame{}, s.torn("the checksum of the payload is %08x, not %08x", got, h.sum)
	}
	s.group = s.pos - int64(h.back)
	s.pos += int64(len(b))
	s.next, s.last = h.offset+uint64(h.count), h.received
	return Frame{Offset: h.offset, Count: int(h.count), ReceivedAt: h.received, Payload: payload}, nil
}

// bytes gives the next n bytes of the file without moving on.
func (s *scanner) bytes(n int) ([]byte, error) {
	if int64(n) > s.limit-s.pos {
		return nil, s.torn("a frame of at least %d bytes does not fit into the %d that are left", n, s.limit-s.pos)
	}
	if have := s.start + int64(len(s.buf)) - s.pos; s.pos < s.start || have < int64(n) {
		size := int(min(int64(max(n, chunk)), s.limit-s.pos))
		if cap(s.buf) < size || cap(s.buf) > 4*max(size, chunk) {
			s.buf = make([]byte, 0, max(size, min(2*cap(s.buf), chunk)))
		}
		got, err := s.file.ReadAt(s.buf[:size], s.pos)
		s.buf, s.start = s.buf[:got], s.pos
		switch {
		case got >= n:
		case err == nil || errors.Is(err, io.EOF):
			return nil, damaged(s.path, s.pos+int64(got), "the file ends here, before its frames do")
		default:
			return nil, fmt.Errorf("read journal segment %s at byte %d: %w", s.path, s.pos, err)
		}
	}
	at := int(s.pos - s.start)
	return s.buf[at : at+n : at+n], nil
}
