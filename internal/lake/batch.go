package lake

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"firth/internal/event"
)

// batch holds what one flush is to bring into the tables: copies of what the decoder handed out, in the order of offsets.
// It is emptied and used again, so that its memory is bounded by the largest flush.
type batch struct {
	arena  arena
	calls  slab[event.Call]
	dead   slab[event.DeadLetter]
	source map[string][]*event.Call
	letter []*event.DeadLetter
	bytes  int // bodies
	frames int
	to     uint64 // first offset behind the last frame

	ordered    bool // an order of the journal is in it
	suppressed int  // calls and dead letters that are not stored
}

func newBatch() *batch { return &batch{source: map[string][]*event.Call{}} }

func (b *batch) empty() bool { return b.frames == 0 }

func (b *batch) reset() {
	b.arena.reset()
	b.calls.reset()
	b.dead.reset()
	for name, calls := range b.source {
		b.source[name] = calls[:0]
	}
	b.letter = b.letter[:0]
	b.bytes, b.frames, b.ordered, b.suppressed = 0, 0, false, 0
}

// sources lists the sources that have calls, sorted.
func (b *batch) sources() []string {
	var out []string
	for name, calls := range b.source {
		if len(calls) > 0 {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func (b *batch) add(source string, c *event.Call) {
	own := b.calls.next()
	*own = *c
	own.Properties, own.Context, own.Payload = b.arena.keep(c.Properties), b.arena.keep(c.Context), b.arena.keep(c.Payload)
	own.Integrations = b.arena.keep(c.Integrations)
	b.source[source] = append(b.source[source], own)
	b.bytes += len(c.Payload)
}

// addDead keeps a dead letter. What was refused may be any bytes; the column is text.
func (b *batch) addDead(d *event.DeadLetter) {
	own := b.dead.next()
	*own = *d
	if utf8.Valid(d.Payload) {
		own.Payload = b.arena.keep(d.Payload)
	} else {
		own.Payload = bytes.ToValidUTF8(d.Payload, []byte("\uFFFD"))
	}
	b.letter = append(b.letter, own)
	b.bytes += len(d.Payload)
}

// slab hands out rows that keep their places.
type slab[T any] struct {
	chunks [][]T
	used   int
}

const slabRows = 4096

func (s *slab[T]) next() *T {
	chunk := s.used / slabRows
	if chunk == len(s.chunks) {
		s.chunks = append(s.chunks, make([]T, slabRows))
	}
	s.used++
	return &s.chunks[chunk][(s.used-1)%slabRows]
}

// reset takes all rows back. The first chunk is kept for the next flush, more of them only if they were in use.
func (s *slab[T]) reset() {
	used := (s.used + slabRows - 1) / slabRows
	for _, chunk := range s.chunks[:used] {
		clear(chunk) // lets go of what the rows point to
	}
	s.chunks, s.used = s.chunks[:max(used, min(1, len(s.chunks)))], 0
}

// arena copies bytes into large chunks.
type arena struct {
	chunks [][]byte
	used   int // chunks that are full or being filled
	free   []byte
}

const arenaChunk = 1 << 20

func (a *arena) keep(b []byte) []byte {
	if b == nil {
		return nil
	}
	if len(b) > arenaChunk/4 {
		return slices.Clone(b)
	}
	if len(b) > len(a.free) {
		if a.used == len(a.chunks) {
			a.chunks = append(a.chunks, make([]byte, arenaChunk))
		}
		a.free = a.chunks[a.used]
		a.used++
	}
	n := copy(a.free, b)
	out := a.free[:n:n]
	a.free = a.free[n:]
	return out
}

// reset takes all bytes back and gives up the chunks that this flush did not need.
func (a *arena) reset() {
	clear(a.chunks[a.used:])
	a.chunks, a.used, a.free = a.chunks[:a.used], 0, nil
}
