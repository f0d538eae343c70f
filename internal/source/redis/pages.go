package redis

import (
	"bytes"
	"context"
	"hash/maphash"
	"math"
	"strconv"

	"firth/internal/vector"
)

// seen remembers what came before by two independent hashes of 64 bits: that two texts have both in common will not happen.
type seen struct {
	a, b maphash.Seed
	m    map[[2]uint64]struct{}
}

func newSeen() *seen {
	return &seen{a: maphash.MakeSeed(), b: maphash.MakeSeed(), m: map[[2]uint64]struct{}{}}
}

// first reports whether a text comes for the first time.
func (s *seen) first(text []byte) bool {
	n := len(s.m)
	s.m[[2]uint64{maphash.Bytes(s.a, text), maphash.Bytes(s.b, text)}] = struct{}{}
	return len(s.m) > n
}

// pages reads one key that is large, bit by bit.
type pages struct {
	i      int
	kind   *kind
	cursor string
	at     int // the rank or place of the next element
	seen   *seen
	pipe   *pipe
}

func newPages(r *reader, i int) *pages {
	p := &pages{i: i, kind: r.kindOf(i), cursor: "0", seen: newSeen(), pipe: newPipe()}
	if p.kind == &kindStream {
		p.cursor = firstEntry(r.from)
	}
	return p
}

// firstEntry is where the reading of a stream begins.
func firstEntry(from vector.Value) string {
	switch from.Kind {
	case vector.Null:
		return "-"
	case vector.Text:
		return from.Text
	case vector.Timestamp, vector.TimestampTZ:
		return strconv.FormatInt(max(0, from.Num/1000), 10)
	}
	return strconv.FormatInt(max(0, from.Num), 10)
}

// read reads the next page and reports whether it was the last.
func (p *pages) read(ctx context.Context, r *reader) (done bool, err error) {
	if p.kind == &kindHash {
		return true, p.whole(ctx, r)
	}
	p.pipe.clear()
	key := &r.keys[p.i]
	last := strconv.Itoa(p.at + pageSize - 1)
	switch p.kind {
	case &kindZSet:
		p.pipe.add(key, "ZRANGE", key, p.at, last, "WITHSCORES")
	case &kindList:
		p.pipe.add(key, "LRANGE", key, p.at, last)
	case &kindStream:
		p.pipe.add(key, "XRANGE", key, p.cursor, "+", "COUNT", maxPerPage)
	default:
		p.pipe.add(key, p.kind.scan, key, p.cursor, "COUNT", scanCount)
	}
	if err := p.pipe.run(ctx, r.t, r.c); err != nil {
		return false, err
	}
	r.deliver += int64(len(p.pipe.sink.b))
	reply := p.pipe.reply(0)
	if text, bad := errorReply(reply); bad {
		return true, r.fail(ctx, p.i, text)
	}
	if done, err = p.shape(r, &reply); err != nil {
		return false, r.t.fail("read", err)
	}
	return done, nil
}

// shape makes rows of a page.
func (p *pages) shape(r *reader, reply *reply) (done bool, err error) {
	switch p.kind {
	case &kindZSet, &kindList:
		n, err := reply.array()
		if err != nil {
			return false, err
		}
		if err := r.shapeElements(reply, p.i, p.kind, n, p.at); err != nil {
			return false, err
		}
		got := n
		if p.kind == &kindZSet {
			got /= 2
		}
		p.at += pageSize
		return got < pageSize, nil
	case &kindStream:
		n, err := reply.array()
		for j := 0; err == nil && j < n; j++ {
			var id []byte
			if id, err = r.shapeEntry(reply, p.i); err == nil && j == n-1 {
				p.cursor = nextEntry(id)
			}
		}
		return n < maxPerPage || p.cursor == "", err
	}
	n, err := p.advance(reply)
	if err != nil {
		return false, err
	}
	return p.cursor == "0", p.elements(r, reply, n)
}

// advance reads the cursor that a scan returns, and the head of the array behind it.
func (p *pages) advance(reply *reply) (int, error) {
	if n, err := reply.array(); err != nil || n != 2 {
		return 0, errReply
	}
	cursor, err := reply.bulk()
	if err != nil {
		return 0, err
	}
	p.cursor = string(cursor)
	return reply.array()
}

// elements makes rows of what a scan returned, without what came before.
func (p *pages) elements(r *reader, reply *reply, n int) error {
	step := 1
	if p.kind == &kindHashRows {
		step = 2
	}
	for ; n > 0; n -= step {
		at := reply.pos
		b, err := reply.bulk()
		if err != nil {
			return err
		}
		if !p.seen.first(b) {
			if step == 2 {
				_, err = reply.bulk()
			}
			if err != nil {
				return err
			}
			continue
		}
		reply.pos = at
		if step == 2 {
			err = r.shapePairs(reply, p.i, 2)
		} else {
			err = r.shapeElements(reply, p.i, p.kind, 1, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// whole reads all fields of a large hash into one document.
func (p *pages) whole(ctx context.Context, r *reader) error {
	p.pipe.sink.limit = math.MaxInt
	first, lead := r.begin(p.i)
	key := &r.keys[p.i]
	for {
		p.pipe.n = 0
		before := len(p.pipe.sink.b)
		p.pipe.add(key, p.kind.scan, key, p.cursor, "COUNT", scanCount)
		if err := p.pipe.run(ctx, r.t, r.c); err != nil {
			return err
		}
		r.deliver += int64(len(p.pipe.sink.b) - before)
		reply := p.pipe.reply(0)
		if text, bad := errorReply(reply); bad {
			r.out.fields = r.out.fields[:first]
			return r.fail(ctx, p.i, text)
		}
		n, err := p.advance(&reply)
		if err != nil {
			return r.t.fail("read", err)
		}
		for ; n > 0; n -= 2 {
			name, err := reply.bulk()
			if err != nil {
				return r.t.fail("read", err)
			}
			value, err := reply.bulk()
			if err != nil {
				return r.t.fail("read", err)
			}
			if p.seen.first(name) {
				r.out.add(first, lead, r.out.name(name), scalar(value))
			}
		}
		if p.cursor == "0" {
			break
		}
	}
	if len(r.out.fields) == first+lead { // it went away meanwhile
		r.out.fields = r.out.fields[:first]
		return nil
	}
	r.finish(first, lead)
	return nil
}

// nextEntry is the least id behind an entry's; empty: there is none.
func nextEntry(id []byte) string {
	ms, seq, _ := bytes.Cut(id, []byte("-"))
	n, err := strconv.ParseUint(string(seq), 10, 64)
	if err != nil {
		return ""
	}
	if n < math.MaxUint64 {
		return string(ms) + "-" + strconv.FormatUint(n+1, 10)
	}
	m, err := strconv.ParseUint(string(ms), 10, 64)
	if err != nil || m == math.MaxUint64 {
		return ""
	}
	return strconv.FormatUint(m+1, 10) + "-0"
}
