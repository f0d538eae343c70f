package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"firth/internal/document"
	"firth/internal/source"
)

// members hands out the ids that a set, a sorted set or a hash holds.
type members struct {
	t      *Table
	c      *servers
	name   string
	cursor string
	done   bool
	seen   *seen
	pipe   *pipe
	out    shaped
}

// Next reads one page.
func (m *members) Next(ctx context.Context, b *source.Batch) error {
	m.out.reset()
	key := string(m.t.at.append(nil, ""))
	for len(m.out.docs) == 0 {
		if m.done {
			return io.EOF
		}
		m.pipe.clear()
		m.pipe.add(&key, m.t.kind.scan, &key, m.cursor, "COUNT", scanCount)
		if err := m.pipe.run(ctx, m.t, m.c); err != nil {
			return err
		}
		reply := m.pipe.reply(0)
		if text, bad := errorReply(reply); bad {
			return m.t.describeKey(ctx, m.c, "list", key, text)
		}
		if err := m.page(&reply); err != nil {
			return m.t.fail("list", err)
		}
	}
	b.Chunk, b.Docs, b.Bytes = nil, m.out.docs, int64(len(m.pipe.sink.b))
	return nil
}

func (m *members) page(reply *reply) error {
	if n, err := reply.array(); err != nil || n != 2 {
		return errReply
	}
	cursor, err := reply.bulk()
	if err != nil {
		return err
	}
	m.cursor = string(cursor)
	m.done = m.cursor == "0"
	n, err := reply.array()
	if err != nil {
		return err
	}
	step := 2 // members with scores, fields with values
	if m.t.kind == &kindSet {
		step = 1
	}
	for ; n > 0; n -= step {
		b, err := reply.bulk()
		if err == nil && step == 2 {
			_, err = reply.bulk()
		}
		if err != nil {
			return err
		}
		if m.seen.first(b) {
			first := len(m.out.fields)
			m.out.fields = append(m.out.fields, document.Field{Name: m.name, Value: ident(b)})
			m.out.end(first)
		}
	}
	return nil
}

// Close ends the reading.
func (m *members) Close() error {
	m.done = true
	return nil
}

// keyScan goes through all keys of all masters that match a template.
type keyScan struct {
	t       *Table
	c       *servers
	tpl     *template
	masters []*goredis.Client
	layout  string // of the cluster when the scan began
	at      int    // the master that is scanned
	cursor  string
	done    bool
	seen    *seen
	pipe    *pipe
	parts   [][]byte

	leads  []lead
	light  bool    // the values are not wanted
	values *reader // reads those of the keys of a page
	busy   bool    // it has more of them
	keys   []string
	out    shaped
}

// lead is a field that comes from the key itself.
type lead struct {
	name string
	part int // of the template; -1: the whole key
}

func (t *Table) scanKeys(ctx context.Context, c *servers, tpl *template, r source.Request) (source.Rows, error) {
	s := &keyScan{t: t, c: c, tpl: tpl, cursor: "0", seen: newSeen(), pipe: newPipe(), out: newShaped()}
	if err := s.plan(r.Only); err != nil {
		return nil, err
	}
	var err error
	if s.masters, s.layout, err = c.masters(ctx); err != nil {
		return nil, t.fail("list", err)
	}
	if !s.light {
		s.values = newReader(t, c)
		s.values.filter = t.filter.only(r.Only)
		s.values.lead = s.lead
	}
	return s, nil
}

// plan decides which fields come from the key, and whether values are wanted at all.
func (s *keyScan) plan(only []string) error {
	id := s.t.idPart(s.tpl)
	all := []lead{{"key", -1}}
	for i, p := range s.tpl.parts {
		all = append(all, lead{p, i})
	}
	if only == nil {
		for _, l := range all {
			if wanted, _ := s.t.filter.wants(l.name); wanted {
				s.leads = append(s.leads, l)
			}
		}
		return nil
	}
	s.light = true
	for _, name := range only {
		at := slices.IndexFunc(all, func(l lead) bool { return l.name == name })
		switch {
		case at >= 0:
			s.leads = append(s.leads, all[at])
		case id >= 0 && len(only) == 1:
			s.leads = append(s.leads, lead{name, id})
		case len(only) == 1:
			return &source.Error{
				Op: "list", Name: s.t.name(), Err: fmt.Errorf("the keys %q do not tell which part is the id", s.tpl.text),
				Advice: "call that part {id}, or name it in id:",
			}
		default:
			s.light = false
		}
	}
	return nil
}

// lead appends the fields that come from the key.
func (s *keyScan) lead(fields []document.Field, i int) []document.Field {
	key := []byte(s.keys[i])
	s.parts, _ = s.tpl.match(key, s.parts[:0])
	return s.from(fields, key)
}

