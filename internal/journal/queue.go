package journal

import (
	"context"
	"hash/crc32"
	"sync"
	"sync/atomic"
)

const (
	// groupBytes bounds what one write and one sync carry; a single frame may be larger.
	groupBytes = 4 << 20
)

// item is one append in a group.
type item struct {
	payload []byte
	sum     uint32
	count   uint32 // 0: given up by its caller before the writer took the group
	offset  uint64 // set by the writer
}

// group is the appends that are written and synced together. Its callers share one channel, so that an append allocates
// nothing and the writer wakes all of them at once.
type group struct {
	items []item
	bytes int64
	taken bool // by the writer: items are fixed
	done  chan struct{}
	users atomic.Int32

	// Set by the writer before done is closed.
	received int64
	err      error
}

// queue holds the groups that wait for the writer.
type queue struct {
	mu      sync.Mutex
	waiting []*group
	closed  bool
	wake    chan struct{} // holds one token when something waits
	spare   sync.Pool     // of *group
}

// add puts an append into the last waiting group.
func (q *queue) add(payload []byte, sum uint32, count uint32) (*group, int, error) {
	size := int64(frameHeader + len(payload))
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, 0, ErrClosed
	}
	var g *group
	if n := len(q.waiting); n > 0 && q.waiting[n-1].bytes+size <= groupBytes {
		g = q.waiting[n-1]
	} else {
		g = q.fresh()
		q.waiting = append(q.waiting, g)
	}
	g.users.Add(1)
	g.items = append(g.items, item{payload: payload, sum: sum, count: count})
	g.bytes += size
	if len(q.waiting) == 1 && len(g.items) == 1 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return g, len(g.items) - 1, nil
}

// fresh gives an empty group that the writer uses.
func (q *queue) fresh() *group {
	g, _ := q.spare.Get().(*group)
	if g == nil {
		g = &group{}
	}
	g.done = make(chan struct{})
	g.users.Store(1)
	return g
}

// release gives a group up; the last one to do so makes it ready for use again.
func (q *queue) release(g *group) {
	if g.users.Add(-1) > 0 {
		return
	}
	clear(g.items)
	g.items, g.bytes, g.taken, g.err = g.items[:0], 0, false, nil
	q.spare.Put(g)
}

// take gives the writer the first waiting group, or nil.
func (q *queue) take() *group {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	g := q.waiting[0]
	copy(q.waiting, q.waiting[1:])
	q.waiting[len(q.waiting)-1] = nil
	q.waiting = q.waiting[:len(q.waiting)-1]
	g.taken = true
	return g
}

// giveUp takes an append back; false when the writer has it already.
func (q *queue) giveUp(g *group, i int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if g.taken {
		return false
	}
	g.bytes -= int64(frameHeader + len(g.items[i].payload))
	g.items[i] = item{}
	return true
}

// close refuses further appends; what waits already is still for the writer.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}

// pending counts what waits.
func (q *queue) pending() (appends int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, g := range q.waiting {
		appends += len(g.items)
		bytes += g.bytes
	}
	return appends, bytes
}

// Entry says where an append stands.
type Entry struct {
	Offset     uint64 // of its first item
	ReceivedAt int64  // Unix microseconds; never less than that of a lower offset
}

// Append writes a payload that takes up count offsets, and returns when it is durable. It is safe for concurrent use; the
// payload must stay as it is until Append returns, and is not kept beyond.
//
// When ctx ends before the writer has taken the payload up, Append returns the context's error and nothing is written;
// after that moment it waits for the outcome. Any error means: not acknowledged. After ErrFull or ErrFailed, or a crash
// before the answer, the payload may nevertheless be found in the journal, once.
func (j *Journal) Append(ctx context.Context, payload []byte, count int) (Entry, error) {
	if len(payload) > MaxPayload {
		return Entry{}, ErrTooLarge
	}
	if count < 1 || count > maxCount {
		return Entry{}, errCount
	}
	if err := ctx.Err(); err != nil {
		return Entry{}, err
	}
	sum := crc32.Checksum(payload, castagnoli)
	g, i, err := j.queue.add(payload, sum, uint32(count))
	if err != nil {
		return Entry{}, err
	}
	defer j.queue.release(g)
	select {
	case <-g.done:
	case <-ctx.Done():
		if j.queue.giveUp(g, i) {
			return Entry{}, ctx.Err()
		}
		<-g.done
	}
	if g.err != nil {
		return Entry{}, g.err
	}
	return Entry{Offset: g.items[i].offset, ReceivedAt: g.received}, nil
}
