package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// A frame is a header of frameHeader bytes and the payload. docs/journal-format.md holds the byte table.
const (
	frameHeader = 40
	frameMark   = 0x314d5246 // "FRM1", little-endian

	// MaxPayload is the largest payload that a frame holds.
	MaxPayload = 64 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is a frame's header.
type header struct {
	length   uint32 // of the payload
	sum      uint32 // CRC32C of the payload
	count    uint32 // offsets that the frame takes up, at least one
	back     uint32 // bytes from the start of the frame's group to the frame
	offset   uint64
	received int64 // Unix microseconds
}

// appendTo encodes the header for a frame at a position of a segment with the seed.
func (h header) appendTo(dst []byte, seed uint32, pos int64) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, frameHeader)...)
	b := dst[at:]
	le := binary.LittleEndian
	le.PutUint32(b[0:], frameMark)
	le.PutUint32(b[8:], h.length)
	le.PutUint32(b[12:], h.sum)
	le.PutUint32(b[16:], h.count)
	le.PutUint32(b[20:], h.back)
	le.PutUint64(b[24:], h.offset)
	le.PutUint64(b[32:], uint64(h.received))
	le.PutUint32(b[4:], headerSum(b, seed, pos))
	return dst
}

// headerSum is the CRC32C of the header behind the sum itself, continued from the checksum of the segment's salt (the seed)
// xor the frame's position. So bytes that merely look like a frame, in a payload or moved from elsewhere, are none.
func headerSum(b []byte, seed uint32, pos int64) uint32 {
	return crc32.Update(seed^uint32(pos), castagnoli, b[8:frameHeader])
}

// parseHeader decodes a header of frameHeader bytes that stands at a position of a segment; reason is empty when it is one.
func parseHeader(b []byte, seed uint32, pos int64) (h header, reason string) {
	le := binary.LittleEndian
	if le.Uint32(b) != frameMark {
		return h, "no frame begins here"
	}
	if got, want := headerSum(b, seed, pos), le.Uint32(b[4:]); got != want {
		return h, fmt.Sprintf("the checksum of the frame header is %08x, not %08x", got, want)
	}
	h = header{
		length:   le.Uint32(b[8:]),
		sum:      le.Uint32(b[12:]),
		count:    le.Uint32(b[16:]),
		back:     le.Uint32(b[20:]),
		offset:   le.Uint64(b[24:]),
		received: int64(le.Uint64(b[32:])),
	}
	switch {
	case h.length > MaxPayload:
		return h, fmt.Sprintf("a frame of %d bytes is longer than any", h.length)
	case h.count == 0:
		return h, "a frame that takes up no offset"
	case int64(h.back) > pos-segmentHeader:
		return h, "a group that begins before the segment"
	case h.offset+uint64(h.count) < h.offset:
		return h, "offsets that run over"
	}
	return h, ""
}
