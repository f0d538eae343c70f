package lake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"

	"firth/internal/lake/rowfile"
	"firth/internal/lake/window"
)

// keyed names the columns by which a table's rows are sorted and told apart; "" where it has none.
type keyed struct{ event, ts, id, received, log, offset string }

func keysOf(table string) keyed {
	if table == DeadLetters {
		return keyed{ts: colReceivedAt, received: colReceivedAt, log: colLog, offset: colOffset}
	}
	return keyed{event: "event", ts: "ts", id: colMessageID, received: colReceivedAt, log: colLog, offset: colOffset}
}

// errKeys says that the keys of the inputs do not fit into memory.
var errKeys = errors.New("the keys of the rows do not fit into memory")

// keys are what a merge knows of all rows while it works out their order: rows are numbered through the inputs.
type keys struct {
	first  []int // row of each input
	event  []uint32
	log    []uint32
	ts     []int64
	recv   []int64
	offset []int64
	id     []window.ID
	named  []bool // has an id
}

// readKeys reads the keys of the inputs, workers inputs at a time.
func readKeys(ctx context.Context, of keyed, inputs []*rowfile.Input, limit int64, workers int, thread func(func())) (*keys, error) {
	k := &keys{}
	n := 0
	for _, in := range inputs {
		k.first = append(k.first, n)
		n += int(in.Rows())
	}
	k.ts, k.recv, k.offset, k.log = make([]int64, n), make([]int64, n), make([]int64, n), make([]uint32, n)
	if of.event != "" {
		k.event = make([]uint32, n)
	}
	if of.id != "" {
		k.id, k.named = make([]window.ID, n), make([]bool, n)
	}
	events, logs := newWords(limit), newWords(limit)
	var mu sync.Mutex
	var failed error
	next := 0
	work := func() {
		for {
			mu.Lock()
			i := next
			next++
			stop := failed != nil || ctx.Err() != nil
			mu.Unlock()
			if stop || i >= len(inputs) {
				return
			}
			if err := k.read(of, inputs[i], k.first[i], events, logs); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		}
	}
	var wait sync.WaitGroup
	for range max(1, workers) {
		wait.Go(func() { thread(work) })
	}
	wait.Wait()
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return nil, err
	}
	events.rank(k.event)
	logs.rank(k.log)
	return k, nil
}

func (k *keys) read(of keyed, in *rowfile.Input, first int, events, logs *words) error {
	numbers := func(column string, to []int64) error {
		return in.Each(column, func(row int64, _ []byte, v int64, ok bool) error {
			if !ok {
				v = math.MinInt64 // nulls first
			}
			to[first+int(row)] = v
			return nil
		})
	}
	texts := func(column string, to []uint32, all *words) error {
		last, number := []byte(nil), all.number(nil)
		return in.Each(column, func(row int64, text []byte, _ int64, _ bool) error {
			if string(text) != string(last) {
				last, number = append(last[:0], text...), all.number(text)
			}
			to[first+int(row)] = number
			return nil
		})
	}
	err := errors.Join(numbers(of.ts, k.ts), numbers(of.received, k.recv), numbers(of.offset, k.offset), texts(of.log, k.log, logs), logs.err())
	if of.event != "" {
		err = errors.Join(err, texts(of.event, k.event, events), events.err())
	}
	if of.id != "" {
		err = errors.Join(err, in.Each(of.id, func(row int64, text []byte, _ int64, ok bool) error {
			if ok {
				k.id[first+int(row)], k.named[first+int(row)] = idOf(text), true
			}
			return nil
		}))
	}
	return err
}

// idOf is [window.Hash] without a copy of the text.
func idOf(text []byte) window.ID {
	sum := sha256.Sum256(text)
	return window.ID(sum[:len(window.ID{})])
}

// words numbers the distinct texts of a column. Safe for concurrent use.
type words struct {
	mu    sync.Mutex
	known map[string]uint32
	left  int64
}

func newWords(limit int64) *words { return &words{known: map[string]uint32{"": 0}, left: limit} }

func (w *words) number(text []byte) uint32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, ok := w.known[string(text)]
	if !ok && w.left > 0 {
		n = uint32(len(w.known))
		w.known[string(text)] = n
		w.left -= int64(len(text)) + 64
	}
	return n
}

func (w *words) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left <= 0 {
		return errKeys
	}
	return nil
}

// rank replaces the texts' numbers by their places in the order of texts.
func (w *words) rank(of []uint32) {
	place := make([]uint32, len(w.known))
	for i, text := range slices.Sorted(maps.Keys(w.known)) {
		place[w.known[text]] = uint32(i)
	}
	for i, n := range of {
		of[i] = place[n]
	}
}

// distinct marks the rows that stay: of those with one message id the first of each journal, and of these the one received first.
func (k *keys) distinct() []bool {
	stay := make([]bool, len(k.ts))
	for i := range stay {
		stay[i] = true
	}
	if len(k.id) == 0 {
		return stay
	}
	size := 1
	for size < 2*len(k.ts) {
		size *= 2
	}
	slots := make([]uint32, size) // row + 1
	k.contest(stay, slots, func(a, b uint32) bool { return k.log[a] == k.log[b] },
		func(a, b uint32) int { return cmp.Or(cmp.Compare(k.offset[a], k.offset[b]), cmp.Compare(a, b)) })
	if slices.Max(k.log) == slices.Min(k.log) {
		return stay
	}
	clear(slots)
	k.contest(stay, slots, func(uint32, uint32) bool { return true },
		func(a, b uint32) int {
			return cmp.Or(cmp.Compare(k.recv[a], k.recv[b]), cmp.Compare(k.log[a], k.log[b]))
		})
	return stay
}

// contest lets one row stay of those with one message id that are rivals.
func (k *keys) contest(stay []bool, slots []uint32, rivals func(a, b uint32) bool, compare func(a, b uint32) int) {
	mask := uint64(len(slots) - 1)
	for i := range k.id {
		if !stay[i] || !k.named[i] {
			continue
		}
		row := uint32(i)
		for at := binary.LittleEndian.Uint64(k.id[i][:]) & mask; ; at = (at + 1) & mask {
			if slots[at] == 0 {
				slots[at] = row + 1
				break
			}
			other := slots[at] - 1
			if k.id[other] != k.id[row] || !rivals(row, other) {
				continue
			}
			if compare(row, other) < 0 {
				slots[at], stay[other] = row+1, false
			} else {
				stay[row] = false
			}
			break
		}
	}
}

// order returns the rows that stay, sorted by event, ts and offset.
func (k *keys) order() []rowfile.Ref {
	stay := k.distinct()
	rows := make([]uint32, 0, len(stay))
	for i, yes := range stay {
		if yes {
			rows = append(rows, uint32(i))
		}
	}
	slices.SortFunc(rows, func(a, b uint32) int {
		if k.event != nil && k.event[a] != k.event[b] {
			return cmp.Compare(k.event[a], k.event[b])
		}
		if k.ts[a] != k.ts[b] {
			return cmp.Compare(k.ts[a], k.ts[b])
		}
		return cmp.Or(cmp.Compare(k.offset[a], k.offset[b]), cmp.Compare(k.log[a], k.log[b]), cmp.Compare(a, b))
	})
	out := make([]rowfile.Ref, len(rows))
	for i, row := range rows {
		in, found := slices.BinarySearch(k.first, int(row))
		if !found {
			in--
		}
		out[i] = rowfile.Ref{Input: uint32(in), Row: row - uint32(k.first[in])}
	}
	return out
}
