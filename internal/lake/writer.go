package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// Writer moves records from the journal to the tables. Run is called once.
type Writer struct {
	l       *Lake
	journal Journal
	decoder Decoder
	log     string

	// Owned by the goroutine of Run.
	calls   *rowfile.Writer[event.Call]
	letters *rowfile.Writer[event.DeadLetter]
	dead    *store
	sources map[string]*source
	batch   *batch
	next    uint64    // first offset that was not read yet
	flushed uint64    // the journal is in the tables up to here
	stated  uint64    // and some table states it up to here, which is where the next start goes on
	silent  int       // bodies flushed since without a row that was new
	began   time.Time // start of the last flush
	unsure  bool      // a commit took place whose outcome was unknown: it may not be on disk
	shed    bool      // the journal has calls of suppressed people
	rolled  int64     // when it was last made to let go of them; Unix microseconds

	mu    sync.Mutex
	state State
	stats Stats
}

func newWriter(l *Lake, j Journal, d Decoder) *Writer {
	return &Writer{
		l: l, journal: j, decoder: d, log: j.Log(),
		calls: rowfile.NewWriter(l.calls), letters: rowfile.NewWriter(l.dead),
		sources: map[string]*source{}, batch: newBatch(),
		state: State{Name: "lake", State: StateStarting},
		stats: Stats{Sources: map[string]SourceStats{}},
	}
}

// Run flushes until the context ends; then it flushes what the journal still holds and returns nil. Trouble with the disk,
// the catalog or the clock is shown by State and tried again without end, except after the context has ended: then, when
// the time to drain is up, it is returned, and the journal keeps what was not flushed.
func (w *Writer) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				w.l.o.Log.Error("the lake writer came to a sudden end", "panic", r, "stack", string(debug.Stack()))
				done <- fmt.Errorf("lake writer: %v", r)
			}
		}()
		if w.l.o.Nice > 0 {
			// The thread is not given back: it ends with the goroutine, and its niceness with it.
			runtime.LockOSThread()
			if err := beNice(w.l.o.Nice); err != nil {
				w.l.o.Log.Warn("flush at normal priority", "error", err)
			}
		}
		done <- w.run(ctx)
	}()
	return <-done
}

