// Package window remembers which message ids a table has taken in lately, and at which offset of the journal.
//
// It is a cache of what the table itself says: everything in it was committed before it was added, and what is missing
// after a crash is read again from the table. Ids are kept as 128-bit hashes in generations: the youngest is a map in
// memory, the others are sorted files with a Bloom filter in memory (2 bytes an id), so that memory stays small and a hit
// is exact. A generation goes as a whole when its youngest id is older than the span, or when there are too many ids.
//
// A [Window] serves one goroutine.
package window

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"time"

	"firth/internal/disk"
)

// ID is the hash of a message id. It is collision-resistant: ids come from outside.
type ID [16]byte

// Hash returns the ID of a message id.
func Hash(messageID string) ID {
	sum := sha256.Sum256([]byte(messageID))
	return ID(sum[:len(ID{})])
}

// Elsewhere is the offset of an id that came from another log than the window's: no offset of this log equals it.
const Elsewhere = math.MaxUint64

// Always is the start of a window that knows every row of its table.
const Always = math.MinInt64

// maxGeneration bounds the ids of a generation: the map of the youngest stays in memory.
const maxGeneration = 512 << 10

// ErrCorrupt says that a file of the window does not hold what was written to it. Reset and fill the window again.
var ErrCorrupt = errors.New("dedup window is damaged")

// ErrNewer says that a newer version wrote the window.
var ErrNewer = errors.New("dedup window was written by a newer version")

// Options say where a window lives and how far it reaches.
type Options struct {
	FS   disk.FS
	Dir  string // of this window alone
	Log  string // UUID of the journal whose offsets are told apart
	Span time.Duration
	IDs  int // most ids that are kept
}

// Seen is an id with the offset of the row that has it, and when that was received (Unix microseconds).
type Seen struct {
	ID       ID
	Offset   uint64
	Received int64
}

// Window is the dedup window of one table.
type Window struct {
	o       Options
	start   int64
	covered map[string]uint64 // by log: rows below the offset are in, those received before start apart
	sealed  []*generation     // oldest first
	current map[ID]uint64
	oldest  int64 // received_at of the current map's ids
	newest  int64
	reused  *manifestEntry // file whose ids were taken back into current; it goes with the next seal
	dirty   bool           // current holds ids that no file holds
	loading bool           // between Refill and Refilled
	written int            // numbers the files
}

