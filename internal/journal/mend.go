package journal

import (
	"hash/crc32"
)

// flipped finds the one bit of b that, flipped back, makes the checksum right: got is the CRC32C of b as it is, want the one it should
// have. The polynomial tells any single flipped bit of up to 2^31 from every other, so there is at most one.
func flipped(b []byte, got, want uint32) (bit int64, ok bool) {
	var back [256]byte // the entry of the table by its highest byte
	for i, v := range castagnoli {
		back[v>>24] = byte(i)
	}
	// The checksums of two texts that differ in one bit differ by the register that this bit leaves, stepped once for each byte
	// behind it. So it is stepped back from the end, byte by byte.
	for at, r := len(b)-1, got^want; at >= 0; at-- {
		for k := range 8 {
			if r == castagnoli[1<<k] {
				return int64(at)*8 + int64(k), true
			}
		}
		i := back[r>>24]
		r = (r^castagnoli[i])<<8 | uint32(i)
	}
	return 0, false
}

// mended is a frame as it was written, from bytes in which at most one bit is flipped.
type mended struct {
	header
	payload []byte // own memory where it was mended
	bit     int64  // counted from the start of the frame; -1: all was right
}

func (m *mended) size() int64 { return frameHeader + int64(len(m.payload)) }

// mendFrame reads the frame that b begins with.
func mendFrame(b []byte, seed uint32, pos int64) (m mended, ok bool) {
	if len(b) < frameHeader {
		return m, false
	}
	h, reason := parseHeader(b, seed, pos)
	m = mended{header: h, bit: -1}
	if reason != "" {
		own := append([]byte(nil), b[:frameHeader]...)
		for bit := int64(0); bit < frameHeader*8 && reason != ""; bit++ {
			own[bit/8] ^= 1 << (bit % 8)
			m.header, reason = parseHeader(own, seed, pos)
			own[bit/8] ^= 1 << (bit % 8)
			m.bit = bit
		}
		if reason != "" {
			return m, false
		}
	}
	if int64(m.length) > int64(len(b)-frameHeader) {
		return m, false
	}
	m.payload = b[frameHeader : frameHeader+int(m.length)]
	got := crc32.Checksum(m.payload, castagnoli)
	if got == m.sum {
		return m, true
	}
	bit, ok := flipped(m.payload, got, m.sum)
	if !ok || m.bit >= 0 {
		return m, false
	}
	m.payload = append([]byte(nil), m.payload...)
	m.payload[bit/8] ^= 1 << (bit % 8)
	m.bit = frameHeader*8 + bit
	return m, true
}

// mendInfo reads a segment's header from bytes in which at most one bit is flipped.
func mendInfo(path string, b []byte) (info segmentInfo, err error) {
	info, err = decodeSegment(path, b)
	if err == nil || len(b) < segmentHeader {
		return info, err
	}
	own := append([]byte(nil), b[:segmentHeader]...)
	for bit := range segmentHeader * 8 {
		own[bit/8] ^= 1 << (bit % 8)
		if info, again := decodeSegment(path, own); again == nil {
			return info, nil
		}
		own[bit/8] ^= 1 << (bit % 8)
	}
	return info, err
}

// seedOf works out, from the header of a frame at a position, the seed of its segment, whose header is lost.
func seedOf(b []byte, pos int64) uint32 {
	var back [256]byte
	for i, v := range castagnoli {
		back[v>>24] = byte(i)
	}
	r := ^(uint32(b[4]) | uint32(b[5])<<8 | uint32(b[6])<<16 | uint32(b[7])<<24)
	for at := frameHeader - 1; at >= 8; at-- {
		i := back[r>>24]
		r = (r^castagnoli[i])<<8 | uint32(i^b[at])
	}
	return ^r ^ uint32(pos)
}