// from appends them for a key whose parts are known.
func (s *keyScan) from(fields []document.Field, key []byte) []document.Field {
	for _, l := range s.leads {
		v := text(key)
		if l.part >= 0 {
			v = ident(s.parts[l.part])
		}
		fields = append(fields, document.Field{Name: l.name, Value: v})
	}
	return fields
}

// Next hands out some keys. At the end it makes sure that what was scanned is all there is: where the cluster has moved slots meanwhile it
// fails, since keys may have been missed.
func (s *keyScan) Next(ctx context.Context, b *source.Batch) error {
	for {
		if s.busy {
			err := s.values.Next(ctx, b)
			if !source.AtEnd(err) {
				return err
			}
			s.busy = false
		}
		if s.done {
			return s.verify(ctx)
		}
		s.out.reset()
		if err := s.page(ctx); err != nil {
			return err
		}
		if s.light && len(s.out.docs) > 0 {
			b.Chunk, b.Docs, b.Bytes = nil, s.out.docs, int64(len(s.pipe.sink.b))
			return nil
		}
		if !s.light && len(s.keys) > 0 {
			if err := s.types(ctx); err != nil {
				return err
			}
			s.busy = true
		}
	}
}

// page scans on.
func (s *keyScan) page(ctx context.Context) error {
	s.keys = s.keys[:0]
	s.pipe.clear()
	s.pipe.add(nil, "SCAN", s.cursor, "MATCH", s.tpl.glob(), "COUNT", scanCount)
	call := s.pipe.calls[0]
	call.slot.begun = false
	if err := s.pipe.send(ctx, s.masters[s.at], s.pipe.calls[:1]); err != nil {
		return s.t.fail("list", err)
	}
	reply := s.pipe.reply(0)
	if text, bad := errorReply(reply); bad {
		return s.t.fail("list", errors.New(string(text)))
	}
	if n, err := reply.array(); err != nil || n != 2 {
		return s.t.fail("list", errReply)
	}
	cursor, err := reply.bulk()
	if err != nil {
		return s.t.fail("list", err)
	}
	if s.cursor = string(cursor); s.cursor == "0" {
		s.at++
		s.done = s.at == len(s.masters)
	}
	n, err := reply.array()
	for ; err == nil && n > 0; n-- {
		var key []byte
		if key, err = reply.bulk(); err == nil {
			s.take(key)
		}
	}
	if err != nil {
		return s.t.fail("list", err)
	}
	return nil
}

// take takes a key of a page in: once, and where the template fits.
func (s *keyScan) take(key []byte) {
	var ok bool
	if s.parts, ok = s.tpl.match(key, s.parts[:0]); !ok || !s.seen.first(key) {
		return
	}
	if !s.light {
		s.keys = append(s.keys, string(key))
		return
	}
	first := len(s.out.fields)
	s.out.fields = s.from(s.out.fields, key)
	s.out.end(first)
}

// types finds out what the keys of a page are, where the settings do not say it, and hands them to the reader.
func (s *keyScan) types(ctx context.Context) error {
	if s.t.kind != nil {
		s.values.subjects(s.keys, s.t.kind)
		return nil
	}
	of := make([]*kind, len(s.keys))
	s.pipe.clear()
	for i := range s.keys {
		s.pipe.add(&s.keys[i], "TYPE", &s.keys[i])
	}
	if err := s.pipe.run(ctx, s.t, s.c); err != nil {
		return err
	}
	for i := range s.keys {
		reply := s.pipe.reply(i)
		what, _, name, err := reply.next()
		if err != nil {
			return s.t.fail("read", err)
		}
		if what == '-' {
			return s.t.keyError("read", s.keys[i], name)
		}
		for _, k := range kinds() {
			if k.name == string(name) {
				of[i] = k
			}
		}
	}
	s.values.subjects(s.keys, nil)
	s.values.of = of
	return nil
}

// verify returns io.EOF where the scan saw all keys.
func (s *keyScan) verify(ctx context.Context) error {
	if s.c.cluster == nil {
		return io.EOF
	}
	_, layout, err := s.c.masters(ctx)
	if err != nil {
		return s.t.fail("list", err)
	}
	if layout != s.layout {
		return &source.Error{
			Op: "list", Name: s.t.name(), Err: errors.New("the cluster moved slots meanwhile: keys may have been missed"), Retry: true,
			Advice: "the next run begins anew; redis-cli --cluster check " + s.t.address,
		}
	}
	return io.EOF
}

// Close ends the reading.
func (s *keyScan) Close() error {
	s.done, s.busy = true, false
	if s.values != nil {
		return s.values.Close()
	}
	return nil
}
