package lake

import (
	"errors"
	"fmt"
	"time"

	"firth/internal/disk"
)

// MergeStats describe the mergers' work: counters since the start, and gauges.
type MergeStats struct {
	Merges            int64
	FilesIn, FilesOut int64
	RowsIn, RowsOut   int64
	Duplicates        int64 // rows left out
	BytesIn, BytesOut int64
	Spilled           int64         // bytes that went through the folder for spill
	Busy              time.Duration // spent merging
	Failures          int64

	Flushed       int64   // bytes that flushes wrote
	Amplification float64 // bytes written by flushes and merges, by those written by flushes; 0 before the first flush
	RowsPerSecond float64 // of the last merge

	// What waits to be merged, as of the last look.
	WaitingFiles, WaitingRows, WaitingBytes int64
	OldestWaiting                           time.Time // of receipt of its last row; zero when nothing waits
	Damaged                                 int64     // files that cannot be merged
}

// Stats returns a copy.
func (m *Merger) Stats() MergeStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.stats
	if s.Flushed = m.l.flushed.Load(); s.Flushed > 0 {
		s.Amplification = float64(s.Flushed+s.BytesOut) / float64(s.Flushed)
	}
	s.Damaged = int64(len(m.damaged))
	return s
}

func (m *Merger) count(out *merged, took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.stats
	s.Merges++
	s.FilesIn += int64(out.filesIn)
	s.FilesOut++
	s.RowsIn += out.rowsIn
	s.RowsOut += out.rowsOut
	s.Duplicates += out.rowsIn - out.rowsOut
	s.BytesIn += out.bytesIn
	s.BytesOut += out.bytesOut
	s.Spilled += out.spilled
	if took = max(took, 0); took > 0 {
		s.RowsPerSecond = float64(out.rowsIn) / took.Seconds()
	}
	s.Busy += took
}

// waits takes down what a merger found to do, in all tables.
func (m *Merger) waits(kind MergeKind, source string, files []*File) {
	if source != "" || kind != MergeSmall {
		return
	}
	var rows, bytes, oldest int64
	for _, f := range files {
		rows += f.Rows
		bytes += f.Bytes
		if oldest == 0 || f.MaxReceived < oldest {
			oldest = f.MaxReceived
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.stats
	s.WaitingFiles, s.WaitingRows, s.WaitingBytes, s.OldestWaiting = int64(len(files)), rows, bytes, time.Time{}
	if len(files) > 0 {
		s.OldestWaiting = microsTime(oldest)
	}
}

// logEvery is how often a failure that goes on is logged.
const logEvery = time.Minute

// show takes down how the last merge went. It returns errors that end the mergers.
func (m *Merger) show(err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.state = State{Name: "merge", State: StateOK}
		return nil
	}
	if m.l.o.final(err) {
		return err
	}
	text, hint := err.Error(), mergeHint(err)
	m.stats.Failures++
	if now := m.l.o.Now(); m.state.State != StateFailing || now.Sub(m.last).Abs() >= logEvery {
		m.l.o.Log.Error("files of the lake are not merged; nothing is lost, and it is tried again", "error", text, "hint", hint)
		m.last = now
	}
	m.state = State{Name: "merge", State: StateFailing, Error: text, Hint: hint}
	return nil
}

func mergeHint(err error) string {
	switch {
	case errors.Is(err, ErrDamaged):
		return DamageHint
	case errors.Is(err, errMergeSum):
		return "the merge was given up and its inputs stay: run firth lake verify, and look at the machine's memory"
	case disk.IsFull(err):
		return "make room on the disk of the lake, or on that of its folder for temporary files: merging takes as much as one merged file, for a while"
	default:
		return "look at the folder of the lake, its owner and its disk: small files add up until it works again, and queries get slower"
	}
}

// behindAfter is how long files wait until the mergers are said to be behind.
const behindAfter = 15 * time.Minute

// State says how the mergers are doing: failing, with what can be done, or ok; a hint beside ok says that they are behind.
func (m *Merger) State() State {
	s := m.Stats()
	m.mu.Lock()
	state := m.state
	m.mu.Unlock()
	if state.State != StateOK || s.WaitingFiles == 0 {
		return state
	}
	since := m.l.o.Now().Sub(s.OldestWaiting)
	if since < behindAfter+m.o.SmallEvery || s.WaitingFiles < hotFiles {
		return state
	}
	state.Hint = fmt.Sprintf("%d small files wait to be merged, the oldest since %s: merging is slower than writing. "+
		"Give the machine more processor time, or a longer lake.flush interval; 'firth lake merge' merges at once",
		s.WaitingFiles, s.OldestWaiting.Format(time.RFC3339))
	return state
}
