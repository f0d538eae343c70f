package document

import "bytes"

// Arena is the memory that parsed values live in. Reset takes all of them back at once, so that a reader that parses millions of
// documents allocates next to nothing. The zero Arena is ready. It is not safe for use by several goroutines.
type Arena struct {
	fields slab[Field]
	items  slab[Value]
	bytes  slab[byte]
	names  map[string]string
	// What is being read: the fields and items of all objects and arrays that are open.
	openFields []Field
	openItems  []Value
}

const (
	// maxNames and maxNameBytes bound the names that are kept over a Reset: documents may have keys that are data.
	maxNames     = 10_000
	maxNameBytes = 64
)

// Reset takes back the memory of all values that were parsed into the arena.
func (a *Arena) Reset() {
	a.fields.reset()
	a.items.reset()
	a.bytes.reset()
	if len(a.names) >= maxNames {
		a.names = nil
	}
}

// Keep copies bytes into the arena, where they stay until Reset: for a text that [Parse] is to read and that its owner overwrites.
func (a *Arena) Keep(b []byte) []byte { return a.bytes.keep(b) }

// name is a string that lives on its own, the same one for the same name.
func (a *Arena) name(b []byte) string {
	if s, ok := a.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(b) <= maxNameBytes && len(a.names) < maxNames {
		if a.names == nil {
			a.names = map[string]string{}
		}
		a.names[s] = s
	}
	return s
}

// slab hands out pieces of large slices. Pieces stay where they are while it grows.
type slab[T any] struct {
	free []T // what is left of the slice in use
	all  []T // that slice
	used int // of all slices since the last reset
}

const slabSize = 1024

// keep copies values to where they stay.
func (s *slab[T]) keep(from []T) []T {
	out := s.take(len(from))
	copy(out, from)
	return out
}

func (s *slab[T]) take(n int) []T {
	if n > len(s.free) {
		s.all = make([]T, max(slabSize, n, 2*len(s.all)))
		s.free = s.all
	}
	out := s.free[:n:n]
	s.free = s.free[n:]
	s.used += n
	return out
}

// reset forgets what was handed out. The slice that grew last is the largest; one that a single huge document asked for is not kept.
func (s *slab[T]) reset() {
	if len(s.all) > 1<<20 && s.used < len(s.all)/4 {
		s.all = nil
	}
	clear(s.all[:len(s.all)-len(s.free)])
	s.free, s.used = s.all, 0
}

// blank reports whether there is nothing but white space.
func blank(b []byte) bool { return len(bytes.TrimLeft(b, " \t\r\n")) == 0 }
