package lake

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"unsafe"

	"github.com/klauspost/compress/s2"

	"firth/internal/event"
)

// callTypes number the types of calls within runs.
var callTypes = [...]string{"track", "identify", "page", "screen", "group", "alias"}

// A call stands in a run as a head of fixed length and its texts one behind the other: event, message id, user id, anonymous id,
// payload, and those of properties, context and integrations that are no part of the payload.
const (
	headTS = 8 * iota
	headReceived
	headSent
	headOriginal
	headOffset
	headLengths
)

// The lengths within the head. Properties and context have a place in the payload too, absent where they stand apart.
const (
	lenEvent = iota
	lenID
	lenUser
	lenAnonymous
	lenPayload
	lenProperties
	lenContext
	lenIntegrations
	placeProperties
	placeContext
	lengths

	headType  = headLengths + 4*lengths
	headBytes = headType + 1

	apart = 1<<32 - 1
)

// appendCallRecord appends a call.
func appendCallRecord(dst []byte, c *event.Call) []byte {
	le := binary.LittleEndian
	for _, v := range [...]int64{c.TS, c.ReceivedAt, c.SentAt, c.OriginalTimestamp, int64(c.Offset)} {
		dst = le.AppendUint64(dst, uint64(v))
	}
	properties, context := placeOf(c.Payload, c.Properties), placeOf(c.Payload, c.Context)
	for _, n := range [...]int{len(c.Event), len(c.MessageID), len(c.UserID), len(c.AnonymousID), len(c.Payload), len(c.Properties), len(c.Context), len(c.Integrations)} {
		dst = le.AppendUint32(dst, uint32(n))
	}
	dst = le.AppendUint32(le.AppendUint32(dst, properties), context)
	kind := slices.Index(callTypes[:], c.Type)
	dst = append(dst, byte(kind))
	dst = append(append(append(append(dst, c.Event...), c.MessageID...), c.UserID...), c.AnonymousID...)
	dst = append(dst, c.Payload...)
	if properties == apart {
		dst = append(dst, c.Properties...)
	}
	if context == apart {
		dst = append(dst, c.Context...)
	}
	return append(dst, c.Integrations...)
}

// placeOf is where part lies within whole, apart when it does not: both are slices of one array then, which their capacities tell.
func placeOf(whole, part []byte) uint32 {
	at := cap(whole) - cap(part)
	if len(part) == 0 || at < 0 || at+len(part) > len(whole) || &whole[at] != &part[0] {
		return apart
	}
	return uint32(at)
}

// record is a call in a run.
type record []byte

func (r record) number(at int) int64 { return int64(binary.LittleEndian.Uint64(r[at:])) }
func (r record) length(i int) uint32 { return binary.LittleEndian.Uint32(r[headLengths+4*i:]) }
func (r record) ts() int64           { return r.number(headTS) }
func (r record) offset() uint64      { return uint64(r.number(headOffset)) }
func (r record) event() []byte       { return r[headBytes : headBytes+r.length(lenEvent)] }
func (r record) kind() int           { return int(r[headType]) }

// size is how many bytes stand behind a head.
func (r record) size() int {
	n := 0
	for i := lenEvent; i <= lenIntegrations; i++ {
		if i == lenProperties && r.length(placeProperties) != apart || i == lenContext && r.length(placeContext) != apart {
			continue
		}
		n += int(r.length(i))
	}
	return n
}

// call gives the call, whose texts are those of the record: it is good for as long as the record is.
func (r record) call(log string, c *event.Call) {
	*c = event.Call{
		Type: callTypes[r.kind()], TS: r.ts(), ReceivedAt: r.number(headReceived), SentAt: r.number(headSent),
		OriginalTimestamp: r.number(headOriginal), Log: log, Offset: r.offset(),
	}
	at := headBytes
	next := func(i int) []byte {
		n := int(r.length(i))
		at += n
		if n == 0 {
			return nil
		}
		return r[at-n : at : at]
	}
	c.Event, c.MessageID, c.UserID, c.AnonymousID = textOf(next(lenEvent)), textOf(next(lenID)), textOf(next(lenUser)), textOf(next(lenAnonymous))
	c.Payload = next(lenPayload)
	part := func(length, place int) []byte {
		if p := r.length(place); p != apart {
			return c.Payload[p : p+r.length(length)]
		}
		return next(length)
	}
	c.Properties = part(lenProperties, placeProperties)
	c.Context = part(lenContext, placeContext)
	c.Integrations = next(lenIntegrations)
}

// textOf is a text without a copy of its bytes, which stay as they are for as long as the text is used.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// importRun is a sorted part of a step: in memory, or in a file without a name once its memory is given back.
type importRun struct {
	data []byte
	keys []runKey
	most int

	events map[string]uint32
	file   *os.File
	size   int64
}

type runKey struct {
	day    int64
	ts     int64
	offset uint64
	event  uint32 // number, and place in their order once sorted
	at     uint32
}

func newImportRun(most int) *importRun {
	return &importRun{data: make([]byte, 0, most), most: most, events: map[string]uint32{}}
}

// full reports whether a call of so many bytes has to go into another run.
func (r *importRun) full(bytes int) bool {
	return len(r.keys) > 0 && len(r.data)+bytes > r.most
}

