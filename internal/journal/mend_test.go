package journal

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

func frameBytes(h header, payload []byte, seed uint32, pos int64) []byte {
	h.length, h.sum = uint32(len(payload)), crc32.Checksum(payload, castagnoli)
	return append(h.appendTo(nil, seed, pos), payload...)
}

// TestMendFrame flips every bit of a frame, one at a time: each is found and put right. Two flipped bits never are.
func TestMendFrame(t *testing.T) {
	const seed, pos = 0xdeadbeef, 4711
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 7, 300} {
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = byte(r.Uint32())
		}
		want := header{count: 3, back: 17, offset: 99, received: 1_700_000_000_000_000}
		good := frameBytes(want, payload, seed, pos)
		for bit := -1; bit < 8*len(good); bit++ {
			bad := bytes.Clone(good)
			if bit >= 0 {
				bad[bit/8] ^= 1 << (bit % 8)
			}
			m, ok := mendFrame(append(bad, "what follows"...), seed, pos)
			if !ok || m.bit != int64(bit) || !bytes.Equal(m.payload, payload) || m.offset != 99 || m.count != 3 || m.received != want.received {
				t.Fatalf("%d bytes, bit %d: %+v, %t", n, bit, m, ok)
			}
			if bit < 0 {
				continue
			}
			other := (bit + 1 + r.IntN(8*len(good)-1)) % (8 * len(good))
			bad[other/8] ^= 1 << (other % 8)
			if m, ok := mendFrame(bad, seed, pos); ok && !bytes.Equal(frameBytes(m.header, m.payload, seed, pos), good) {
				t.Fatalf("%d bytes, bits %d and %d: taken for %+v", n, bit, other, m)
			}
		}
	}
}

func TestSeedOf(t *testing.T) {
	for seed := uint32(1); seed < 1<<31; seed = seed*7 + 3 {
		b := frameBytes(header{count: 1, offset: uint64(seed)}, []byte("x"), seed, int64(seed>>3))
		if got := seedOf(b, int64(seed>>3)); got != seed {
			t.Fatalf("%08x, want %08x", got, seed)
		}
	}
}

func TestMendInfo(t *testing.T) {
	want := segmentInfo{log: id{1, 2, 3}, salt: [16]byte{9}, seq: 7, base: 1 << 40, last: 5}
	good := want.encode()
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if got, err := mendInfo("x", bad); err != nil || got != want {
			t.Fatalf("bit %d: %+v, %v", bit, got, err)
		}
	}
}
