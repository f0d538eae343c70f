package window

import "encoding/binary"

// filter is a split-block Bloom filter: an id sets one bit in each of the eight words of one 32-byte block, so that a
// look-up costs one line of the processor's cache.
type filter []byte

const (
	filterBlock = 32
	bitsPerID   = 16 // one false guess in a thousand
)

// salts choose the bit of each word; odd, as in the Parquet format's filter.
var salts = [8]uint32{
	0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
}

func newFilter(ids int) filter {
	blocks := max(1, (ids*bitsPerID+filterBlock*8-1)/(filterBlock*8))
	return make(filter, blocks*filterBlock)
}

// place returns the block of an id and the key that picks its bits. Ids are hashes: their bytes are as good as random.
// The sorted files go by the first bytes, so the filter takes others.
func (f filter) place(id ID) ([]byte, uint32) {
	blocks := uint64(len(f) / filterBlock)
	at := (uint64(binary.LittleEndian.Uint32(id[8:])) * blocks) >> 32
	return f[at*filterBlock : (at+1)*filterBlock], binary.LittleEndian.Uint32(id[12:])
}

func (f filter) add(id ID) {
	block, key := f.place(id)
	for i, salt := range salts {
		word := block[4*i:]
		binary.LittleEndian.PutUint32(word, binary.LittleEndian.Uint32(word)|1<<(key*salt>>27))
	}
}

func (f filter) mayHold(id ID) bool {
	block, key := f.place(id)
	for i, salt := range salts {
		if binary.LittleEndian.Uint32(block[4*i:])&(1<<(key*salt>>27)) == 0 {
			return false
		}
	}
	return true
}

// abreast is how many blocks are fetched from memory at a time: one after the other would each wait for the one before.
const abreast = 32

// each calls fn for those of the wanted ids, given by index, that the filter may hold, in their order.
func (f filter) each(ids []ID, wanted []int32, fn func(i int32)) {
	var first [abreast]uint32
	for len(wanted) > 0 {
		n := min(abreast, len(wanted))
		for k, i := range wanted[:n] {
			block, _ := f.place(ids[i])
			first[k] = binary.LittleEndian.Uint32(block)
		}
		for k, i := range wanted[:n] {
			key := binary.LittleEndian.Uint32(ids[i][12:])
			if first[k]&(1<<(key*salts[0]>>27)) != 0 && f.mayHold(ids[i]) {
				fn(i)
			}
		}
		wanted = wanted[n:]
	}
}
