// Package event knows one Segment call: how a request body is checked and split into calls, how clocks are corrected, and
// which rows of which tables a call becomes.
//
// The rules are those of Segment's tracking API (https://segment.com/docs/connections/spec/) and of its warehouse schema.
package event

import "math"

// NoTime marks an absent time in a field of Unix microseconds.
const NoTime = math.MinInt64

// Call is one event after the checks, the clock correction and the merge of its envelope: one row of the lake.
//
// Byte slices may point into the decoded request; whoever keeps a Call longer than the callback that delivered it copies them.
type Call struct {
	// MessageID is the caller's messageId, or one derived from Log and Offset where the call had none.
	MessageID string
	// Type is one of track, identify, page, screen, group, alias.
	Type string
	// Event is the name of a track call; for the other types it is the type's own name.
	Event       string
	UserID      string
	AnonymousID string

	// Times are Unix microseconds, UTC. SentAt and OriginalTimestamp may be NoTime.
	TS, ReceivedAt, SentAt, OriginalTimestamp int64

	// Properties (traits for identify, group and alias), Context and Payload are JSON text; nil when absent.
	// Payload is the call as it came, less the write key, with the envelope's context and integrations merged in.
	Properties, Context, Payload []byte

	// Integrations is what the call's integrations object, the envelope's merged in, says about warehouses: a compact JSON object of its
	// members All and Warehouses; nil where All is not false and Warehouses is absent. See [ForWarehouse].
	Integrations []byte

	// Log and Offset say where the call stands: the journal's UUID and the offset within it.
	Log    string
	Offset uint64
}

// DeadLetter is a call that was refused, with the reason.
type DeadLetter struct {
	ReceivedAt int64 // Unix microseconds
	Source     string
	Reason     string
	Payload    []byte
	Log        string
	Offset     uint64
}

// Discard is a value that could not be stored where it belonged: a row of <source>.firth_discards.
type Discard struct {
	TableName, ColumnName, Value, ValueType, ColumnType, Reason, RowID string
	ReceivedAt                                                         int64 // Unix microseconds
}
