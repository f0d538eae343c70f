package lake

import (
	"context"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
	"firth/internal/lake/window"
)

// ReasonArchive is the reason of dead letters about damage of an archive itself.
const ReasonArchive = "archive_damaged"

// importStep is what becomes one commit: the lines with the offsets [from, to).
type importStep struct {
	from, to uint64
	next     importState // where an import goes on that has the step
	orders   int64       // what was known of suppressed people when the first line was read
	late     []uint64    // a bit for each offset behind the first: an event of somebody who is suppressed since

	runs    []*importRun
	ids     []importID
	letters []*event.DeadLetter

	totals    ImportTotals
	days      map[int64]*ImportCount
	types     [len(callTypes)]ImportCount
	reasons   map[string]int64
	faults    []ImportFault
	made      int
	madeBytes int64
}

// importID is what tells an event apart.
type importID struct {
	id    window.ID
	bloom uint64
	ts    int64
	at    uint32 // offset behind the step's first
}

// close gives back what the step holds.
func (s *importStep) close(free chan<- *importRun) (err error) {
	for _, r := range s.runs {
		if r.file == nil {
			r.reset()
			free <- r
		} else if cerr := r.close(); cerr != nil {
			err = cerr
		}
	}
	s.runs = nil
	return err
}

// letterBytes is how many bytes of dead letters end a step.
const letterBytes = 8 << 20

// importReader makes steps of lines. It serves one goroutine.
type importReader struct {
	im    *importing
	steps chan<- *importStep
	free  chan *importRun

	decoder event.Decoder
	request event.Request
	step    *importStep
	run     *importRun // being filled

	offset    uint64 // of the next line
	file      int
	base      uint64 // offset of the file's first line
	name      string
	day       int64
	line      int64
	text      []byte
	letters   int // bytes
	lines     int64
	told      time.Time
	oldest    int64 // of days that are kept
	from, end int64 // the span, by receipt
}

func (r *importReader) begin() {
	im := r.im
	r.request = event.Request{Source: im.o.Source, IPPolicy: im.o.IPPolicy}
	r.file, r.base, r.offset = im.start.File, im.start.Base, im.start.Base
	r.look()
	r.from, r.end, r.oldest = event.NoTime, 1<<63-1, event.NoTime
	if !im.o.From.IsZero() {
		r.from = im.o.From.UnixMicro()
	}
	if !im.o.To.IsZero() {
		r.end = im.o.To.UnixMicro()
	}
	if im.o.Keep > 0 {
		r.oldest = dayOf(im.l.o.Now().Add(-im.o.Keep).UnixMicro())
	}
	r.fresh()
}

func (r *importReader) fresh() {
	at := max(r.offset, r.im.position)
	r.step = &importStep{from: at, to: at, orders: r.im.l.suppress.state(), days: map[int64]*ImportCount{}, reasons: map[string]int64{}}
	select {
	case r.step.ids = <-r.im.spare:
	default:
	}
	r.letters = 0
}

// look takes down what is known of the present file.
func (r *importReader) look() {
	if r.file < r.im.o.Archive.Files() {
		r.name, r.day = r.im.o.Archive.Name(r.file), r.im.o.Archive.Day(r.file)
	}
}

// readAll reads the archive to its end and sends the steps.
func (r *importReader) readAll(ctx context.Context) (err error) {
	r.begin()
	defer func() {
		if r.run != nil { // of a step that is not sent
			r.run.reset()
			r.free <- r.run
		}
		if err != nil {
			for _, run := range r.step.runs {
				if run.file != nil {
					_ = run.close() // it has no name: nothing is lost
				}
			}
		}
	}()
	err = r.im.o.Archive.Walk(ctx, r.im.start.File, func(file int, line int64, text []byte, fault error) error {
		if file != r.file {
			r.file, r.base = file, r.offset
			r.look()
		}
		r.line, r.text = line, text
		return r.take(ctx, fault)
	})
	if err != nil {
		return err
	}
	r.file, r.base = r.im.o.Archive.Files(), r.offset
	return r.send(ctx, true)
}

