package duckdb

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arena is memory outside of Go's heap for the texts of one chunk: the engine reads them by pointer, which it must not do in
// memory that Go looks after. Blocks are used again for the next chunk.
type arena struct {
	blocks [][]byte
	at     int // block in use
	used   int // of it
}

const (
	arenaBlock = 1 << 20
	arenaKeep  = 8 << 20 // kept between loads
)

// keep copies the text and returns where it stands, until reset.
func (a *arena) keep(text string) (uintptr, error) {
	for a.at < len(a.blocks) && len(a.blocks[a.at])-a.used < len(text) {
		a.at, a.used = a.at+1, 0
	}
	if a.at == len(a.blocks) {
		block, err := unix.Mmap(-1, 0, max(arenaBlock, len(text)), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		if err != nil {
			return 0, fmt.Errorf("memory for a text of %d bytes: %w", len(text), err)
		}
		a.blocks = append(a.blocks, block)
	}
	to := a.blocks[a.at][a.used : a.used+len(text)]
	copy(to, text)
	a.used += len(text)
	return uintptr(unsafe.Pointer(unsafe.SliceData(to))), nil
}

// reset gives all texts up.
func (a *arena) reset() { a.at, a.used = 0, 0 }

// trim gives memory beyond a bound back; 0 gives back all. No text may be in use.
func (a *arena) trim(keep int) error {
	a.reset()
	held := 0
	for i, b := range a.blocks {
		if held += len(b); held <= keep {
			continue
		}
		for _, b := range a.blocks[i:] {
			if err := unix.Munmap(b); err != nil {
				return fmt.Errorf("give memory of texts back: %w", err)
			}
		}
		clear(a.blocks[i:])
		a.blocks = a.blocks[:i]
		break
	}
	return nil
}
