package rowfile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestFlippedBitInAPageIsFound flips every bit of a packed page: zstd's own check must notice each of them, since other engines
// have no other.
func TestFlippedBitInAPageIsFound(t *testing.T) {
	for _, level := range []Level{Fast, Balanced, Small} {
		c := &codec{level: level}
		text := bytes.Repeat([]byte(`{"plan":"team","rows":17} `), 40)
		packed, err := c.Encode(nil, text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Decode(nil, packed); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("level %d: %q, %v", level, got, err)
		}
		other, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(packed) {
			bad := bytes.Clone(packed)
			bad[bit/8] ^= 1 << (bit % 8)
			if got, err := other.DecodeAll(bad, nil); err == nil && !bytes.Equal(got, text) {
				t.Fatalf("level %d, bit %d: %q without an error", level, bit, got)
			}
		}
		other.Close()
	}
}

// TestLevels writes the same rows at every level; each is read by the same table, and none is larger than the one before it
// by more than a little.
func TestLevels(t *testing.T) {
	table := newRows()
	rows := randomRows(rand.New(rand.NewPCG(9, 9)), 3000)
	before := 0
	for _, level := range []Level{Fast, Balanced, Small} {
		b, _ := write(t, NewWriter(table.At(level)), rows)
		if got := all(t, open(t, table, b), Scan{}, nil); len(got) != len(rows) {
			t.Fatalf("level %d: %d rows", level, len(got))
		}
		if before > 0 && len(b) > before*11/10 {
			t.Errorf("level %d makes %d bytes, the one below it %d", level, len(b), before)
		}
		before = len(b)
	}
}

// BenchmarkCodec packs a page of JSON with and without the checksum.
func BenchmarkCodec(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 5))
	var page bytes.Buffer
	for page.Len() < pageBytes {
		fmt.Fprintf(&page, `{"durationMs":%d,"plan":"team","projectId":"prj_%08x","price":%.2f,"region":"us-east-1"}`, r.IntN(90_000), r.Uint32(), r.Float64())
	}
	for _, sum := range []bool{false, true} {
		b.Run(fmt.Sprintf("sum=%t", sum), func(b *testing.B) {
			e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(sum))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(page.Len()))
			var out []byte
			for b.Loop() {
				out = e.EncodeAll(page.Bytes(), out[:0])
			}
		})
	}
}