// Open opens a window. Generations beyond the positions that the table itself states are dropped.
func Open(o Options, positions map[string]uint64) (*Window, error) {
	w := &Window{o: o}
	w.blank()
	if err := disk.MakeDir(o.FS, o.Dir, 0o755); err != nil {
		return nil, err
	}
	m, err := readManifest(o.FS, o.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		w.start = unknown
	case errors.Is(err, ErrCorrupt):
		w.start = unknown
	case err != nil:
		return nil, err
	default:
		if err := w.load(m, positions); err != nil {
			return nil, err
		}
	}
	if err := w.sweep(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// unknown is the start of a window that has to be filled from the table.
const unknown = math.MaxInt64

func (w *Window) blank() {
	w.start, w.covered, w.sealed, w.current = Always, map[string]uint64{}, nil, map[ID]uint64{}
	w.oldest, w.newest, w.reused, w.dirty = math.MaxInt64, math.MinInt64, nil, false
}

// load opens the generations of the manifest. A damaged one empties the window: it is filled again.
func (w *Window) load(m *manifest, positions map[string]uint64) error {
	w.start, w.written = m.Start, m.Written
	for log, to := range m.Covered {
		w.covered[log] = min(to, positions[log])
	}
	for _, entry := range m.Generations {
		if entry.EndOffset > positions[entry.Log] {
			w.covered[entry.Log] = min(w.covered[entry.Log], entry.MinOffset)
			continue
		}
		g, err := openGeneration(w.o.FS, filepath.Join(w.o.Dir, entry.File))
		if errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
			err := w.Close()
			w.blank()
			w.start = unknown
			return err
		}
		if err != nil {
			return err
		}
		w.sealed = append(w.sealed, g)
		w.newest = max(w.newest, g.header.maxReceived)
	}
	return w.takeBack()
}

// takeBack loads a small last generation into memory, so that restarts do not leave ever more of them.
func (w *Window) takeBack() error {
	if len(w.sealed) == 0 {
		return nil
	}
	last := w.sealed[len(w.sealed)-1]
	if last.header.log != w.o.Log || last.header.count > uint64(w.generationIDs()/2) {
		return nil
	}
	err := last.each(func(id ID, offset uint64) { w.current[id] = offset })
	if errors.Is(err, ErrCorrupt) {
		w.blank()
		w.start = unknown
		return nil
	}
	if err != nil {
		return err
	}
	w.sealed = w.sealed[:len(w.sealed)-1]
	w.oldest, w.reused = last.header.minReceived, last.entry()
	return last.close()
}

func (w *Window) generationIDs() int { return max(1, min(maxGeneration, w.o.IDs/8)) }

// Complete reports whether the window knows the table's rows of a log up to the position. Where it does not, the rows
// from Covered on are to be read from the table: see Refill.
func (w *Window) Complete(log string, position uint64) bool {
	return w.start != unknown && w.covered[log] >= position
}

// Covered is the offset of a log up to which the window knows the table's rows.
func (w *Window) Covered(log string) uint64 {
	if w.start == unknown {
		return 0
	}
	return w.covered[log]
}

// Empty reports whether nothing is known and the whole span has to be read from the table.
func (w *Window) Empty() bool { return w.start == unknown }

// Start is the time of receipt (Unix microseconds) from which on every committed row is in the window, or Always.
func (w *Window) Start() int64 { return w.start }

// IDs is how many ids the window holds.
func (w *Window) IDs() int64 {
	n := int64(len(w.current))
	for _, g := range w.sealed {
		n += int64(g.header.count)
	}
	return n
}

// Span is how far back from the youngest id the window really reaches: to its start, or to its oldest id when it knows
// the whole table.
func (w *Window) Span() time.Duration {
	oldest := w.oldest
	for _, g := range w.sealed {
		oldest = min(oldest, g.header.minReceived)
	}
	if w.start != Always && w.start != unknown {
		oldest = max(oldest, w.start)
	}
	if w.newest < oldest {
		return 0
	}
	return time.Duration(w.newest-oldest) * time.Microsecond
}

// Find looks for ids. Found[i] is called with the index of each id that is there and the offset of its row, which is
// Elsewhere for a row of another log. An id that stands in several generations is told once.
func (w *Window) Find(ids []ID, found func(i int, offset uint64)) error {
	left := make([]int32, 0, len(ids))
	for i, id := range ids {
		if offset, ok := w.current[id]; ok {
			found(i, offset)
		} else {
			left = append(left, int32(i))
		}
	}
	var maybe []int32
	for _, g := range slices.Backward(w.sealed) {
		maybe = maybe[:0]
		g.filter.each(ids, left, func(i int32) { maybe = append(maybe, i) })
		hits := maybe[:0]
		for _, i := range maybe {
			offset, ok, err := g.find(ids[i])
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			if g.header.log != w.o.Log {
				offset = Elsewhere
			}
			found(int(i), offset)
			hits = append(hits, i)
		}
		left = without(left, hits)
	}
	return nil
}

// without takes the numbers of some out of all; both are in order.
func without(all, some []int32) []int32 {
	if len(some) == 0 {
		return all
	}
	return slices.DeleteFunc(all, func(i int32) bool {
		if len(some) == 0 || some[0] != i {
			return false
		}
		some = some[1:]
		return true
	})
}

// Add takes in rows of the window's log that the table has committed, with the table's new position.
func (w *Window) Add(rows []Seen, position uint64) error {
	for _, r := range rows {
		w.put(r)
	}
	w.covered[w.o.Log] = max(w.covered[w.o.Log], position)
	old := len(w.current) > 0 && w.newest-w.oldest > w.generationSpan()
	if len(w.current) >= w.generationIDs() || old {
		return w.Seal()
	}
	return nil
}

func (w *Window) put(r Seen) {
	if before, ok := w.current[r.ID]; ok && before <= r.Offset {
		return
	}
	w.current[r.ID] = r.Offset
	w.oldest, w.newest = min(w.oldest, r.Received), max(w.newest, r.Received)
	w.dirty = true
}

// Seal writes the ids in memory to a file and lets go of generations that are too old or too many.
func (w *Window) Seal() error {
	if len(w.current) > 0 {
		if err := w.write(w.o.Log, w.current); err != nil {
			return err
		}
		w.current, w.oldest, w.dirty, w.reused = map[ID]uint64{}, math.MaxInt64, false, nil
	}
	if w.loading {
		return nil
	}
	if err := w.expire(); err != nil {
		return err
	}
	if err := w.save(); err != nil {
		return err
	}
	return w.sweep()
}

// write puts ids into a new generation. It is durable, but not yet part of the window on disk.
func (w *Window) write(log string, ids map[ID]uint64) error {
	w.written++
	name := filepath.Join(w.o.Dir, fmt.Sprintf("%08d.ids", w.written))
	if err := writeGeneration(w.o.FS, name, log, ids, w.oldest, w.newest); err != nil {
		return fmt.Errorf("write dedup window: %w", err)
	}
	g, err := openGeneration(w.o.FS, name)
	if err != nil {
		return fmt.Errorf("open dedup window: %w", err)
	}
	w.sealed = append(w.sealed, g)
	return nil
}

// expire takes generations out of the window; sweep removes their files once the manifest no longer names them.
func (w *Window) expire() error {
	for len(w.sealed) > 0 {
		g := w.sealed[0]
		if w.age() <= w.o.Span.Microseconds() && w.IDs() <= int64(w.o.IDs) {
			return nil
		}
		w.start = max(w.start, g.header.maxReceived+1)
		w.sealed = w.sealed[1:]
		if err := g.close(); err != nil {
			return fmt.Errorf("close dedup window: %w", err)
		}
	}
	return nil
}

// age is for how long ids have come in since the oldest generation was sealed, in microseconds of received_at. A clock that was set
// a day forward makes nobody forget what was sent a moment ago: of the time from one generation to the next no more counts
// than two generations usually last. So after a quiet time the window reaches further back than it must.
func (w *Window) age() int64 {
	most := 2 * w.generationSpan()
	last, age := w.sealed[0].header.maxReceived, int64(0)
	for _, g := range w.sealed[1:] {
		age += min(max(g.header.maxReceived-last, 0), most)
		last = max(last, g.header.maxReceived)
	}
	return age + min(max(w.newest-last, 0), most)
}

// generationSpan is how long ids are gathered before they are sealed, in microseconds.
func (w *Window) generationSpan() int64 { return w.o.Span.Microseconds() / 8 }

// Close seals what is in memory, so that the next start has nothing to read, and closes the files.
func (w *Window) Close() error {
	var err error
	if w.start != unknown && !w.loading && w.dirty {
		err = w.Seal()
	}
	for _, g := range w.sealed {
		err = errors.Join(err, g.close())
	}
	w.sealed = nil
	return err
}
