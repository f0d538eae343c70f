package redis

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"

	"firth/internal/document"
)

// shaped holds documents whose fields lie one behind the other, so that a batch costs few allocations.
type shaped struct {
	docs   []document.Value
	fields []document.Field
	items  []document.Value
	names  map[string]string // names of fields by their bytes
	arena  document.Arena    // what JSON was parsed into
}

// maxNames is how many names of fields are remembered.
const maxNames = 10_000

func newShaped() shaped { return shaped{names: map[string]string{}} }

func (s *shaped) reset() {
	s.docs, s.fields, s.items = s.docs[:0], s.fields[:0], s.items[:0]
	s.arena.Reset()
}

// name is a name as a string that was made before, where it was.
func (s *shaped) name(b []byte) string {
	if n, ok := s.names[string(b)]; ok {
		return n
	}
	n := string(b)
	if !utf8.Valid(b) {
		n = strconv.QuoteToASCII(n)
		n = n[1 : len(n)-1]
	}
	if len(s.names) < maxNames {
		s.names[string(b)] = n
	}
	return n
}

// add appends a field to the document that began at first; a name that is taken by one of the first fields gets a number.
func (s *shaped) add(first, lead int, name string, v document.Value) {
	taken := func(f document.Field) bool { return f.Name == name }
	if slices.ContainsFunc(s.fields[first:first+lead], taken) {
		for n := 2; ; n++ {
			other := name + "_" + strconv.Itoa(n)
			if !slices.ContainsFunc(s.fields[first:], func(f document.Field) bool { return f.Name == other }) {
				name = other
				break
			}
		}
	}
	s.fields = append(s.fields, document.Field{Name: name, Value: v})
}

// end makes a document of the fields from first on.
func (s *shaped) end(first int) {
	fields := s.fields[first:len(s.fields):len(s.fields)]
	s.docs = append(s.docs, document.Value{Kind: document.Object, Fields: fields})
}

// begin appends the fields that come first, and returns where they begin and how many there are.
func (r *reader) begin(i int) (first, lead int) {
	first = len(r.out.fields)
	if r.lead != nil {
		r.out.fields = r.lead(r.out.fields, i)
	}
	return first, len(r.out.fields) - first
}

// finish makes a document of what was added since begin, without what is not wanted.
func (r *reader) finish(first, lead int) {
	s := &r.out
	if !r.filter.all() {
		kept := r.filter.prune(s.fields[first+lead:], "")
		s.fields = s.fields[:first+lead+len(kept)]
	}
	s.end(first)
}

// shape makes documents of the reply about a key.
func (r *reader) shape(p *reply, i int, k *kind) error {
	switch k.name {
	case "string", "json":
		return r.shapeText(p, i, k)
	case "hash":
		if r.hm != nil {
			return r.shapeFields(p, i)
		}
		n, err := p.array()
		if err != nil {
			return err
		}
		if k.rows {
			return r.shapePairs(p, i, n)
		}
		return r.shapeHash(p, i, n)
	case "stream":
		n, err := p.array()
		for ; err == nil && n > 0; n-- {
			_, err = r.shapeEntry(p, i)
		}
		return err
	}
	n, err := p.array()
	if err != nil {
		return err
	}
	return r.shapeElements(p, i, k, n, 0)
}

// shapeText makes a document of a string: its value, or the fields of the JSON object that it holds.
func (r *reader) shapeText(p *reply, i int, k *kind) error {
	b, err := p.bulk()
	if err != nil || b == nil {
		return err
	}
	first, lead := r.begin(i)
	if k == &kindJSON {
		v := r.out.parse(b)
		if v.Kind == document.Object {
			for _, f := range v.Fields {
				r.out.add(first, lead, f.Name, f.Value)
			}
		} else {
			r.out.add(first, lead, "value", v)
		}
	} else {
		r.out.add(first, lead, "value", scalar(b))
	}
	r.finish(first, lead)
	return nil
}

// parse reads JSON; text that is none stays as it is.
func (s *shaped) parse(b []byte) document.Value {
	v, err := document.Parse(b, &s.arena)
	if err != nil {
		return text(b)
	}
	return v
}

