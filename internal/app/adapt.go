package app

import (
	"strconv"

	"firth/internal/event"
	"firth/internal/journal"
	"firth/internal/lake"
)

// logCursor shows the journal as the log that the lake's writer empties, and notes when what it reads was received.
type logCursor struct {
	*journal.Journal
	lag *flushLag
}

func (l logCursor) Read(from uint64) lake.Cursor { return frames{l.Journal.Read(from), l.lag} }

type frames struct {
	r   *journal.Reader
	lag *flushLag
}

func (f frames) Next() (lake.Frame, error) {
	frame, err := f.r.Next()
	if err == nil {
		f.lag.note(frame.Offset, frame.ReceivedAt)
	}
	return lake.Frame{Offset: frame.Offset, Count: frame.Count, ReceivedAt: frame.ReceivedAt, Payload: frame.Payload}, err
}

// callDecoder decodes the payloads that collect wrote. It serves one goroutine.
type callDecoder struct {
	request event.Request
	decoder event.Decoder
}

func newCallDecoder() *callDecoder { return &callDecoder{} }

// reasonDamaged is the dead letter of a journal record that passed its checksum and still cannot be decoded.
const reasonDamaged = "undecodable_record"

func (d *callDecoder) Decode(f lake.Frame, log string, call func(string, *event.Call) error, dead func(*event.DeadLetter) error) error {
	if err := d.request.Decode(f.Payload); err != nil {
		// Nothing that was acknowledged is thrown away, and nothing stands in the way of what comes behind.
		return dead(&event.DeadLetter{ReceivedAt: f.ReceivedAt, Reason: reasonDamaged, Payload: []byte(strconv.QuoteToASCII(string(f.Payload))), Log: log, Offset: f.Offset})
	}
	return d.decoder.Decode(&d.request, log, f.Offset, f.ReceivedAt,
		func(c *event.Call) error { return call(d.request.Source, c) }, dead)
}

// Extent is what the journal holds: the oldest offset that can be read, and the one that the next append gets.
func (l logCursor) Extent() (oldest, next uint64) {
	s := l.Stats()
	return s.Oldest, s.Next
}
