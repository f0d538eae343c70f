package event

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Decoder turns journaled requests into calls. It keeps its buffers from one request to the next and is not goroutine-safe; its zero
// value is ready.
type Decoder struct {
	c     cursor
	items []item
	cuts  []cut
	extra []span // items of a batch beyond the limit
	env   envelope

	clean   []byte         // the body with U+FFFD in place of invalid text
	invalid map[int][]byte // items that had invalid text: their payload as it came, escaped; -1 is the envelope
	sizes   []int          // of the items as they came; nil unless the body had to be cleaned

	payload, context, integrations, about, scratch []byte

	call Call
	note DeadLetter
	run
}

// run is what one call of Decode works on.
type run struct {
	r          *Request
	body       []byte
	log        string
	first      uint64
	receivedAt int64
	ip         string // the peer's address as it may be filled in; "" for IPv6 and for none
	archived   bool   // the body is a line of an archive
	emit       func(*Call) error
	dead       func(*DeadLetter) error
}

// Decode walks over a journaled request. Item i of a batch has the offset first+i; accepted items go to call, refused ones to dead, in
// order. Items beyond r.MaxBatch go to dead as one letter, a JSON array, at the offset first+r.MaxBatch. A dead letter whose reason
// is [Kept] follows the call that it is about.
//
// It is deterministic: the same request, log, offset and time give the same calls. What call and dead are given is valid until they
// return, except for the strings. An error of theirs ends the walk and is returned.
func (d *Decoder) Decode(r *Request, log string, first uint64, receivedAt int64, call func(*Call) error, dead func(*DeadLetter) error) error {
	d.run = run{r: r, body: r.Body, log: log, first: first, receivedAt: receivedAt, emit: call, dead: dead}
	defer func() { d.run = run{}; d.env.reset(); d.c.reset(nil, false) }()
	d.ip = fillableIP(r)
	if r.Refused != "" {
		return d.letter(r.Refused, 0, r.Body)
	}
	if !d.split(r.Body, false) && !d.splitDirty(r.Body) {
		// The collector has scanned the body; that it cannot be read now is said where a person looks.
		return d.letter(explain(r.Body).Reason, 0, r.Body)
	}
	if err := d.prepareEnvelope(); err != nil {
		return err
	}
	for i := range d.items {
		if err := d.one(i); err != nil {
			return err
		}
	}
	return d.surplus()
}

// split finds the items of the body, their fields, and the envelope; false when it is not a JSON object.
func (d *Decoder) split(body []byte, lenient bool) bool {
	d.items, d.cuts, d.extra, d.invalid, d.sizes = d.items[:0], d.cuts[:0], d.extra[:0], nil, nil
	d.env.reset()
	d.body = body
	d.c.reset(body, lenient)
	if d.r.Type != "" {
		d.item()
	} else {
		d.batch()
	}
	return d.c.end()
}

// batch reads the envelope and its items.
func (d *Decoder) batch() {
	c := &d.c
	c.enter('{')
	for first := true; c.more(first, '}'); first = false {
		quoted, _ := c.name()
		var to *[]byte
		switch string(c.plain(quoted)) {
		case "batch":
			if c.peek() == '[' {
				d.batchItems()
				continue
			}
		case "context":
			to = &d.env.context.raw
		case "integrations":
			to = &d.env.integrations.raw
		case "sentAt":
			to = &d.env.sentAt
		}
		if v := c.value(); to != nil {
			*to = v.of(d.body)
		}
	}
}

func (d *Decoder) batchItems() {
	c := &d.c
	c.enter('[')
	for first := true; c.more(first, ']'); first = false {
		full := d.r.MaxBatch > 0 && len(d.items) >= d.r.MaxBatch
		switch {
		case full:
			d.extra = append(d.extra, c.value())
		case c.peek() == '{':
			d.item()
		default:
			d.items = append(d.items, item{all: c.value(), odd: true})
		}
	}
}