func (r *importRun) add(c *event.Call) {
	n, ok := r.events[c.Event]
	if !ok {
		n = uint32(len(r.events))
		r.events[c.Event] = n
	}
	r.keys = append(r.keys, runKey{day: dayOf(c.TS), ts: c.TS, offset: c.Offset, event: n, at: uint32(len(r.data))})
	r.data = appendCallRecord(r.data, c)
}

// sort brings the calls into the order of files: day, event, ts, offset.
func (r *importRun) sort() {
	place := make([]uint32, len(r.events))
	for i, name := range slices.Sorted(maps.Keys(r.events)) {
		place[r.events[name]] = uint32(i)
	}
	for i := range r.keys {
		r.keys[i].event = place[r.keys[i].event]
	}
	slices.SortFunc(r.keys, func(a, b runKey) int {
		return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.event, b.event), cmp.Compare(a.ts, b.ts), cmp.Compare(a.offset, b.offset))
	})
}

// at is the record of a key.
func (r *importRun) at(k runKey) record {
	head := record(r.data[k.at:])
	return head[:headBytes+head.size()]
}

func (r *importRun) reset() {
	r.data, r.keys = r.data[:0], r.keys[:0]
	clear(r.events)
	if cap(r.data) > 2*r.most { // one call was huge
		r.data = make([]byte, 0, r.most)
	}
}

// importBlock is what is packed at once.
const importBlock = 256 << 10

// spill writes a sorted run to a file that has no name, so that nothing is left of it after a crash.
func (r *importRun) spill(temp string) (_ *importRun, err error) {
	f, err := os.CreateTemp(temp, "firth-import-*")
	if err != nil {
		return nil, fmt.Errorf("spill: %w", err)
	}
	out := &importRun{file: f}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("spill: %w", err), f.Close())
	}
	w := s2.NewWriter(f, s2.WriterConcurrency(1), s2.WriterBlockSize(importBlock))
	for _, k := range r.keys {
		if _, err := w.Write(r.at(k)); err != nil {
			return nil, errors.Join(fmt.Errorf("spill: %w", err), f.Close())
		}
	}
	if err := w.Close(); err != nil {
		return nil, errors.Join(fmt.Errorf("spill: %w", err), f.Close())
	}
	if out.size, err = f.Seek(0, io.SeekCurrent); err != nil {
		return nil, errors.Join(fmt.Errorf("spill: %w", err), f.Close())
	}
	return out, nil
}

func (r *importRun) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// runCursor reads a run in its order. It may be read as often as one likes.
type runCursor struct {
	run  *importRun
	next int
	in   *s2.Reader
	buf  []byte
	head record // the present call
	day  int64
}

func (r *importRun) cursor() *runCursor {
	c := &runCursor{run: r}
	if r.file != nil {
		c.in = s2.NewReader(io.NewSectionReader(r.file, 0, r.size), s2.ReaderMaxBlockSize(importBlock))
	}
	return c
}

// step goes to the next call; false at the end.
func (c *runCursor) step() (bool, error) {
	if c.in == nil {
		if c.next == len(c.run.keys) {
			return false, nil
		}
		c.head = c.run.at(c.run.keys[c.next])
		c.day = c.run.keys[c.next].day
		c.next++
		return true, nil
	}
	c.buf = slices.Grow(c.buf[:0], headBytes)[:headBytes]
	if _, err := io.ReadFull(c.in, c.buf); err != nil {
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		return false, fmt.Errorf("read back what was spilled: %w", err)
	}
	n := headBytes + record(c.buf).size()
	c.buf = slices.Grow(c.buf, n-headBytes)[:n]
	if _, err := io.ReadFull(c.in, c.buf[headBytes:]); err != nil {
		return false, fmt.Errorf("read back what was spilled: %w", err)
	}
	c.head = c.buf
	c.day = dayOf(c.head.ts())
	return true, nil
}

// compare orders two cursors by their present calls.
func (c *runCursor) compare(o *runCursor) int {
	if d := cmp.Compare(c.day, o.day); d != 0 {
		return d
	}
	if a, b := textOf(c.head.event()), textOf(o.head.event()); a != b {
		return cmp.Compare(a, b)
	}
	return cmp.Or(cmp.Compare(c.head.ts(), o.head.ts()), cmp.Compare(c.head.offset(), o.head.offset()))
}

// mergeRuns hands fn the calls of all runs in order: each is good until fn returns.
func mergeRuns(runs []*importRun, fn func(day int64, r record) error) error {
	var heap []*runCursor
	less := func(i, j int) bool { return heap[i].compare(heap[j]) < 0 }
	down := func(i int) {
		for {
			least := i
			for _, child := range [...]int{2*i + 1, 2*i + 2} {
				if child < len(heap) && less(child, least) {
					least = child
				}
			}
			if least == i {
				return
			}
			heap[i], heap[least] = heap[least], heap[i]
			i = least
		}
	}
	for _, r := range runs {
		c := r.cursor()
		if ok, err := c.step(); err != nil {
			return err
		} else if ok {
			heap = append(heap, c)
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		down(i)
	}
	for len(heap) > 0 {
		top := heap[0]
		if err := fn(top.day, top.head); err != nil {
			return err
		}
		ok, err := top.step()
		if err != nil {
			return err
		}
		if !ok {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		down(0)
	}
	return nil
}
