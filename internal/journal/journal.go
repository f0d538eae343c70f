// Package journal is the durable log between collecting and the lake: what is in it has been acknowledged.
//
// A journal is a folder of segment files to which one writer appends. Appends that arrive while a sync is under way form a
// group: one write, one fdatasync, and all of them return. A reader follows up to what is durable and never sees more.
// Whole segments are deleted once the lake holds what is in them. docs/journal-format.md describes the files.
//
// Durable means: on this machine's disk, as far as its fdatasync tells the truth. A disk that is lost takes with it what the
// lake did not have yet.
package journal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"
	"time"

	"firth/internal/disk"
)

const maxCount = math.MaxInt32

var errCount = errors.New("a payload takes up between 1 and 2147483647 offsets")

// Options configures a journal. The zero value is usable.
type Options struct {
	// MaxBytes is the budget of all segments together; appends beyond it get ErrFull until Trim has made room. 0: none.
	MaxBytes int64
	// MinFree is left free on the journal's file system, so that whoever must write before the journal can be trimmed still
	// can. Appends that would go below it get ErrFull. 0: the disk is used up.
	MinFree uint64
	// SegmentBytes is the size at which a new segment is begun, 64 MiB by default, and at most a quarter of MaxBytes.
	SegmentBytes int64
	// Now is the clock, time.Now by default.
	Now func() time.Time
	// Random gives the bytes of the log's UUID and of salts, crypto/rand by default.
	Random io.Reader

	// tend is how often Run looks after an idle or full journal.
	tend time.Duration
}

func (o Options) withDefaults() Options {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 64 << 20
	}
	if o.MaxBytes > 0 {
		o.SegmentBytes = min(o.SegmentBytes, max(o.MaxBytes/4, segmentHeader))
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.tend <= 0 {
		o.tend = time.Second
	}
	return o
}

// Journal is an open journal. Its methods are safe for concurrent use. Only one Journal may have a folder open, which the
// caller sees to by a lock on the data folder.
type Journal struct {
	fs  disk.FS
	dir string
	opt Options
	log id

	queue queue

	trimming sync.Mutex // held by the one Trim that deletes

	writing sync.Mutex // held while the tail is written to or exchanged; taken before mu
	active  disk.File  // the tail; nil after Close
	buf     []byte

	mu       sync.Mutex
	segments []*segment // oldest first
	tail     *segment   // the last one, which is appended to; changes only with writing held, too
	bytes    int64      // in all segments
	floor    uint64     // the oldest offset that can be read
	next     uint64     // the offset that the next append gets; changes only with writing held, too
	last     int64      // the last received_at; changes only with writing held, too
	trimmed  uint64     // where Trim has been asked to go
	state    State
	cause    error         // of StateFull and StateFailed
	refused  error         // the cause of the last StateFull, also after it has healed
	over     bool          // Run has returned
	grown    chan struct{} // closed when next grows; nil when nobody waits
	stats    Stats         // the counters
}

// Log is the UUID of the log. It is made with the folder and stays for its life.
func (j *Journal) Log() string { return j.log.String() }

// Wait returns nil when something durable lies at or beyond an offset, which is the case at once for offsets below
// Stats().Next. It returns the context's error when that ends first, and [ErrClosed] when nothing more can come.
func (j *Journal) Wait(ctx context.Context, beyond uint64) error {
	for {
		j.mu.Lock()
		if j.next > beyond {
			j.mu.Unlock()
			return nil
		}
		if j.over {
			j.mu.Unlock()
			return ErrClosed
		}
		if j.grown == nil {
			j.grown = make(chan struct{})
		}
		grown := j.grown
		j.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wakeReaders wakes those in Wait. mu is held.
func (j *Journal) wakeReaders() {
	if j.grown != nil {
		close(j.grown)
		j.grown = nil
	}
}

// Close closes the tail. Call it when Run has returned and nobody reads any more.
func (j *Journal) Close() error {
	j.queue.close()
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	j.over = true
	j.wakeReaders()
	j.mu.Unlock()
	if j.active == nil {
		return nil
	}
	err := j.active.Close()
	j.active = nil
	if err != nil {
		return fmt.Errorf("close journal segment: %w", err)
	}
	return nil
}
