package lake

import (
	"unsafe"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// Field ids of the columns that bounds are read from. Ids are for ever: a new column takes the next number.
const (
	idMessageID  = 1
	idEvent      = 3
	idTS         = 4
	idReceivedAt = 5
	idLog        = 13
	idOffset     = 14

	idDeadReceivedAt = 1
	idDeadLog        = 5
	idDeadOffset     = 6
)

// Names of columns that scans choose.
const (
	colMessageID  = "message_id"
	colReceivedAt = "received_at"
	colLog        = "_firth_log"
	colOffset     = "_firth_offset"
)

type callColumn = rowfile.Column[event.Call]

// callTable is the shape of the tables of events.
func callTable() *rowfile.Table[event.Call] {
	return rowfile.NewTable("event", event.Call{SentAt: event.NoTime, OriginalTimestamp: event.NoTime}, callColumns(), "event", "ts")
}

func callColumns() []callColumn {
	return []callColumn{
		text(idMessageID, colMessageID, func(c *event.Call) *string { return &c.MessageID }, bloom),
		text(2, "type", func(c *event.Call) *string { return &c.Type }, repeats),
		text(idEvent, "event", func(c *event.Call) *string { return &c.Event }, repeats),
		number(idTS, "ts", rowfile.Time, func(c *event.Call) *int64 { return &c.TS }),
		number(idReceivedAt, colReceivedAt, rowfile.Time, func(c *event.Call) *int64 { return &c.ReceivedAt }),
		number(6, "sent_at", rowfile.Time, func(c *event.Call) *int64 { return &c.SentAt }),
		number(7, "original_timestamp", rowfile.Time, func(c *event.Call) *int64 { return &c.OriginalTimestamp }),
		text(8, "user_id", func(c *event.Call) *string { return &c.UserID }),
		text(9, "anonymous_id", func(c *event.Call) *string { return &c.AnonymousID }),
		json(10, "properties", func(c *event.Call) *[]byte { return &c.Properties }),
		json(11, "context", func(c *event.Call) *[]byte { return &c.Context }),
		json(12, "og_payload", func(c *event.Call) *[]byte { return &c.Payload }),
		text(idLog, colLog, func(c *event.Call) *string { return &c.Log }, repeats),
		offset(idOffset, colOffset, func(c *event.Call) *uint64 { return &c.Offset }),
		added(json(15, "_firth_integrations", func(c *event.Call) *[]byte { return &c.Integrations })),
	}
}

// deadTable is the shape of the table of dead letters.
func deadTable() *rowfile.Table[event.DeadLetter] {
	return rowfile.NewTable("dead_letter", event.DeadLetter{}, deadColumns(), colReceivedAt)
}

func deadColumns() []rowfile.Column[event.DeadLetter] {
	type letter = event.DeadLetter
	return []rowfile.Column[letter]{
		number(idDeadReceivedAt, colReceivedAt, rowfile.Time, func(d *letter) *int64 { return &d.ReceivedAt }),
		text(2, "source", func(d *letter) *string { return &d.Source }, repeats),
		text(3, "reason", func(d *letter) *string { return &d.Reason }, repeats),
		json(4, "payload", func(d *letter) *[]byte { return &d.Payload }),
		text(idDeadLog, colLog, func(d *letter) *string { return &d.Log }, repeats),
		offset(idDeadOffset, colOffset, func(d *letter) *uint64 { return &d.Offset }),
	}
}

type trait uint8

const (
	repeats trait = 1 << iota
	bloom
)

func text[T any](id int, name string, at func(*T) *string, traits ...trait) rowfile.Column[T] {
	var all trait
	for _, t := range traits {
		all |= t
	}
	return rowfile.Column[T]{
		ID: id, Name: name, Kind: rowfile.Text, Repeats: all&repeats != 0, Bloom: all&bloom != 0,
		Bytes: func(row *T) []byte {
			s := *at(row)
			return unsafe.Slice(unsafe.StringData(s), len(s)) // read only, and gone before the row changes
		},
		SetText: func(row *T, s string) { *at(row) = s },
	}
}

func json[T any](id int, name string, at func(*T) *[]byte) rowfile.Column[T] {
	return rowfile.Column[T]{
		ID: id, Name: name, Kind: rowfile.JSON,
		Bytes:    func(row *T) []byte { return *at(row) },
		SetBytes: func(row *T, b []byte) { *at(row) = b },
	}
}

// added marks a column that files of earlier formats lack.
func added[T any](c rowfile.Column[T]) rowfile.Column[T] {
	c.Added = true
	return c
}

func number[T any](id int, name string, kind rowfile.Kind, at func(*T) *int64) rowfile.Column[T] {
	return rowfile.Column[T]{
		ID: id, Name: name, Kind: kind,
		Number: func(row *T) (int64, bool) {
			v := *at(row)
			return v, v != event.NoTime
		},
		SetNumber: func(row *T, v int64) { *at(row) = v },
	}
}

// offset stores an unsigned offset in a signed column: a journal never counts so far.
func offset[T any](id int, name string, at func(*T) *uint64) rowfile.Column[T] {
	return rowfile.Column[T]{
		ID: id, Name: name, Kind: rowfile.Long,
		Number:    func(row *T) (int64, bool) { return int64(*at(row)), true },
		SetNumber: func(row *T, v int64) { *at(row) = uint64(v) },
	}
}