// take reads one line.
func (r *importReader) take(ctx context.Context, fault error) error {
	at := r.offset
	r.offset++
	if at < r.im.position {
		return nil // a run before has committed it
	}
	s := r.step
	s.totals.Lines++
	r.lines++
	s.to = r.offset
	if fault != nil {
		s.faults = append(s.faults[:min(len(s.faults), mostFaults)], ImportFault{File: r.name, Line: r.line, Why: fault.Error()})
		r.refuse(ReasonArchive, fault.Error(), r.text)
	} else if err := r.decoder.Archived(&r.request, r.text, r.im.log, at, r.day, func(c *event.Call) error { return r.call(ctx, c) },
		func(d *event.DeadLetter) error {
			if !event.Kept(d.Reason) {
				s.totals.Refused++
			}
			r.letter(d.Reason, "", d.Payload)
			return nil
		}); err != nil {
		return err
	}
	if len(s.ids) >= r.im.o.Step || s.to-s.from >= uint64(4*r.im.o.Step) || r.letters >= letterBytes || len(s.runs) >= mostRuns {
		return r.send(ctx, false)
	}
	if r.lines&1023 == 0 && time.Since(r.told) >= importTell {
		r.told = time.Now()
		r.im.tell(r.file, r.lines, r.im.added.Load())
	}
	return nil
}

// importTell is the least time between two reports of progress.
const importTell = 200 * time.Millisecond

// mostRuns bounds the runs of a step, which are read side by side.
const mostRuns = 64

// call takes an event.
func (r *importReader) call(ctx context.Context, c *event.Call) error {
	s := r.step
	switch {
	case c.ReceivedAt < r.from || c.ReceivedAt >= r.end:
		s.totals.Outside++
		return nil
	case dayOf(c.TS) < r.oldest:
		s.totals.Outdated++
		return nil
	case r.im.l.Suppressed(r.im.o.Source, c):
		s.totals.Suppressed++
		return nil
	}
	s.totals.Read++
	s.ids = append(s.ids, importID{id: window.Hash(c.MessageID), bloom: rowfile.BloomHash([]byte(c.MessageID)), ts: c.TS, at: uint32(c.Offset - s.from)})
	if r.run != nil && r.run.full(len(c.Payload)+len(c.Properties)+len(c.Context)+headBytes) {
		r.run.sort()
		spilled, err := r.run.spill(r.im.o.Temp)
		if err != nil {
			return err
		}
		s.runs = append(s.runs, spilled)
		r.run.reset()
	}
	if r.run == nil {
		select {
		case r.run = <-r.free:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	r.run.add(c)
	return nil
}

// refuse takes a line that is no event.
func (r *importReader) refuse(reason, why string, text []byte) {
	r.step.totals.Refused++
	r.letter(reason, why, text)
}

// letter keeps a dead letter: its payload says where the line is.
func (r *importReader) letter(reason, why string, text []byte) {
	r.step.reasons[reason]++
	p := quoteTo([]byte(`{"archive":`), r.name)
	p = append(p, `,"line":`...)
	p = strconv.AppendInt(p, r.line, 10)
	if why != "" {
		p = quoteTo(append(p, `,"why":`...), why)
	}
	p = append(p, `,"payload":`...)
	if jsontext.Value(text).IsValid() {
		p = append(p, text...)
	} else {
		p = quoteTo(p, string(text))
	}
	p = append(p, '}')
	r.letters += len(p)
	r.step.letters = append(r.step.letters, &event.DeadLetter{
		ReceivedAt: r.im.began.UnixMicro(), Source: r.im.o.Source, Reason: reason, Payload: p, Log: r.im.log, Offset: r.offset - 1,
	})
}

// send hands the step over to be written.
func (r *importReader) send(ctx context.Context, last bool) error {
	s := r.step
	s.next = importState{File: r.file, Base: r.base, Done: last}
	if r.run != nil {
		r.run.sort()
		s.runs = append(s.runs, r.run)
		r.run = nil
	}
	select {
	case r.steps <- s:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.fresh()
	return nil
}

// quoteTo appends a text as JSON.
func quoteTo(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text) // the error can only be of text that is not UTF-8; U+FFFD stands in its place
	return dst
}
