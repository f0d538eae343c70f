package journal

import (
	"time"
)

// State says whether a journal takes appends.
type State uint8

// The states of a journal.
const (
	StateReady  State = iota
	StateFull         // refuses with ErrFull, heals by itself
	StateFailed       // refuses with ErrFailed, for good
	StateClosed       // refuses with ErrClosed
)

func (s State) String() string {
	return [...]string{"ready", "full", "failed", "closed"}[s]
}

// Buckets is the number of buckets of Stats.SyncBuckets.
const Buckets = 12

// Bounds gives the upper bounds of the buckets of Stats.SyncBuckets but for the last one, which has none.
func Bounds() [Buckets - 1]time.Duration {
	return [...]time.Duration{
		100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
		time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
		10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond,
		500 * time.Millisecond, 2 * time.Second,
	}
}

// Stats is the journal at one moment, with counters since Open.
type Stats struct {
	Log   string
	State State
	Err   error  // why State is full or failed
	Hint  string // what a person can do about it
	// Refused is why State was full last, now or earlier; nil where it never was. It often heals sooner than anyone looks.
	Refused error

	Bytes    int64 // on disk
	MaxBytes int64 // the budget; 0: none
	Segments int
	Oldest   uint64 // the lowest offset that can be read
	Next     uint64 // the offset behind the last durable one; the next append gets it
	// LastReceivedAt is the received_at of the last frame ever, Unix microseconds; 0 when there was none.
	LastReceivedAt int64
	PendingAppends int   // waiting for the writer
	PendingBytes   int64 // of these

	Appends       uint64
	AppendedBytes uint64 // with frame headers
	Syncs         uint64
	SyncTime      time.Duration // all syncs together
	LastSync      time.Duration
	SyncBuckets   [Buckets]uint64 // syncs by duration; not cumulative; see [Bounds]

	// Recovered says what Open found at the end of the last segment.
	Recovered Recovery
}

// Recovery is what Open cut away: the rest of a write that a crash had interrupted, never acknowledged.
type Recovery struct {
	Path   string // the last segment
	Byte   int64  // where it was cut
	Bytes  int64  // how much was cut away; 0: nothing
	Reason string // what was wrong at that byte
}

func (s *Stats) countSync(took time.Duration) {
	s.Syncs++
	s.SyncTime += took
	s.LastSync = took
	i := 0
	for bounds := Bounds(); i < len(bounds) && took > bounds[i]; {
		i++
	}
	s.SyncBuckets[i]++
}

// Stats gives the journal as it is now. It waits for no disk.
func (j *Journal) Stats() Stats {
	appends, bytes := j.queue.pending()
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.stats
	s.Log, s.State, s.Err = j.log.String(), j.state, j.cause
	if s.State != StateFailed && j.over {
		s.State, s.Err = StateClosed, nil
	}
	s.Hint, s.Refused = Hint(s.Err), j.refused
	if s.State == StateFailed {
		s.Hint = failedHint
	}
	s.Bytes, s.MaxBytes, s.Segments = j.bytes, j.opt.MaxBytes, len(j.segments)
	s.Oldest, s.Next, s.LastReceivedAt = j.floor, j.next, j.last
	s.PendingAppends, s.PendingBytes = appends, bytes
	return s
}
