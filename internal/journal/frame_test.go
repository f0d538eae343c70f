package journal

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"testing"
)

// FuzzFrame reads arbitrary bytes as frames: whatever is given out has the right checksum and encodes to the same bytes, and
// nothing is read behind a bad frame.
func FuzzFrame(f *testing.F) {
	const seed = 0x12345678
	one := func(pos int64, h header, payload string) []byte {
		h.length, h.sum = uint32(len(payload)), crc32.Checksum([]byte(payload), castagnoli)
		return append(h.appendTo(nil, seed, pos), payload...)
	}
	first := one(segmentHeader, header{count: 1}, "hello")
	second := one(segmentHeader+int64(len(first)), header{count: 3, offset: 1, back: uint32(len(first)), received: 7}, "")
	f.Add(first)
	f.Add(append(bytes.Clone(first), second...))
	f.Add(first[:frameHeader+2])
	f.Add(one(segmentHeader, header{count: 0}, "no offset"))
	f.Add(one(segmentHeader, header{count: 1, back: 1}, "a group before the segment"))
	f.Add(one(segmentHeader, header{count: 1, offset: 1 << 63}, "a hole"))
	f.Add(one(segmentHeader+1, header{count: 1}, "moved"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file := append(make([]byte, segmentHeader), b...)
		seg := &segment{path: "x", seed: seed}
		sc := seg.scan(bytes.NewReader(file), int64(len(file)))
		for {
			at, before := sc.pos, sc.next
			frame, err := sc.frame()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				if damage := (*DamageError)(nil); !errors.As(err, &damage) || damage.Byte != at || sc.pos != at {
					t.Fatalf("at byte %d: %v", at, err)
				}
				return
			}
			h := header{
				length: uint32(len(frame.Payload)), sum: crc32.Checksum(frame.Payload, castagnoli), count: uint32(frame.Count),
				back: uint32(at - sc.group), offset: frame.Offset, received: frame.ReceivedAt,
			}
			if again := append(h.appendTo(nil, seed, at), frame.Payload...); !bytes.Equal(again, file[at:sc.pos]) || frame.Offset != before {
				t.Fatalf("at byte %d: %+v", at, h)
			}
		}
	})
}
