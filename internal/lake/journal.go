package lake

import (
	"context"

	"firth/internal/event"
)

// Frame is one durable record of the journal: Count items with the offsets Offset to Offset+Count-1.
type Frame struct {
	Offset     uint64
	Count      int
	ReceivedAt int64 // Unix microseconds
	Payload    []byte
}

// Journal is the log that the writer empties. It is called from one goroutine.
type Journal interface {
	// Log is the UUID of the log: offsets count within it.
	Log() string
	// Read returns a cursor that stands at the first record whose items reach beyond from.
	Read(from uint64) Cursor
	// Wait returns nil as soon as something durable lies at or beyond the offset, or the context's error.
	Wait(ctx context.Context, beyond uint64) error
	// Trim says that nothing below the offset will be read again.
	Trim(before uint64) error
}

// Cursor walks the durable records of a journal in the order of their offsets.
type Cursor interface {
	// Next returns the next record, or io.EOF at the durable end; called again later it goes on from there. The payload is
	// good until the next call.
	Next() (Frame, error)
}

// Decoder turns the payload of a frame into calls and dead letters, each with the offset of its item. It is deterministic:
// the same frame of the same log gives the same calls. What it hands out is good until the callback returns.
type Decoder interface {
	Decode(f Frame, log string, call func(source string, c *event.Call) error, dead func(*event.DeadLetter) error) error
}
