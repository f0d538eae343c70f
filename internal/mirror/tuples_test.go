package mirror

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"

	"firth/internal/vector"
)

// copyOf writes rows of two columns as PostgreSQL does: a bigint, 0 being NULL, and some bytes.
func copyOf(ids []int64, text string) (whole []byte, rows [][]byte) {
	whole = append([]byte(copySignature), 0, 0, 0, 0, 0, 0, 0, 0)
	for _, id := range ids {
		row := []byte{0, 2}
		if id == 0 {
			row = append(row, 0xff, 0xff, 0xff, 0xff)
		} else {
			row = binary.BigEndian.AppendUint64(append(row, 0, 0, 0, 8), uint64(id))
		}
		row = append(binary.BigEndian.AppendUint32(row, uint32(len(text))), text...)
		rows, whole = append(rows, row), append(whole, row...)
	}
	return append(whole, 0xff, 0xff), rows
}

func testTuples() *tuples {
	return &tuples{nulls: make([]int64, 2), cursor: 0, cursorType: vector.Type{Kind: vector.Int, Bits: 64}, window: window{late: &Late{Count: 5}, now: time.Now()}}
}

func TestTuplesAreCountedWhereverTheBytesAreCut(t *testing.T) {
	whole, rows := copyOf([]int64{7, 0, 12, 3}, "some text")
	var want digest
	for _, r := range rows {
		want.add(xxhash.Sum64(r))
	}
	for size := 1; size <= len(whole); size++ {
		tu := testTuples()
		for at := 0; at < len(whole); at += size {
			if _, err := tu.Write(whole[at:min(at+size, len(whole))]); err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
		}
		if err := tu.end(); err != nil {
			t.Fatal(err)
		}
		if tu.digest != want || tu.nulls[0] != 1 || tu.nulls[1] != 0 || tu.window.high.Num != 12 || tu.window.none != 1 {
			t.Fatalf("pieces of %d: %+v", size, tu)
		}
		if d := tu.window.digest(); d.Rows != 2 { // 7 and 12
			t.Fatalf("the window has %d rows", d.Rows)
		}
	}
	for cut := range len(whole) {
		tu := testTuples()
		if _, err := tu.Write(whole[:cut]); err != nil {
			t.Fatal(err)
		}
		if tu.end() == nil {
			t.Fatalf("cut at %d of %d bytes it is whole", cut, len(whole))
		}
	}
}

func FuzzTuples(f *testing.F) {
	whole, _ := copyOf([]int64{7, 0, 12}, "x")
	f.Add(whole, uint8(3))
	f.Add([]byte(copySignature), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		feed := func(size int) (*tuples, error) {
			tu := testTuples()
			for at := 0; at < len(data); at += size {
				if _, err := tu.Write(data[at:min(at+size, len(data))]); err != nil {
					return tu, err
				}
			}
			return tu, tu.end()
		}
		a, errA := feed(max(1, int(size)))
		b, errB := feed(max(1, len(data)))
		if (errA == nil) != (errB == nil) || errA == nil && a.digest != b.digest {
			t.Fatalf("in pieces %+v (%v), at once %+v (%v)", a.digest, errA, b.digest, errB)
		}
		if errA != nil && !errors.Is(errA, errTuples) {
			t.Fatalf("an error of no known kind: %v", errA)
		}
	})
}

func TestPipeCarriesBytesAndErrors(t *testing.T) {
	data := make([]byte, 3*pipeBlock+17)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	for _, failed := range []error{nil, errors.New("cut")} {
		p := newPipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for at := 0; at < len(data); {
				n := min(len(data)-at, 1+rnd.IntN(5000))
				if _, err := p.Write(data[at : at+n]); err != nil {
					t.Error(err)
					return
				}
				at += n
			}
			p.closeWrite(failed)
		}()
		got, err := io.ReadAll(p)
		<-done
		if !errors.Is(err, failed) || failed == nil && !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
	p := newPipe()
	p.closeRead()
	var err error
	for range 20 {
		if _, err = p.Write(data[:pipeBlock]); err != nil {
			break
		}
	}
	if !errors.Is(err, errUnread) {
		t.Errorf("nobody reads, and writing gives %v", err)
	}
}
