package infer

import (
	"math"
	"math/bits"

	"github.com/cespare/xxhash/v2"

	"firth/internal/document"
)

// sketch estimates how many different values there are, to some five in a hundred, in half a kilobyte (HyperLogLog).
type sketch [512]uint8

const sketchBits = 9

func (s *sketch) add(h uint64) {
	i := h >> (64 - sketchBits)
	rank := uint8(bits.LeadingZeros64(h<<sketchBits|1<<(sketchBits-1))) + 1
	s[i] = max(s[i], rank)
}

func (s *sketch) estimate() int64 {
	m := float64(len(s))
	sum, zeros := 0.0, 0
	for _, r := range s {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			zeros++
		}
	}
	e := 0.7213 / (1 + 1.079/m) * m * m / sum
	if e <= 2.5*m && zeros > 0 {
		e = m * math.Log(m/float64(zeros)) // counting the empty ones is better where there are few values
	}
	return int64(e + 0.5)
}

func hashScalar(v *document.Value) uint64 {
	if len(v.Bytes) > 0 {
		return xxhash.Sum64(v.Bytes) ^ uint64(v.Kind)*0x9e3779b97f4a7c15
	}
	var b [9]byte
	b[0] = byte(v.Kind)
	for i := range 8 {
		b[i+1] = byte(v.Num >> (8 * i))
	}
	return xxhash.Sum64(b[:])
}
