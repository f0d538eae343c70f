package mongo

import "firth/internal/document"

// maxNames bounds the names that are kept for good: a collection whose field names are data must not fill the memory.
const maxNames = 1 << 16

// arena holds what the documents of one batch point to. reset makes room for the next batch in the same memory. It is not safe for use
// by several goroutines.
type arena struct {
	docs   []document.Value
	fields slab[document.Field]
	items  slab[document.Value]
	bytes  slab[byte]

	names map[string]string
	// seen are the names in the order in which the last document had them: the next one mostly has the same ones, and comparing is
	// cheaper than looking up.
	seen []string
	next int // in seen
}

func newArena() *arena {
	a := &arena{names: map[string]string{}}
	a.fields.per, a.items.per, a.bytes.per = blockBytes/fieldSize, blockBytes/valueSize, blockBytes
	return a
}

// reset forgets the documents, and keeps the names.
func (a *arena) reset() {
	a.docs = a.docs[:0]
	a.fields.reset()
	a.items.reset()
	a.bytes.reset()
}

// name is the one string for a name, wherever it comes again.
func (a *arena) name(b []byte) string {
	i := a.next
	a.next++
	if i < len(a.seen) && a.seen[i] == string(b) {
		return a.seen[i]
	}
	s, ok := a.names[string(b)]
	if !ok {
		s = string(b)
		if len(a.names) < maxNames {
			a.names[s] = s
		}
	}
	switch {
	case i < len(a.seen):
		a.seen[i] = s
	case i == len(a.seen) && i < maxNames:
		a.seen = append(a.seen, s)
	}
	return s
}

// slab hands out pieces of large blocks, which stay where they are until reset.
type slab[T any] struct {
	per    int // elements a block
	blocks [][]T
	at     int // the block that pieces come from
	used   int // of it
}

const (
	// blockBytes is about how large a block is, and keepBlocks how many are kept from batch to batch: enough for batchBytes of small
	// fields. One that was made for a single large piece is not kept, lest a few large documents hold their memory for good.
	blockBytes = 256 << 10
	keepBlocks = 64
)

// take returns n elements with what they held before: the caller sets all of them.
func (s *slab[T]) take(n int) []T {
	for s.at < len(s.blocks) && len(s.blocks[s.at])-s.used < n {
		s.at++
		s.used = 0
	}
	if s.at == len(s.blocks) {
		s.blocks = append(s.blocks, make([]T, max(n, s.per)))
	}
	piece := s.blocks[s.at][s.used : s.used+n : s.used+n]
	s.used += n
	return piece
}

func (s *slab[T]) reset() {
	kept := s.blocks[:0]
	for _, b := range s.blocks {
		if len(kept) < keepBlocks && len(b) <= 4*s.per {
			kept = append(kept, b)
		}
	}
	clear(s.blocks[len(kept):])
	s.blocks, s.at, s.used = kept, 0, 0
}
