package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"firth/internal/source"
	"firth/internal/vector"
)

// rawCopy passes rows through in the binary form in which PostgreSQL hands them out and takes them; nothing looks into them but for
// counting.
type rawCopy struct {
	c     *copying
	src   RawSource
	stage RawStage
	names []string

	mu sync.Mutex // guards the writer's progress; held from when it is asked for until it is committed
}

// raw says whether that can be done.
func (c *copying) raw(ctx context.Context) (*rawCopy, bool, error) {
	must := c.w.resuming() && c.w.progress.Raw
	r := &rawCopy{c: c}
	ok, err := r.possible(ctx)
	if err != nil || ok {
		return r, ok, err
	}
	if must {
		return nil, false, errAnew
	}
	return nil, false, nil
}

func (r *rawCopy) possible(ctx context.Context) (ok bool, err error) {
	c := r.c
	if c.layout == nil || !c.full || c.o.DryRun || !c.layout.plain(c.info.Columns) || c.w.resuming() && !c.w.progress.Raw {
		return false, nil
	}
	if r.src, ok = c.src.(RawSource); !ok {
		return false, nil
	}
	types, ok := r.src.RawColumns(ctx)
	if !ok || len(types) != len(c.layout.columns) || !c.countable() {
		return false, nil
	}
	if err := c.w.open(ctx); err != nil {
		return false, err
	}
	if r.stage, ok = c.w.stage.(RawStage); !ok {
		return false, nil
	}
	typer, _ := c.w.stage.(RawTyper)
	for i, col := range c.layout.list() {
		want := rawType(col.Type)
		if typer != nil {
			want = typer.RawType(col)
		}
		if want == "" || want != types[i] {
			return false, nil
		}
		r.names = append(r.names, col.Name)
	}
	c.w.progress.Raw = true
	return true, nil
}

// countable reports whether the cursor, where there is one, can be read in a tuple.
func (c *copying) countable() bool {
	if c.layout.cursor < 0 {
		return true
	}
	switch c.info.Columns[c.layout.cursor].Type.Kind {
	case vector.Int, vector.Date, vector.Timestamp, vector.TimestampTZ:
		return true
	}
	return false
}

// rawType is the type in SQL of PostgreSQL whose binary form is that of a type; empty: there is none that is always so.
func rawType(t vector.Type) string {
	switch t.Kind {
	case vector.Bool:
		return "boolean"
	case vector.Int:
		return map[uint8]string{16: "smallint", 32: "integer", 64: "bigint"}[t.Bits]
	case vector.Float:
		return map[uint8]string{32: "real", 64: "double precision"}[t.Bits]
	case vector.Decimal:
		if t.Width == 0 {
			return "numeric"
		}
		return fmt.Sprintf("numeric(%d,%d)", t.Width, t.Scale)
	case vector.Text:
		return "text"
	case vector.Blob:
		return "bytea"
	case vector.UUID:
		return "uuid"
	case vector.Date:
		return "date"
	case vector.Time:
		return "time without time zone"
	case vector.TimeTZ:
		return "time with time zone"
	case vector.Timestamp:
		return "timestamp without time zone"
	case vector.TimestampTZ:
		return "timestamp with time zone"
	case vector.Interval:
		return "interval"
	case vector.List:
		if e := rawType(*t.Elem); e != "" {
			return e + "[]"
		}
	}
	return ""
}

