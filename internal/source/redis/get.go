package redis

import (
	"context"
	"errors"
	"io"
	"slices"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/vector"
)

// get reads the keys of some ids.
func (t *Table) get(c *servers, ids []vector.Value) (source.Rows, error) {
	texts := make([]string, len(ids))
	values := make([]document.Value, len(ids))
	for i, id := range ids {
		text, ok := idText(id)
		if !ok {
			return nil, &source.Error{Op: "get", Name: t.name(), Err: errors.New("an id is NULL or of a type that no key can hold")}
		}
		texts[i], values[i] = text, ident([]byte(text))
	}
	lead := func(fields []document.Field, i int) []document.Field {
		return append(fields, document.Field{Name: t.key(), Value: values[i]})
	}
	if len(t.fields) > 0 {
		return &several{t: t, c: c, ids: ids, texts: texts, lead: lead, pipe: newPipe(), out: newShaped(), depth: pipelined}, nil
	}
	if t.kind == nil || len(t.at.parts) == 0 {
		return nil, &source.Error{Op: "get", Name: t.name(), Err: errors.New("no key with {id} is named")}
	}
	r := newReader(t, c)
	r.lead, r.filter = lead, t.filter
	r.id = func(i int) vector.Value { return ids[i] }
	if t.kind == &kindHash && t.filter.columns != nil {
		if r.hm = t.filter.flat(t.key()); len(r.hm) == 0 {
			r.hm = nil
		}
	}
	keys := slices.Grow(r.keys[:0], len(ids))[:len(ids)]
	var buf []byte
	for i := range texts {
		buf = t.at.append(buf[:0], texts[i])
		keys[i] = string(buf)
	}
	r.subjects(keys, t.kind)
	return r, nil
}

// several reads several keys an id: one document an id that has any of them.
type several struct {
	t      *Table
	c      *servers
	ids    []vector.Value
	texts  []string
	lead   func(fields []document.Field, i int) []document.Field
	next   int
	depth  int
	keys   []string
	pipe   *pipe
	out    shaped
	failed []source.FailedID
}

// Next reads the keys of the next ids.
func (s *several) Next(ctx context.Context, b *source.Batch) error {
	s.out.reset()
	for len(s.out.docs) == 0 {
		if s.next == len(s.ids) {
			if len(s.failed) > 0 {
				err := &source.FailedIDs{IDs: s.failed}
				s.failed = nil
				return err
			}
			return io.EOF
		}
		if err := s.read(ctx); err != nil {
			return err
		}
	}
	b.Chunk, b.Docs, b.Bytes = nil, s.out.docs, int64(len(s.pipe.sink.b))
	return nil
}

func (s *several) read(ctx context.Context) error {
	each := len(s.t.fields)
	n := min(len(s.ids)-s.next, max(1, s.depth/each))
	s.keys = s.keys[:0]
	var buf []byte
	for i := s.next; i < s.next+n; i++ {
		for _, f := range s.t.fields {
			buf = f.at.append(buf[:0], s.texts[i])
			s.keys = append(s.keys, string(buf))
		}
	}
	s.pipe.clear()
	for i := range s.keys {
		s.t.fields[i%each].kind.ask(s.pipe, &s.keys[i], nil)
	}
	if n == 1 {
		s.pipe.sink.limit = 1 << 40 // one id is always read whole
	}
	err := s.pipe.run(ctx, s.t, s.c)
	s.pipe.sink.limit = maxReplies
	if err != nil {
		return err
	}
	for i := range n {
		for j := range each {
			if s.pipe.gone(i*each + j) {
				s.depth = max(1, i*each)
				s.next += i
				return nil
			}
		}
		if err := s.shape(ctx, s.next+i, i*each); err != nil {
			return err
		}
	}
	s.next += n
	s.depth = min(pipelined, 2*s.depth)
	return nil
}

// shape makes the document of an id; the replies begin at that call.
func (s *several) shape(ctx context.Context, i, call int) error {
	first := len(s.out.fields)
	s.out.fields = s.lead(s.out.fields, i)
	some := false
	for j, f := range s.t.fields {
		reply := s.pipe.reply(call + j)
		if text, bad := errorReply(reply); bad {
			err := s.t.describeKey(ctx, s.c, "get", s.keys[call+j], text)
			if code(string(text)) != "WRONGTYPE" {
				return err
			}
			s.failed = append(s.failed, source.FailedID{ID: s.ids[i], Err: err})
			s.out.fields = s.out.fields[:first]
			return nil
		}
		v, err := s.out.value(&reply, f.kind)
		if err != nil {
			return s.t.fail("get", err)
		}
		if v.Kind != document.Missing {
			some = true
			s.out.fields = append(s.out.fields, document.Field{Name: f.name, Value: v})
		}
	}
	if !some {
		s.out.fields = s.out.fields[:first]
		return nil
	}
	if !s.t.filter.all() {
		kept := s.t.filter.prune(s.out.fields[first+1:], "")
		s.out.fields = s.out.fields[:first+1+len(kept)]
	}
	s.out.end(first)
	return nil
}

// value is all that a key holds as one value: an object of a hash, an array of the others; missing, where there is no such key.
func (s *shaped) value(p *reply, k *kind) (document.Value, error) {
	none := document.Value{}
	if k.name == "string" || k.name == "json" {
		b, err := p.bulk()
		switch {
		case err != nil || b == nil:
			return none, err
		case k == &kindJSON:
			return s.parse(b), nil
		}
		return scalar(b), nil
	}
	n, err := p.array()
	if err != nil || n <= 0 {
		return none, err
	}
	out := document.Value{Kind: document.Array}
	for ; n > 0; n-- {
		if k == &kindStream {
			v, err := s.entry(p)
			if err != nil {
				return none, err
			}
			out.Items = append(out.Items, v)
			continue
		}
		b, err := p.bulk()
		if err != nil {
			return none, err
		}
		if k == &kindSet || k == &kindList {
			out.Items = append(out.Items, scalar(b))
			continue
		}
		with, err := p.bulk()
		if err != nil {
			return none, err
		}
		n--
		if k == &kindZSet {
			out.Items = append(out.Items, document.Value{Kind: document.Object, Fields: []document.Field{
				{Name: "member", Value: ident(b)}, {Name: "score", Value: score(with)},
			}})
			continue
		}
		out.Kind = document.Object
		out.Fields = append(out.Fields, document.Field{Name: s.name(b), Value: scalar(with)})
	}
	return out, nil
}

// entry is an entry of a stream as an object.
func (s *shaped) entry(p *reply) (document.Value, error) {
	out := document.Value{Kind: document.Object}
	if n, err := p.array(); err != nil || n != 2 {
		return out, errReply
	}
	id, err := p.bulk()
	if err != nil {
		return out, err
	}
	out.Fields = append(out.Fields, document.Field{Name: "stream_id", Value: text(id)})
	n, err := p.array()
	for ; err == nil && n > 0; n -= 2 {
		var name, value []byte
		if name, err = p.bulk(); err == nil {
			value, err = p.bulk()
		}
		out.Fields = append(out.Fields, document.Field{Name: s.name(name), Value: scalar(value)})
	}
	return out, err
}

// Close ends the reading.
func (s *several) Close() error {
	s.next = len(s.ids)
	return nil
}
