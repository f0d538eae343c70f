package redis

import (
	"context"
	"fmt"
	"io"

	"firth/internal/document"
	"firth/internal/source"
	"firth/internal/vector"
)

// reader reads the values of keys, in the order of the keys but for large ones, and hands out documents. Only the goroutine that calls
// Next uses it.
type reader struct {
	t      *Table
	c      *servers
	filter filter
	from   vector.Value // of a stream: the first entry

	keys []string
	kind *kind // of all keys; nil: of kinds
	of   []*kind
	// lead appends the fields that come before those of the value: the id, or the key and its parts.
	lead func(fields []document.Field, i int) []document.Field
	id   func(i int) vector.Value // nil: a failing key is an error
	hm   []string                 // the fields of hashes that are asked for alone; nil: all

	next    int    // the first key that was not looked at
	todo    []item // keys to be read
	large   []int  // keys to be read in pages
	pages   *pages
	depth   int // commands a pipeline
	failed  []source.FailedID
	sizes   *pipe
	reads   *pipe
	out     shaped
	deliver int64 // bytes that were read
	closed  bool
}

// item is a key that is to be read.
type item struct {
	i    int
	size int
}

// newReader is a reader with the memory of one that was closed, where there is one.
func newReader(t *Table, c *servers) *reader {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.idle); n > 0 {
		old := t.idle[n-1]
		t.idle = t.idle[:n-1]
		return &reader{t: t, c: c, depth: pipelined, sizes: old.sizes, reads: old.reads, out: old.out, todo: old.todo[:0], keys: old.keys[:0]}
	}
	return &reader{t: t, c: c, depth: pipelined, sizes: newPipe(), reads: newPipe(), out: newShaped()}
}

// subjects begins with some keys. What was read before is forgotten.
func (r *reader) subjects(keys []string, k *kind) {
	r.keys, r.kind, r.next, r.todo = keys, k, 0, r.todo[:0]
}

// kindOf is the type of a key; nil: it has none that is read.
func (r *reader) kindOf(i int) *kind {
	if r.kind != nil {
		return r.kind
	}
	return r.of[i]
}

// Next hands out the documents of some keys. Of a get in which some ids failed it ends with *source.FailedIDs.
func (r *reader) Next(ctx context.Context, b *source.Batch) error {
	for {
		r.out.reset()
		before := r.deliver
		err := r.step(ctx)
		if err != nil {
			return err
		}
		if len(r.out.docs) > 0 {
			b.Chunk, b.Docs, b.Bytes = nil, r.out.docs, r.deliver-before
			return nil
		}
	}
}

// step does the next piece of work: a page of a large key, a pipeline of sizes or one of values.
func (r *reader) step(ctx context.Context) error {
	if r.pages != nil {
		done, err := r.pages.read(ctx, r)
		if done {
			r.pages = nil
		}
		return err
	}
	switch {
	case len(r.todo) > 0:
		return r.read(ctx)
	case r.next < len(r.keys):
		return r.look(ctx)
	case len(r.large) > 0:
		r.pages = newPages(r, r.large[0])
		r.large = r.large[1:]
		return nil
	case len(r.failed) > 0:
		err := &source.FailedIDs{IDs: r.failed}
		r.failed = nil
		return err
	}
	return io.EOF
}

// look asks for the sizes of the next keys, where they have one, and puts them into the queue.
func (r *reader) look(ctx context.Context) error {
	first := r.next
	last := min(len(r.keys), first+r.depth)
	r.sizes.clear()
	sized := false
	for i := first; i < last; i++ {
		k := r.kindOf(i)
		if k == nil || k.size == "" || r.hm != nil {
			continue
		}
		sized = true
		r.sizes.add(&r.keys[i], k.size, &r.keys[i])
	}
	if sized {
		if err := r.sizes.run(ctx, r.t, r.c); err != nil {
			return err
		}
	}
	r.next = last
	n := 0
	for i := first; i < last; i++ {
		k := r.kindOf(i)
		if k == nil {
			continue
		}
		if k.size == "" || r.hm != nil {
			r.todo = append(r.todo, item{i, 1})
			continue
		}
		reply := r.sizes.reply(n)
		n++
		what, size, text, err := reply.next()
		switch {
		case err != nil:
			return r.t.fail("read", err)
		case what == '-':
			if err := r.fail(ctx, i, text); err != nil {
				return err
			}
		case size > pageSize || r.from.Kind != vector.Null:
			r.large = append(r.large, i)
		case size > 0:
			r.todo = append(r.todo, item{i, int(size)})
		}
	}
	return nil
}

// read reads the keys at the head of the queue.
func (r *reader) read(ctx context.Context) error {
	p := r.reads
	p.clear()
	n, elements := 0, 0
	for n < len(r.todo) && n < r.depth && (n == 0 || elements+r.todo[n].size <= maxBatch) {
		x := r.todo[n]
		r.kindOf(x.i).ask(p, &r.keys[x.i], r.hm)
		elements += x.size
		n++
	}
	if err := p.run(ctx, r.t, r.c); err != nil {
		return err
	}
	r.deliver += int64(len(p.sink.b))
	for j := range n {
		if p.gone(j) {
			r.depth, n = max(1, j), j
			break
		}
		i := r.todo[j].i
		reply := p.reply(j)
		if text, bad := errorReply(reply); bad {
			if err := r.fail(ctx, i, text); err != nil {
				return err
			}
			continue
		}
		if err := r.shape(&reply, i, r.kindOf(i)); err != nil {
			return r.t.fail("read", fmt.Errorf("key %q: %w", r.keys[i], err))
		}
	}
	if n == r.depth {
		r.depth = min(pipelined, 2*r.depth)
	}
	r.todo = r.todo[:copy(r.todo, r.todo[n:])]
	return nil
}

// errorReply is the text of a reply that is an error.
func errorReply(r reply) ([]byte, bool) {
	kind, _, text, err := r.next()
	return text, err == nil && kind == '-'
}

// fail notes that a key could not be read: its id fails, or everything where it is not the key that is to blame.
func (r *reader) fail(ctx context.Context, i int, text []byte) error {
	err := r.t.describeKey(ctx, r.c, "get", r.keys[i], text)
	if r.id == nil || code(string(text)) != "WRONGTYPE" {
		return err
	}
	r.failed = append(r.failed, source.FailedID{ID: r.id(i), Err: err})
	return nil
}

// Close ends the reading. What was handed out is not valid any more.
func (r *reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	t := r.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) < t.o.Concurrency {
		old := *r
		t.idle = append(t.idle, &old)
	}
	r.next, r.keys, r.todo, r.large, r.pages, r.out = 0, nil, nil, nil, nil, shaped{}
	return nil
}

// describeKey puts an error about a key into words; where its type is wrong, with the type that it has.
func (t *Table) describeKey(ctx context.Context, c *servers, op, key string, text []byte) error {
	e := t.keyError(op, key, text)
	if code(string(text)) != "WRONGTYPE" {
		return e
	}
	p := newPipe()
	p.add(&key, "TYPE", &key)
	found := "of another type"
	if p.run(ctx, t, c) == nil {
		r := p.reply(0)
		if kind, _, name, err := r.next(); err == nil && kind == '+' {
			found = "a " + string(name)
		}
	}
	e.Err = fmt.Errorf("key %q is %s", key, found)
	e.Advice = "ask for it by the type that it has: list, set, zset, hash, string, stream"
	return e
}
