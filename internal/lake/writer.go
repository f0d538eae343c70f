package lake

import (
	"context"
	"errors"
	"time"
)

// Writer moves records from the journal to the tables.
type Writer struct{}

// Run flushes until the context ends; then it flushes what the journal still holds and returns nil. Trouble with the disk,
// the catalog or the clock is shown by State and tried again without end, except after the context has ended: then it is
// returned, and the journal keeps what was not flushed.
func (w *Writer) Run(ctx context.Context) error { return errors.ErrUnsupported }

// State says how the writer is doing. Safe for concurrent use.
func (w *Writer) State() State { return State{} }

// Stats are counters since the start, and gauges. Safe for concurrent use.
func (w *Writer) Stats() Stats { return Stats{} }

// Stats describe a writer's work.
type Stats struct {
	Position    uint64    // first offset of the journal that is not yet in the lake
	Flushed     time.Time // end of the last flush
	FlushTime   time.Duration
	Flushes     int64
	Rows        int64
	Duplicates  int64
	DeadLetters int64
	Files       int64
	Bytes       int64 // of Parquet
	Sources     map[string]SourceStats
}

// SourceStats describe one table.
type SourceStats struct {
	Rows, Duplicates, Late int64
	WindowIDs              int64
	WindowSpan             time.Duration // how far back the dedup window really reaches
}