// shapeHash makes a document of the fields of a hash; none, where there are none.
func (r *reader) shapeHash(p *reply, i, n int) error {
	if n <= 0 {
		return nil
	}
	first, lead := r.begin(i)
	for range n / 2 {
		name, err := p.bulk()
		if err != nil {
			return err
		}
		value, err := p.bulk()
		if err != nil {
			return err
		}
		r.out.add(first, lead, r.out.name(name), scalar(value))
	}
	r.finish(first, lead)
	return nil
}

// shapeFields makes a document of the fields that were asked for alone; none, where the hash has none of them.
func (r *reader) shapeFields(p *reply, i int) error {
	n, err := p.array()
	if err != nil || n != len(r.hm) {
		return errReply
	}
	first, lead := r.begin(i)
	some := false
	for _, name := range r.hm {
		b, err := p.bulk()
		if err != nil {
			return err
		}
		if b != nil {
			some = true
			r.out.add(first, lead, name, scalar(b))
		}
	}
	if !some {
		r.out.fields = r.out.fields[:first]
		return nil
	}
	r.finish(first, lead)
	return nil
}

// shapePairs makes a row of each field of a hash.
func (r *reader) shapePairs(p *reply, i, n int) error {
	for range n / 2 {
		name, err := p.bulk()
		if err != nil {
			return err
		}
		value, err := p.bulk()
		if err != nil {
			return err
		}
		first, lead := r.begin(i)
		r.out.add(first, lead, r.t.memberOr("field"), ident(name))
		r.out.add(first, lead, "value", scalar(value))
		r.finish(first, lead)
	}
	return nil
}

// shapeElements makes a row of each element of a set, a sorted set or a list; at is the rank or the place of the first.
func (r *reader) shapeElements(p *reply, i int, k *kind, n, at int) error {
	if k == &kindZSet {
		n /= 2
	}
	for j := range n {
		b, err := p.bulk()
		if err != nil {
			return err
		}
		first, lead := r.begin(i)
		switch k {
		case &kindZSet:
			points, err := p.bulk()
			if err != nil {
				return err
			}
			r.out.add(first, lead, r.t.memberOr("member"), ident(b))
			r.out.add(first, lead, "score", score(points))
			r.out.add(first, lead, "rank", whole(int64(at+j)))
		case &kindList:
			r.out.add(first, lead, "ordinal", whole(int64(at+j)))
			r.out.add(first, lead, "value", scalar(b))
		default:
			r.out.add(first, lead, r.t.memberOr("member"), ident(b))
		}
		r.finish(first, lead)
	}
	return nil
}

// memberOr is the name of the field that holds a member: that of the settings where a copy reads one key.
func (t *Table) memberOr(name string) string {
	if t.spec.ID != "" && len(t.at.parts) == 0 {
		return t.spec.ID
	}
	return name
}

// shapeEntry makes a row of one entry of a stream, and returns the entry's id.
func (r *reader) shapeEntry(p *reply, i int) ([]byte, error) {
	if n, err := p.array(); err != nil || n != 2 {
		return nil, errReply
	}
	id, err := p.bulk()
	if err != nil {
		return nil, err
	}
	ms, seq, _ := bytes.Cut(id, []byte("-"))
	n, err := p.array() // nil: the entry was deleted
	if err != nil {
		return nil, err
	}
	first, lead := r.begin(i)
	r.out.add(first, lead, r.t.memberOr("stream_id"), text(id))
	r.out.add(first, lead, "ts", instant(ms))
	r.out.add(first, lead, "seq", scalar(seq))
	lead = len(r.out.fields) - first
	for range n / 2 {
		name, err := p.bulk()
		if err != nil {
			return nil, err
		}
		value, err := p.bulk()
		if err != nil {
			return nil, err
		}
		r.out.add(first, lead, r.out.name(name), scalar(value))
	}
	if r.lead != nil {
		lead -= 3
	} else {
		lead = 0
	}
	r.finish(first, lead)
	return id, nil
}

// instant is the time in an entry's id; one that no date holds is a number.
func instant(ms []byte) document.Value {
	n, ok := integer(ms)
	if !ok || n > 1<<53 {
		return scalar(ms)
	}
	return document.Value{Kind: document.DateTime, Num: n}
}
