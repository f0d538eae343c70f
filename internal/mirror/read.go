package mirror

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// intake turns batches of a source into staged rows. One goroutine uses it, for one range.
type intake interface {
	// look gives the hash of each row, and its cursor where there is one.
	look(b *source.Batch) (hashes []uint64, cursor func(row int) vector.Value)
	chunk() *vector.Chunk
	// append adds the rows from lo to before hi to a chunk. ok is false where the chunk's columns are no longer those that rows have: nothing
	// was added then, and another chunk is needed.
	append(into *vector.Chunk, b *source.Batch, lo, hi int) (ok bool, err error)
	// takeChildren hands out the rows of arrays that have come with what was appended, and forgets them; childBytes is how large they are.
	takeChildren() []childRows
	childBytes() int
	// counts are those of the columns so far; nil: they are counted elsewhere.
	counts() []counts
}

// pump reads the ranges, several at once, and stages their rows.
func (c *copying) pump(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan item, 2)
	var next atomic.Int64
	var readers sync.WaitGroup
	for range min(c.cfg.Concurrency, len(c.ranges)) {
		readers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(c.ranges) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := c.readRange(ctx, i, queue); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	var closing sync.WaitGroup
	closing.Go(func() { readers.Wait(); close(queue) })
	defer closing.Wait()
	for it := range queue {
		if ctx.Err() != nil {
			continue // let the readers end
		}
		if err := c.w.take(ctx, it); err != nil {
			cancel(err)
		}
	}
	return context.Cause(ctx)
}

// rangeTries is how often a range is read before the whole copy is tried again.
const rangeTries = 3

// reading is one range while it is read, over all tries.
type reading struct {
	at     int
	sent   part // what of it is staged, or on its way there
	before part // what an earlier run has staged
	passed bool // that was compared, and its rejects are kept
}

// readRange reads one range and tries again where the source had trouble that may go by itself: from where it was.
func (c *copying) readRange(ctx context.Context, at int, queue chan<- item) error {
	r := &reading{at: at, sent: c.resumed[at], before: c.resumed[at]}
	for try := 1; ; try++ {
		p := &pass{c: c, r: r, in: c.intake(), window: c.beginWindow()}
		err := p.run(ctx, queue)
		if err == nil {
			c.merge(p)
			return nil
		}
		c.count(-p.rows, -p.bytes)
		if ctx.Err() != nil || try == rangeTries || !source.CanRetry(err) {
			return err
		}
		c.notice("read again from where it was: %v", err)
		if c.m.o.Wait(ctx, 200*time.Millisecond<<(2*(try-1))) != nil {
			return err
		}
	}
}

// beginWindow makes the window of one range.
func (c *copying) beginWindow() window {
	c.mu.Lock()
	defer c.mu.Unlock()
	return window{late: c.window.late, now: c.window.now, high: c.window.high}
}

// merge adds up what one range gave.
func (c *copying) merge(p *pass) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range p.in.counts() {
		c.counts[i].add(n)
	}
	c.window.join(&p.window)
}

// join takes over the rows of another window.
func (w *window) join(other *window) {
	w.none += other.none
	if usable(other.high) && (w.high.Kind == vector.Null || compare(other.high, w.high) > 0) {
		w.high = other.high
	}
	if other.full {
		w.full, w.rows = true, nil
	}
	for _, s := range other.rows {
		w.keep(s.at, s.hash)
	}
}

// pass is one try of a range.
type pass struct {
	c      *copying
	r      *reading
	in     intake
	window window
	seen   digest
	acc    *vector.Chunk
	rows   int64
	bytes  int64
	early  []warehouse.MirrorReject // of rows that an earlier run staged
	unsure []unsure                 // among them
}

func (p *pass) run(ctx context.Context, queue chan<- item) error {
	c := p.c
	rows, err := c.src.Scan(ctx, source.Request{Range: c.ranges[p.r.at], From: c.from})
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // it was read
	var b source.Batch
	for {
		err := rows.Next(ctx, &b)
		if source.AtEnd(err) {
			break
		}
		if err != nil {
			return err
		}
		if err := p.take(ctx, &b, queue); err != nil {
			return err
		}
	}
	if p.seen.Rows < p.r.sent.Digest.Rows {
		return errChanged(c.ranges[p.r.at])
	}
	return p.hand(ctx, queue, true)
}

// take passes a batch on: first rows that are staged already are compared alone.
func (p *pass) take(ctx context.Context, b *source.Batch, queue chan<- item) error {
	hashes, cursor := p.in.look(b)
	n := len(hashes)
	if n == 0 {
		return nil
	}
	p.rows, p.bytes = p.rows+int64(n), p.bytes+b.Bytes
	p.c.count(int64(n), b.Bytes)
	if cursor != nil {
		for row, h := range hashes {
			p.window.add(cursor(row), h)
		}
	}
	staged := p.r.sent.Digest
	skip := int(min(int64(n), max(0, staged.Rows-p.seen.Rows)))
	if skip > 0 {
		if err := p.again(ctx, b, hashes[:skip], queue); err != nil {
			return err
		}
	}
	if skip == n {
		return nil
	}
	if p.r.sent.Whole {
		return errChanged(p.c.ranges[p.r.at])
	}
	return p.append(ctx, b, hashes, skip, queue)
}

