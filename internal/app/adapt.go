package app

import (
	"log/slog"
	"strconv"

	"firth/internal/event"
	"firth/internal/journal"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/warehouse"
)

// logCursor shows the journal as the log that the lake's writer empties.
type logCursor struct{ *journal.Journal }

func (l logCursor) Read(from uint64) lake.Cursor { return frames{l.Journal.Read(from)} }

type frames struct{ r *journal.Reader }

func (f frames) Next() (lake.Frame, error) {
	frame, err := f.r.Next()
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

// batchShaper hands what a shaper made to the loader as a batch.
type batchShaper struct {
	*event.Shaper
	source string
	log    *slog.Logger
}

func newShaper(rules name.Rules, log *slog.Logger) func(source string) load.Shaper {
	return func(source string) load.Shaper {
		return batchShaper{event.NewShaper(source, rules, event.ShapeOptions{}), source, log}
	}
}

func (b batchShaper) Take() *warehouse.Batch {
	l := b.Shaper.Take()
	for _, notice := range l.Notices {
		b.log.Warn("tables", "source", b.source, "notice", notice)
	}
	return &warehouse.Batch{Tables: l.Tables, Upserts: l.Upserts, Discards: l.Discards}
}

// Extent is what the journal holds: the oldest offset that can be read, and the one that the next append gets.
func (l logCursor) Extent() (oldest, next uint64) {
	s := l.Stats()
	return s.Oldest, s.Next
}
