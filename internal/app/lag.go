package app

import (
	"sync"
	"time"
)

// flushLag remembers when the records that the lake's writer reads were received, so that it is known how old the oldest one is
// that is not in the lake. It is safe for use by several goroutines.
type flushLag struct {
	mu    sync.Mutex
	marks []lagMark // of the journal, a tenth of a second apart
}

// lagMark is a record of the journal.
type lagMark struct {
	offset   uint64
	received int64 // Unix microseconds
}

const markEvery = 100_000 // microseconds

// maxMarks bounds what is remembered when nobody asks; beyond it every second mark goes.
const maxMarks = 1024

// note takes a record that the writer has read. Offsets and times of receipt grow, but for a replay after trouble.
func (l *flushLag) note(offset uint64, received int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.marks); n > 0 {
		last := l.marks[n-1]
		if offset < last.offset {
			l.marks = l.marks[:0]
		} else if received-last.received < markEvery {
			return
		}
	}
	if len(l.marks) == maxMarks {
		for i := range maxMarks / 2 {
			l.marks[i] = l.marks[2*i]
		}
		l.marks = l.marks[:maxMarks/2]
	}
	l.marks = append(l.marks, lagMark{offset, received})
}

// oldest is when the record at a position of the journal was received, or at most a moment before; ok is false where the writer
// has read nothing there.
func (l *flushLag) oldest(position uint64) (received time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	passed := 0
	for passed+1 < len(l.marks) && l.marks[passed+1].offset <= position {
		passed++
	}
	l.marks = append(l.marks[:0], l.marks[passed:]...)
	if len(l.marks) == 0 {
		return time.Time{}, false
	}
	return time.UnixMicro(l.marks[0].received), true
}