// again compares rows with those that are staged.
func (p *pass) again(ctx context.Context, b *source.Batch, hashes []uint64, queue chan<- item) error {
	scratch := p.in.chunk()
	if ok, err := p.in.append(scratch, b, 0, len(hashes)); err != nil || !ok {
		return errors.Join(err, errChanged(p.c.ranges[p.r.at]))
	}
	p.in.takeChildren() // they are staged, too
	for _, r := range scratch.Rejects {
		if p.seen.Rows+int64(r.Row) < p.r.before.Digest.Rows {
			p.early = append(p.early, p.c.told(scratch, r))
		}
	}
	if l := p.c.unsure; l != nil && l.At == p.r.at {
		lo, hi := max(l.Lo-p.seen.Rows, 0), min(l.Hi-p.seen.Rows, int64(len(hashes)))
		if lo < hi {
			p.unsure = append(p.unsure, unsure{scratch, int(lo), int(hi)})
		}
	}
	for _, h := range hashes {
		p.seen.add(h)
		if p.seen.Rows == p.r.sent.Digest.Rows && p.seen != p.r.sent.Digest {
			return errChanged(p.c.ranges[p.r.at])
		}
	}
	if p.r.passed || p.seen.Rows < p.r.before.Digest.Rows {
		return nil
	}
	p.r.passed = true
	it := item{at: p.r.at, part: p.r.sent, early: p.early, unsure: p.unsure}
	return send(ctx, queue, it)
}

// append adds the rows from lo on to the chunk that is being filled, and hands it on when it is full.
func (p *pass) append(ctx context.Context, b *source.Batch, hashes []uint64, lo int, queue chan<- item) error {
	for o := &p.c.m.o; lo < len(hashes); {
		if p.acc == nil {
			p.acc = p.in.chunk()
		}
		hi := min(len(hashes), lo+max(1, o.chunkRows-p.acc.Rows))
		ok, err := p.in.append(p.acc, b, lo, hi)
		if err != nil {
			return err
		}
		if ok {
			for _, h := range hashes[lo:hi] {
				p.seen.add(h)
			}
			lo = hi
			if p.acc.Rows < o.chunkRows && p.acc.Size()+p.in.childBytes() < o.chunkBytes {
				continue
			}
		}
		if err := p.hand(ctx, queue, false); err != nil {
			return err
		}
	}
	return nil
}

// hand puts the chunk into the queue: when it is staged, all rows that were seen are.
func (p *pass) hand(ctx context.Context, queue chan<- item, whole bool) error {
	it := item{at: p.r.at, chunk: p.acc, part: part{Digest: p.seen, Whole: whole}, plan: p.c.docs.plan(), kids: p.in.takeChildren()}
	p.acc = nil
	if err := send(ctx, queue, it); err != nil {
		return err
	}
	p.r.sent = it.part
	return nil
}

func send(ctx context.Context, queue chan<- item, it item) error {
	select {
	case queue <- it:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tabular is the intake of a relational source.
type tabular struct {
	c *copying
	t *transform
}

func (t *tabular) look(b *source.Batch) ([]uint64, func(int) vector.Value) {
	if b.Chunk == nil {
		return nil, nil
	}
	hashes := t.t.digest(b.Chunk)
	at := t.c.layout.cursor
	if at < 0 || at >= len(b.Chunk.Vectors) {
		return hashes, nil
	}
	return hashes, b.Chunk.Vectors[at].At
}

func (t *tabular) chunk() *vector.Chunk {
	select {
	case c := <-t.c.spare:
		c.Reset()
		return c
	default:
		return vector.NewChunk(t.t.list)
	}
}

func (t *tabular) append(into *vector.Chunk, b *source.Batch, lo, hi int) (bool, error) {
	if len(b.Chunk.Vectors) < t.c.width {
		return false, &source.Error{Op: "read", Name: t.c.cfg.Name, Err: errors.New("the columns are no longer those of the beginning"), Retry: true, Changed: true}
	}
	t.t.append(into, b.Chunk, lo, hi)
	return true, nil
}

func (t *tabular) counts() []counts          { return t.t.counts }
func (t *tabular) takeChildren() []childRows { return nil }
func (t *tabular) childBytes() int           { return 0 }

// intake makes one for a range.
func (c *copying) intake() intake {
	if c.docs != nil {
		return c.docs.intake()
	}
	return &tabular{c: c, t: newTransform(c.layout)}
}

// recycle keeps the memory of a chunk for the next.
func (c *copying) recycle(chunk *vector.Chunk) {
	if c.layout == nil {
		return
	}
	select {
	case c.spare <- chunk:
	default:
	}
}

// hashText is a hash of a text that stays the same over releases.
func hashText(s string) uint64 { return xxhash.Sum64String(s) }
