package journal

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// Format is the version of the file format that this package writes. It reads all versions up to this one.
	Format = 1

	segmentMark   = "FIRTHJNL"
	segmentHeader = 80 // bytes
	segmentSuffix = ".seg"
)

// id is a log's UUID.
type id [16]byte

func (u id) String() string {
	s := hex.EncodeToString(u[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// segmentInfo is what a segment's header says.
type segmentInfo struct {
	log  id
	salt [16]byte
	seq  uint64
	base uint64 // offset of the first frame
	last int64  // received_at of the last frame before the segment; Unix microseconds
}

func (s segmentInfo) encode() []byte {
	b := make([]byte, segmentHeader-4, segmentHeader)
	le := binary.LittleEndian
	copy(b, segmentMark)
	le.PutUint32(b[8:], Format)
	le.PutUint32(b[12:], segmentHeader)
	copy(b[16:], s.log[:])
	copy(b[32:], s.salt[:])
	le.PutUint64(b[48:], s.seq)
	le.PutUint64(b[56:], s.base)
	le.PutUint64(b[64:], uint64(s.last))
	return appendSum(b)
}

// appendSum ends a segment header, of this format and of all to come, with the CRC32C of what stands before.
func appendSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeSegment reads a header from the first bytes of a file.
func decodeSegment(path string, b []byte) (segmentInfo, error) {
	le := binary.LittleEndian
	if len(b) < segmentHeader || string(b[:8]) != segmentMark {
		return segmentInfo{}, damaged(path, 0, "this is not the beginning of a journal segment")
	}
	version, size := le.Uint32(b[8:]), le.Uint32(b[12:])
	sized := size >= 20 && int(size) <= len(b)
	if !sized || crc32.Checksum(b[:size-4], castagnoli) != le.Uint32(b[size-4:]) {
		return segmentInfo{}, damaged(path, 0, "the checksum of the segment header does not match")
	}
	if version != Format {
		return segmentInfo{}, &VersionError{Path: path, Version: version}
	}
	if size != segmentHeader {
		return segmentInfo{}, damaged(path, 12, fmt.Sprintf("a segment header of %d bytes", size))
	}
	s := segmentInfo{seq: le.Uint64(b[48:]), base: le.Uint64(b[56:]), last: int64(le.Uint64(b[64:]))}
	copy(s.log[:], b[16:])
	copy(s.salt[:], b[32:])
	return s, nil
}

// segment is one file of the journal. The journal's mu guards size, end and sealed; the rest never changes.
type segment struct {
	segmentInfo
	path   string
	seed   uint32 // of the checksums of its frame headers
	size   int64  // durable bytes, the header among them
	end    uint64 // first offset behind the durable frames
	sealed bool   // nothing more will be written to it
}

// newSegment is a segment without frames.
func newSegment(dir string, info segmentInfo) *segment {
	return &segment{
		segmentInfo: info,
		path:        segmentPath(dir, info.seq),
		seed:        crc32.Checksum(info.salt[:], castagnoli),
		size:        segmentHeader,
		end:         info.base,
	}
}

func segmentPath(dir string, seq uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016d%s", seq, segmentSuffix))
}

// segmentSeq reads the number of a segment from its file name.
func segmentSeq(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	return seq, err == nil && filepath.Base(segmentPath("", seq)) == name
}