// run copies all ranges, several at once.
func (r *rawCopy) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(r.c.cfg.Concurrency, len(r.c.ranges)) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(r.c.ranges) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := r.one(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// one copies a range and tries again where the source had trouble that may go by itself: a range that failed has left nothing.
func (r *rawCopy) one(ctx context.Context, at int) error {
	for try := 1; ; try++ {
		t := r.tuples()
		err := r.attempt(ctx, at, t)
		if err == nil {
			r.c.mergeRaw(at, t)
			return nil
		}
		r.c.count(-t.told, -t.bytes)
		if ctx.Err() != nil || try == rangeTries || !source.CanRetry(err) {
			return err
		}
		r.c.notice("read again: %v", err)
		if r.c.m.o.Wait(ctx, 200*time.Millisecond<<(2*(try-1))) != nil {
			return err
		}
	}
}

// tuples counts what goes through.
func (r *rawCopy) tuples() *tuples {
	c := r.c
	t := &tuples{nulls: make([]int64, len(r.names)), cursor: c.layout.cursor}
	if t.cursor >= 0 {
		t.cursorType = c.info.Columns[t.cursor].Type
		t.window = c.beginWindow()
	}
	t.count = c.count
	return t
}

// attempt copies a range, or compares it where it is staged already.
func (r *rawCopy) attempt(ctx context.Context, at int, t *tuples) error {
	c := r.c
	request := source.Request{Range: c.ranges[at]}
	if before := c.resumed[at]; before.Whole {
		if err := r.src.ScanRaw(ctx, request, t); err != nil {
			return err
		}
		if err := t.end(); err != nil {
			return err
		}
		if t.digest != before.Digest {
			return errChanged(c.ranges[at])
		}
		return nil
	}
	p := newPipe()
	var reading sync.WaitGroup
	var readErr error
	reading.Go(func() {
		readErr = r.src.ScanRaw(ctx, request, io.MultiWriter(t, p))
		if readErr == nil {
			readErr = t.end()
		}
		p.closeWrite(readErr)
	})
	locked := false
	_, err := r.stage.WriteRaw(ctx, r.names, p, func() (json.RawMessage, error) {
		r.mu.Lock()
		locked = true
		c.w.progress.Done[at] = part{Digest: t.digest, Whole: true}
		return json.Marshal(&c.w.progress)
	})
	if locked {
		if err != nil {
			c.w.progress.Done[at] = part{}
		}
		r.mu.Unlock()
	}
	p.closeRead()
	reading.Wait()
	if err != nil && readErr != nil && !errors.Is(readErr, errUnread) {
		return readErr
	}
	return err
}

// mergeRaw adds up what one range gave.
func (c *copying) mergeRaw(at int, t *tuples) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.w.read[at] = part{Digest: t.digest, Whole: true}
	for i, n := range t.nulls {
		c.counts[i].null += n
		c.counts[i].exact += t.digest.Rows - n
	}
	if t.cursor >= 0 {
		c.window.join(&t.window)
	}
}

// errUnread says that nobody reads what is written.
var errUnread = errors.New("the rows were not taken")

// pipe carries bytes from one goroutine to another, some blocks ahead.
type pipe struct {
	blocks chan []byte
	spare  chan []byte
	gone   chan struct{}
	once   sync.Once
	err    error // of the writer; set before blocks is closed

	filling []byte
	reading []byte
	block   []byte // what reading is of
}

const pipeBlock = 256 << 10

func newPipe() *pipe {
	return &pipe{blocks: make(chan []byte, 4), spare: make(chan []byte, 6), gone: make(chan struct{})}
}

// Write takes bytes; it waits while the reader is behind.
func (p *pipe) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if p.filling == nil {
			select {
			case p.filling = <-p.spare:
			default:
				p.filling = make([]byte, 0, pipeBlock)
			}
		}
		k := min(len(b), cap(p.filling)-len(p.filling))
		p.filling, b = append(p.filling, b[:k]...), b[k:]
		if len(p.filling) == cap(p.filling) {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (p *pipe) flush() error {
	select {
	case p.blocks <- p.filling:
		p.filling = nil
		return nil
	case <-p.gone:
		return errUnread
	}
}

// closeWrite ends the writing; err is what the reader gets in the place of the end.
func (p *pipe) closeWrite(err error) {
	if err == nil && len(p.filling) > 0 {
		err = p.flush()
	}
	p.err = err
	close(p.blocks)
}

// Read gives bytes.
func (p *pipe) Read(b []byte) (int, error) {
	for len(p.reading) == 0 {
		if p.block != nil {
			select {
			case p.spare <- p.block[:0]:
			default:
			}
			p.block = nil
		}
		block, ok := <-p.blocks
		if !ok {
			if p.err != nil {
				return 0, p.err
			}
			return 0, io.EOF
		}
		p.reading, p.block = block, block
	}
	n := copy(b, p.reading)
	p.reading = p.reading[n:]
	return n, nil
}

// closeRead says that nothing more is read.
func (p *pipe) closeRead() { p.once.Do(func() { close(p.gone) }) }
