package vector

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/cespare/xxhash/v2"
)

// Marks that keep the values of different families apart.
const (
	hashNull = iota + 1
	hashInt
	hashBig // an unsigned integer beyond int64
	hashList
	hashKind // plus the Kind
)

// Hash is a hash of the value that depends on the value alone: not on the chunk, and not on the bits of an integer or float, so that a
// column that was widened hashes as before. Decimals with more or fewer zeros at their end are equal. It is stable over releases:
// digests of what was read are kept with a copy that is to go on.
func (v *Vector) Hash(row int) uint64 {
	if !v.Valid[row] {
		return hashNums(hashNull, 0)
	}
	switch k := v.Type.Kind; k {
	case Null:
		return hashNums(hashNull, 0)
	case Int:
		return hashNums(hashInt, v.Nums[row])
	case Uint:
		if v.Nums[row] < 0 {
			return hashNums(hashBig, v.Nums[row])
		}
		return hashNums(hashInt, v.Nums[row])
	case Float:
		if f := v.Float(row); math.IsNaN(f) {
			return hashNums(hashKind+byte(k), int64(math.Float64bits(math.NaN())))
		}
		return hashNums(hashKind+byte(k), v.Nums[row])
	case Interval:
		s := v.Spans[row]
		return hashNums(hashKind+byte(k), int64(s.Months)<<32|int64(uint32(s.Days))) ^ mix(uint64(s.Micros))
	case List:
		lo, hi := v.ListAt(row)
		h := hashNums(hashList, int64(hi-lo))
		for i := lo; i < hi; i++ {
			h = mix(h) + v.Items.Hash(i)
		}
		return h
	case Decimal:
		return hashBytes(k, trimDecimal(v.Bytes(row)))
	case Text, JSON, Blob, UUID, TimeTZ:
		return hashBytes(k, v.Bytes(row))
	default:
		return hashNums(hashKind+byte(k), v.Nums[row])
	}
}

func hashNums(mark byte, n int64) uint64 {
	var b [9]byte
	b[0] = mark
	binary.LittleEndian.PutUint64(b[1:], uint64(n))
	return xxhash.Sum64(b[:])
}

func hashBytes(k Kind, b []byte) uint64 {
	return mix(xxhash.Sum64(b) + uint64(hashKind+byte(k)))
}

// mix spreads every bit over all others.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// trimDecimal takes off what does not change a decimal: zeros at the end of its fraction and a point behind which nothing is.
func trimDecimal(b []byte) []byte {
	if bytes.IndexByte(b, '.') < 0 {
		return b
	}
	b = bytes.TrimRight(b, "0")
	return bytes.TrimSuffix(b, []byte{'.'})
}
