package parts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"firth/internal/bench"
	"firth/internal/event"
	"firth/internal/lake"
)

// fill brings the events of the job into the lake.
func fill(ctx context.Context, job bench.FillJob) (out bench.FillResult, err error) {
	if job.Events < 1 || job.PerFlush < 1 {
		return out, fmt.Errorf("fill: %d events, %d a flush: both must be at least 1", job.Events, job.PerFlush)
	}
	o := lakeOptions(job.Data)
	o.Sources, o.Bytes = []string{job.Source}, 1 // every record is a flush
	closeStore, err := storeOptions(ctx, &o, job)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	if err := errors.Join(os.MkdirAll(o.Dir, 0o750), os.MkdirAll(o.Window, 0o750)); err != nil {
		return out, err
	}
	l, err := lake.Open(ctx, o)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	began, cpu := time.Now(), cpuTime()
	j := newTraffic(job)
	w := l.Writer(j, j)
	// All of it is there from the start: an ended context asks for the flushes and no waiting.
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := w.Run(ended); err != nil {
		return out, err
	}
	s := w.Stats()
	if s.Rows != int64(job.Events) || s.DeadLetters > 0 {
		return out, fmt.Errorf("fill: of %d events %d became rows and %d dead letters", job.Events, s.Rows, s.DeadLetters)
	}
	return bench.FillResult{Rows: s.Rows, Files: s.Files, Bytes: s.Bytes, Took: time.Since(began), CPU: cpuTime() - cpu, Flushes: j.flushes}, nil
}

// bodySize is the number of events that are decoded at once, at most.
const bodySize = 100

// traffic is a journal that makes its records when they are asked for. It is used by one goroutine.
type traffic struct {
	job     bench.FillJob
	bodies  *bench.Bodies
	request event.Request
	decoder event.Decoder

	at      uint64    // offset of the next record
	given   time.Time // when the last record was
	flushes []time.Duration
}

func newTraffic(job bench.FillJob) *traffic {
	return &traffic{job: job, bodies: bench.NewBodies(min(bodySize, max(2, job.PerFlush)), job.Salt, job.Kinds), at: job.First}
}

func (t *traffic) end() uint64 { return t.job.First + uint64(t.job.Events) }

func (t *traffic) Log() string                   { return t.job.Log }
func (t *traffic) Extent() (oldest, next uint64) { return t.job.First, t.end() }
func (t *traffic) Trim(uint64) error             { return nil }
func (t *traffic) Read(from uint64) lake.Cursor  { t.at = max(t.at, from); return t }
func (t *traffic) Wait(ctx context.Context, beyond uint64) error {
	if beyond < t.end() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

// Next gives the next record, whose calls are made by Decode. What passes until it is called again is the flush.
func (t *traffic) Next() (lake.Frame, error) {
	now := time.Now()
	if !t.given.IsZero() {
		t.flushes = append(t.flushes, now.Sub(t.given))
	}
	if t.at >= t.end() {
		t.given = time.Time{}
		return lake.Frame{}, io.EOF
	}
	t.given = now
	n := min(uint64(t.job.PerFlush), t.end()-t.at)
	f := lake.Frame{Offset: t.at, Count: int(n), ReceivedAt: t.received(t.at).UnixMicro()}
	t.at += n
	return f, nil
}

// received is when the event at the offset was.
func (t *traffic) received(offset uint64) time.Time {
	share := float64(offset-t.job.First) / float64(t.job.Events)
	return t.job.Start.Add(time.Duration(share * float64(t.job.Span)))
}

// Decode makes the calls of a record. A record is decoded once.
func (t *traffic) Decode(f lake.Frame, log string, call func(string, *event.Call) error, dead func(*event.DeadLetter) error) error {
	left := f.Count
	for at := f.Offset; left > 0; {
		now := t.received(at).Add(2 * time.Second) // calls happened up to two seconds before: all of a day's are of that day
		n := 0
		t.request.Source, t.request.Body = t.job.Source, t.bodies.Next(now)
		err := t.decoder.Decode(&t.request, log, at, now.UnixMicro(), func(c *event.Call) error {
			if n++; n > left {
				return nil // a body too many for the record
			}
			return call(t.job.Source, c)
		}, dead)
		if err != nil {
			return err
		}
		n = min(n, left)
		at, left = at+uint64(n), left-n
	}
	return nil
}
