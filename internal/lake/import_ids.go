package lake

import (
	"context"
	"encoding/binary"
	"fmt"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
	"firth/internal/lake/window"
)

// sameEvent reports whether two events of one message id are one: they happened on the same day, or nearly at the same time.
func sameEvent(a, b int64) bool {
	return dayOf(a) == dayOf(b) || max(a, b)-min(a, b) <= lateSlack.Microseconds()
}

// idTable finds the events of a step by message id.
type idTable struct {
	ids   []importID
	slots []uint32 // index of the first event of an id, plus one
	next  []uint32 // index of the next one of the same id, plus one
	drop  []uint64 // a bit for each event: it is there already
	days  map[int64]*tsSpan
}

// tsSpan bounds the events of a day.
type tsSpan struct {
	min, max int64
	n        int
}

func newIDTable(ids []importID) *idTable {
	size := 16
	for size < 2*len(ids) {
		size *= 2
	}
	t := &idTable{ids: ids, slots: make([]uint32, size), next: make([]uint32, len(ids)), drop: make([]uint64, len(ids)/64+1), days: map[int64]*tsSpan{}}
	last := make([]uint32, len(ids)) // of each first event: the last one of its id
	for i := range ids {
		slot := t.slot(ids[i].id)
		if first := t.slots[slot]; first != 0 {
			t.next[last[first-1]] = uint32(i) + 1
			last[first-1] = uint32(i)
		} else {
			t.slots[slot], last[i] = uint32(i)+1, uint32(i)
		}
		day := t.days[dayOf(ids[i].ts)]
		if day == nil {
			day = &tsSpan{min: ids[i].ts, max: ids[i].ts}
			t.days[dayOf(ids[i].ts)] = day
		}
		day.min, day.max = min(day.min, ids[i].ts), max(day.max, ids[i].ts)
		day.n++
	}
	return t
}

// slot is where an id is, or would be.
func (t *idTable) slot(id window.ID) uint64 {
	mask := uint64(len(t.slots) - 1)
	at := binary.LittleEndian.Uint64(id[:]) & mask
	for t.slots[at] != 0 && t.ids[t.slots[at]-1].id != id {
		at = (at + 1) & mask
	}
	return at
}

// first is the first event of an id, plus one; 0: there is none.
func (t *idTable) first(id window.ID) uint32 { return t.slots[t.slot(id)] }

func (t *idTable) dropped(i uint32) bool { return t.drop[i>>6]>>(i&63)&1 == 1 }
func (t *idTable) setDropped(i uint32)   { t.drop[i>>6] |= 1 << (i & 63) }

// seen drops the events of an id that the lake has at a time. It reports whether one was not dropped before.
func (t *idTable) seen(first uint32, ts int64) (fresh bool) {
	for i := first; i != 0; i = t.next[i-1] {
		if !t.dropped(i-1) && sameEvent(t.ids[i-1].ts, ts) {
			t.setDropped(i - 1)
			fresh = true
		}
	}
	return fresh
}

// distinct drops those events that an earlier one of the step is, once those are dropped that the lake has.
func (t *idTable) distinct() {
	for i := range t.ids {
		if t.dropped(uint32(i)) {
			continue
		}
		for j := t.next[i]; j != 0; j = t.next[j-1] {
			if sameEvent(t.ids[i].ts, t.ids[j-1].ts) {
				t.setDropped(j - 1)
			}
		}
	}
}

// wanted is how many events may have a row in a file, by its day and the bounds of its times.
func (t *idTable) wanted(f *File) (n int) {
	day, slack := dayOf(f.Day.UnixMicro()), lateSlack.Microseconds()
	for d := day - 1; d <= day+1; d++ {
		s := t.days[d]
		if s != nil && (d == day || s.max >= f.MinTS-slack && s.min <= f.MaxTS+slack) {
			n += s.n
		}
	}
	return n
}

// importFilter knows approximately which message ids files have that were read as a whole: a Bloom filter of bounded size.
type importFilter struct {
	blocks [][8]uint64
	ids    int
	files  map[string]bool // by path
}

// bytesPerFilterID makes one id in some hundreds be looked for in vain.
const bytesPerFilterID = 2

func newImportFilter(bytes int64) *importFilter {
	n := 1
	for int64(n)*128 <= bytes {
		n *= 2
	}
	return &importFilter{blocks: make([][8]uint64, n), files: map[string]bool{}}
}