func (w *Writer) run(ctx context.Context) (err error) {
	drain, cancel := afterEnd(ctx, w.l.o.Drain)
	defer cancel()
	err = w.start(drain)
	defer func() {
		for _, s := range w.sources {
			w.l.showWindow(s, false)
			if cerr := s.window.Close(); cerr != nil {
				w.l.o.Log.Warn("close dedup window", "table", s.name, "error", cerr)
			}
		}
	}()
	if err != nil {
		return fmt.Errorf("start lake writer: %w", err)
	}
	w.setOK()
	cursor := w.journal.Read(w.next)
	for {
		more := w.gather(ctx, cursor)
		w.l.behind.Store(more && w.batch.bytes >= w.l.o.Bytes)
		if !w.batch.empty() {
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
		if !more {
			return w.retry(drain, func() error { return w.settle(drain) })
		}
	}
}

// start opens the tables and finds out where to go on. It is tried until it succeeds or the time to drain is up.
func (w *Writer) start(ctx context.Context) error {
	return w.retry(ctx, func() error {
		tables, err := w.l.catalog.Tables(ctx)
		if err != nil {
			return err
		}
		if w.dead == nil {
			if w.dead, err = w.l.store(ctx, DeadLetters); err != nil {
				return err
			}
		}
		reached := uint64(0)
		for name := range tables {
			st := w.dead
			if name != DeadLetters {
				s, err := w.source(ctx, name)
				if err != nil {
					return err
				}
				st = s.store
			}
			flushed, err := offsets(st.current().Properties(), flushedKey)
			if err != nil {
				return err
			}
			position, err := st.position(w.log)
			if err != nil {
				return err
			}
			w.next, reached = max(w.next, flushed[w.log]), max(reached, position)
		}
		w.flushed, w.stated = w.next, w.next
		w.stat(func(s *Stats) { s.Position = w.next })
		return w.checkExtent(reached)
	})
}

// Extent is an optional ability of a [Journal]: the least offset it can give, and the one behind the last.
type Extent interface {
	Extent() (oldest, next uint64)
}

// errJournalOlder is final: offsets would be given twice, and rows taken for known ones.
var errJournalOlder = errors.New("the journal is older than the lake")

func (w *Writer) checkExtent(reached uint64) error {
	j, ok := w.journal.(Extent)
	if !ok {
		return w.trim(w.stated) // which a journal refuses that does not reach so far
	}
	oldest, next := j.Extent()
	if next < reached {
		return fmt.Errorf("%w: it ends at offset %d and the lake holds rows up to %d", errJournalOlder, next, reached)
	}
	w.next = max(w.next, oldest)
	return nil
}

func (w *Writer) source(ctx context.Context, name string) (*source, error) {
	s, ok := w.sources[name]
	if !ok {
		var err error
		if s, err = w.l.openSource(ctx, name, w.log); err != nil {
			return nil, err
		}
		w.sources[name] = s
		w.l.showWindow(s, true)
	}
	return s, nil
}

// gather reads the journal until a flush is due. It returns false when the context has ended and the journal is empty.
func (w *Writer) gather(ctx context.Context, cursor Cursor) (more bool) {
	w.batch.reset()
	var due time.Time // of the flush, once there is something to flush
	for {
		frame, err := cursor.Next()
		switch {
		case err == nil:
			w.take(frame)
			if due.IsZero() {
				due = w.due()
			}
			if w.batch.bytes >= w.l.o.Bytes || !w.l.o.Now().Before(due) {
				return true
			}
		case !errors.Is(err, io.EOF):
			w.fail(fmt.Errorf("read journal: %w", err))
			if !w.batch.empty() || !sleep(ctx, maxPause) {
				return ctx.Err() == nil
			}
		case ctx.Err() != nil:
			return false
		default:
			switch err := w.wait(ctx, due); {
			case err == nil, ctx.Err() != nil:
			case errors.Is(err, context.DeadlineExceeded) && !due.IsZero():
				return true
			case errors.Is(err, context.DeadlineExceeded):
				if err := w.settle(ctx); err != nil {
					w.l.o.Log.Warn("the journal is not emptied", "error", err)
				}
			default: // the journal is closed: nothing more can come
				return false
			}
		}
	}
}

// due is when what has just been read is to be flushed: one interval after the last flush began, but not before a tenth
// of it has passed, in which the rest of a burst arrives.
func (w *Writer) due() time.Time {
	now, every := w.l.o.Now(), w.l.o.Every
	soon, regular := now.Add(every/10), w.began.Add(every)
	if regular.After(soon) && regular.Before(now.Add(every)) {
		return regular
	}
	return soon
}

// restAfter is how long the journal is quiet before the tables state that all of it is in them.
const restAfter = 5 * time.Second

// wait returns nil when the journal has more, and context.DeadlineExceeded when the flush is due or the journal rests.
func (w *Writer) wait(ctx context.Context, due time.Time) error {
	left := restAfter
	if !due.IsZero() {
		left = due.Sub(w.l.o.Now())
	} else if w.stated == w.flushed {
		return w.journal.Wait(ctx, w.next)
	}
	ctx, cancel := context.WithTimeout(ctx, left)
	defer cancel()
	return w.journal.Wait(ctx, w.next)
}

// reasonUndecodable is the dead letter of a record that the decoder does not take, which is what another version wrote.
const reasonUndecodable = "undecodable_record"

// take decodes a frame into the batch. Rows that a table has already are left out when they are flushed.
func (w *Writer) take(f Frame) {
	err := w.decode(f)
	if err != nil {
		w.l.o.Log.Error("a record of the journal cannot be decoded; it goes to the dead letters", "offset", f.Offset, "error", err)
		w.batch.addDead(&event.DeadLetter{ReceivedAt: f.ReceivedAt, Reason: reasonUndecodable, Payload: f.Payload, Log: w.log, Offset: f.Offset})
	}
	w.batch.frames++
	w.next = f.Offset + uint64(max(f.Count, 1))
	w.batch.to = w.next
}

// decode puts what a frame holds into the batch, less what is suppressed, or carries out the order that it is.
func (w *Writer) decode(f Frame) error {
	if event.IsOrder(f.Payload) {
		return w.order(f)
	}
	return w.decoder.Decode(f, w.log,
		func(source string, c *event.Call) error {
			if !w.suppressed(w.l.Suppressed(source, c)) {
				w.batch.add(source, c)
			}
			return nil
		},
		func(d *event.DeadLetter) error {
			if !w.suppressed(w.l.suppressedLetter(d, false)) {
				w.batch.addDead(d)
			}
			return nil
		})
}