// splitDirty is split for a body with invalid text: the items are those of a cleaned copy, their sizes those of the original.
func (d *Decoder) splitDirty(body []byte) bool {
	if !d.split(body, true) {
		return false
	}
	sizes, invalid := make([]int, len(d.items)), make(map[int][]byte)
	for i := range d.items {
		it := &d.items[i]
		sizes[i] = it.all.size()
		if !it.odd && !isClean(it.all.of(body)) {
			invalid[i] = escape(nil, d.shape(it))
		}
	}
	if shared := d.env.object(); !isClean(shared) {
		d.body = shared
		d.c.reset(shared, true)
		d.item()
		invalid[-1] = escape(nil, d.shape(&d.items[len(d.items)-1]))
	}
	var err error
	d.clean, err = jsontext.AppendFormat(d.clean[:0], body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil || !d.split(d.clean, false) || len(d.items) != len(sizes) {
		return false
	}
	d.sizes, d.invalid = sizes, invalid
	return true
}

func isClean(v []byte) bool { return jsontext.Value(v).IsValid(jsontext.AllowDuplicateNames(true)) }

// one checks item i and delivers it.
func (d *Decoder) one(i int) error {
	it := &d.items[i]
	if it.odd {
		return d.letter(ReasonNotObject, uint64(i), it.all.of(d.body))
	}
	c := &d.call
	*c = Call{ReceivedAt: d.receivedAt, Log: d.log, Offset: d.first + uint64(i)}
	payload := d.shape(it)
	size := it.all.size()
	if d.sizes != nil {
		size = d.sizes[i]
	}
	if d.r.MaxEvent > 0 && size > d.r.MaxEvent {
		return d.letter(ReasonEventTooLarge, uint64(i), payload)
	}
	c.Payload = payload
	if reason := d.check(it, c); reason != "" {
		return d.letter(reason, uint64(i), payload)
	}
	badTime := d.times(it, c)
	if err := d.emit(c); err != nil {
		return err
	}
	if as, ok := d.invalid[i]; ok {
		if err := d.letter(ReasonInvalidUTF8, uint64(i), as); err != nil {
			return err
		}
	}
	if badTime {
		return d.letter(ReasonInvalidTime, uint64(i), payload)
	}
	return nil
}

// surplus delivers the items beyond the limit.
func (d *Decoder) surplus() error {
	if len(d.extra) == 0 {
		return nil
	}
	at := uint64(len(d.items))
	body, extra := d.body, d.extra
	out := []byte{'['}
	for i, s := range extra {
		if i > 0 {
			out = append(out, ',')
		}
		raw := s.of(body)
		if raw[0] != '{' {
			out = append(out, raw...)
			continue
		}
		d.items, d.cuts, d.body = d.items[:0], d.cuts[:0], raw
		d.c.reset(raw, false)
		d.item()
		out = append(out, d.shape(&d.items[0])...)
	}
	return d.letter(ReasonBatchTooLong, at, append(out, ']'))
}

// letter delivers a dead letter whose payload is text whatever the bytes were.
func (d *Decoder) letter(reason string, i uint64, payload []byte) error {
	if !isText(payload) {
		payload = escape(nil, payload)
	}
	d.note = DeadLetter{ReceivedAt: d.receivedAt, Source: d.r.Source, Reason: reason, Payload: payload, Log: d.log, Offset: d.first + i}
	return d.dead(&d.note)
}

func isText(b []byte) bool {
	return bytes.IndexByte(b, 0) < 0 && utf8.Valid(b)
}

// escape appends b with every NUL and every byte that is not UTF-8 written as \xNN.
func escape(dst, b []byte) []byte {
	const hex = "0123456789abcdef"
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == 0 || r == utf8.RuneError && n == 1 {
			dst = append(dst, '\\', 'x', hex[b[0]>>4], hex[b[0]&15])
		} else {
			dst = append(dst, b[:n]...)
		}
		b = b[n:]
	}
	return dst
}

// derivedID is the messageId of a call that came without one: the same at every replay.
func derivedID(log string, offset uint64) string {
	b := make([]byte, 0, 80)
	b = append(b, "firth-"...)
	b = append(b, log...)
	b = append(b, '-')
	return string(strconv.AppendUint(b, offset, 10))
}