// room forgets everything where so many more ids would make the filter useless.
func (f *importFilter) room(ids int) bool {
	most := len(f.blocks) * 64 / bytesPerFilterID
	if f.ids+ids > most {
		clear(f.blocks)
		clear(f.files)
		f.ids = 0
	}
	return ids <= most
}

// bits are the block of an id and its bits there.
func (f *importFilter) bits(id *window.ID) (block *[8]uint64, bits uint64) {
	h := binary.LittleEndian.Uint64(id[:])
	return &f.blocks[h&uint64(len(f.blocks)-1)], binary.LittleEndian.Uint64(id[8:])
}

func (f *importFilter) add(id *window.ID) {
	block, bits := f.bits(id)
	for range 6 {
		block[bits&7] |= 1 << (bits >> 3 & 63)
		bits >>= 9
	}
	f.ids++
}

func (f *importFilter) may(id *window.ID) bool {
	block, bits := f.bits(id)
	for range 6 {
		if block[bits&7]>>(bits>>3&63)&1 == 0 {
			return false
		}
		bits >>= 9
	}
	return true
}

// lookIn drops the events of a step that files of the lake have. It reports whether one was not dropped before.
func (im *importing) lookIn(ctx context.Context, t *idTable, files []*File) (fresh bool, err error) {
	suspects := -1 // events that the filter may know; not counted yet
	for _, f := range files {
		n := t.wanted(f)
		if n == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fresh, err
		}
		if im.filter.files[f.Path] {
			if suspects < 0 {
				suspects = im.suspects(t)
			}
			if n = min(n, suspects); n == 0 {
				continue
			}
		}
		if n <= massive {
			may, err := im.mayHold(t, f)
			if err != nil {
				return fresh, err
			}
			if !may {
				continue
			}
		}
		found, err := im.scan(t, f)
		if err != nil {
			return fresh, err
		}
		fresh = fresh || found
	}
	return fresh, nil
}

func (im *importing) suspects(t *idTable) (n int) {
	for i := range t.ids {
		if im.filter.may(&t.ids[i].id) {
			n++
		}
	}
	return n
}

// mayHold asks the Bloom filters of a file for the few events that it may have.
func (im *importing) mayHold(t *idTable, f *File) (bool, error) {
	blooms, ok := im.blooms.get(f.Path)
	if !ok {
		err := withFile(im.l.verifier, im.l.calls, f, func(file *rowfile.File[event.Call]) (err error) {
			blooms, err = file.Blooms(colMessageID)
			return err
		})
		if err != nil {
			return false, err
		}
		im.blooms.put(f.Path, blooms)
	}
	known, day := im.filter.files[f.Path], dayOf(f.Day.UnixMicro())
	for i := range t.ids {
		id := &t.ids[i]
		if d := dayOf(id.ts); d < day-1 || d > day+1 || known && !im.filter.may(&id.id) {
			continue
		}
		for _, b := range blooms {
			if b.MayHoldHash(id.bloom) {
				return true, nil
			}
		}
	}
	return false, nil
}

// scan reads the message ids of a file.
func (im *importing) scan(t *idTable, f *File) (fresh bool, err error) {
	type hit struct {
		row   int64
		first uint32
	}
	var hits []hit
	handle, err := im.l.verifier.open(f)
	if err != nil {
		return false, err
	}
	defer func() {
		if cerr := handle.Close(); err == nil {
			err = cerr
		}
	}()
	in, err := rowfile.OpenInput(im.l.calls, handle, f.Bytes)
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.Path, err)
	}
	remember := !im.filter.files[f.Path] && im.filter.room(int(f.Rows))
	err = in.Each(colMessageID, func(row int64, text []byte, _ int64, _ bool) error {
		id := idOf(text)
		if remember {
			im.filter.add(&id)
		}
		if first := t.first(id); first != 0 {
			hits = append(hits, hit{row, first})
		}
		return nil
	})
	if err == nil && remember {
		im.filter.files[f.Path] = true
	}
	if err == nil && len(hits) > 0 {
		err = in.Each("ts", func(row int64, _ []byte, ts int64, _ bool) error {
			if len(hits) > 0 && hits[0].row == row {
				fresh = t.seen(hits[0].first, ts) || fresh
				hits = hits[1:]
			}
			return nil
		})
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.Path, err)
	}
	return fresh, nil
}
