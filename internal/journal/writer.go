package journal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"firth/internal/disk"
)

// When many append at once, the writer waits a moment between two groups: a group of fifty costs the same sync, and the same
// time of the processor, as one of ten (PostgreSQL has the same under the names commit_siblings and commit_delay).
// Those who append alone never wait for it.
const (
	lingerFrom = 6
	linger     = 200 * time.Microsecond
)

// Run writes what is appended until ctx ends. Then it refuses further appends, writes those that it had accepted, and
// returns: nil, or what made the journal fail. It starts no goroutine; call it once.
func (j *Journal) Run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = j.abandon(p)
		}
	}()
	tick := time.NewTicker(j.opt.tend)
	defer tick.Stop()
	idle := idleness{}
	for ctx.Err() == nil {
		if g := j.queue.take(); g != nil {
			many := len(g.items) >= lingerFrom
			j.commit(g)
			runtime.Gosched() // those just answered often append again at once: let them into the next group
			if many {
				time.Sleep(linger)
			}
			continue
		}
		select {
		case <-j.queue.wake:
		case <-tick.C:
			j.tend(&idle)
		case <-ctx.Done():
		}
	}
	j.queue.close()
	for g := j.queue.take(); g != nil; g = j.queue.take() {
		j.commit(g)
	}
	return j.finish()
}

// abandon makes of a panic of the writer the failure of the journal, so that nobody waits for ever.
func (j *Journal) abandon(p any) error {
	err := j.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
	j.queue.close()
	for g := j.queue.take(); g != nil; g = j.queue.take() {
		j.commit(g)
	}
	j.setOver()
	return err
}

// finish seals the tail, so that the next start takes no damage in it for a torn write.
func (j *Journal) finish() error {
	defer j.setOver()
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := j.failure(); err != nil {
		return err
	}
	if j.tail.size == segmentHeader {
		return nil
	}
	if err := j.rotate(); errors.Is(err, ErrFailed) {
		return err // what else can go wrong leaves the tail as it is, which is well too
	}
	return nil
}

func (j *Journal) setOver() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.over = true
	j.wakeReaders()
}

// commit makes a group durable and wakes its callers.
func (j *Journal) commit(g *group) {
	defer j.queue.release(g)
	defer close(g.done)
	j.writing.Lock()
	defer j.writing.Unlock()
	g.err = ErrFailed // stands should write panic
	g.received, g.err = j.write(g)
}

// write appends a group to the tail and syncs it. writing is held.
func (j *Journal) write(g *group) (received int64, err error) {
	if err := j.failure(); err != nil {
		return 0, err
	}
	if err := j.room(g.bytes); err != nil {
		return 0, j.full(err)
	}
	tail := j.tail
	if tail.size > segmentHeader && tail.size+g.bytes > j.opt.SegmentBytes {
		if err := j.rotate(); err != nil {
			return 0, err
		}
		tail = j.tail
	}
	received = max(j.last, j.opt.Now().UnixMicro())
	appends, end := j.encode(g, tail, received)
	if appends == 0 {
		return 0, nil // all were given up
	}
	if _, err := j.active.WriteAt(j.buf, tail.size); err != nil {
		return 0, j.undo(tail, err)
	}
	began := j.opt.Now()
	if err := j.active.Datasync(); err != nil {
		return 0, j.fail(&disk.SyncError{Path: tail.path, Err: err})
	}
	j.publish(tail, appends, end, received, j.opt.Now().Sub(began))
	return received, nil
}

// encode puts the frames of a group into buf and gives each its offset. end is the offset behind the last one.
func (j *Journal) encode(g *group, tail *segment, received int64) (appends int, end uint64) {
	if cap(j.buf) > 2*groupBytes {
		j.buf = nil
	}
	buf, end := j.buf[:0], j.next
	for i := range g.items {
		it := &g.items[i]
		if it.count == 0 {
			continue
		}
		it.offset = end
		h := header{
			length: uint32(len(it.payload)), sum: it.sum, count: it.count,
			back: uint32(len(buf)), offset: end, received: received,
		}
		buf = h.appendTo(buf, tail.seed, tail.size+int64(len(buf)))
		buf = append(buf, it.payload...)
		end += uint64(it.count)
		appends++
	}
	j.buf = buf
	return appends, end
}

// publish lets readers see a group that is durable.
func (j *Journal) publish(tail *segment, appends int, end uint64, received int64, took time.Duration) {
	size := int64(len(j.buf))
	j.mu.Lock()
	defer j.mu.Unlock()
	tail.size += size
	tail.end = end
	j.bytes += size
	j.next, j.last = end, received
	if j.state == StateFull {
		j.state, j.cause = StateReady, nil
	}
	j.stats.Appends += uint64(appends)
	j.stats.AppendedBytes += uint64(size)
	j.stats.countSync(took)
	j.wakeReaders()
}

// room tells why n more bytes may not be written; nil when they may.
func (j *Journal) room(n int64) error {
	if limit := j.opt.MaxBytes; limit > 0 {
		j.mu.Lock()
		have := j.bytes
		j.mu.Unlock()
		if have+n > limit {
			return &refusal{
				reason: fmt.Sprintf("it holds %d bytes of the %d that journal.max_bytes allows", have, limit),
				hint:   "See why the lake does not take the events over, or raise journal.max_bytes; the journal goes on by itself.",
			}
		}
	}
	if least := j.opt.MinFree; least > 0 {
		free, err := j.fs.Free(j.dir)
		if err != nil {
			return fmt.Errorf("free space of %s: %w", j.dir, err)
		}
		if free < least+uint64(n) {
			return &refusal{
				reason: fmt.Sprintf("the disk of %s has %d bytes free, and %d are kept for the lake to work with", j.dir, free, least),
				hint:   roomHint,
			}
		}
	}
	return nil
}

// undo takes a partial write away. A full disk passes; any other failure leaves a file that cannot be trusted.
func (j *Journal) undo(tail *segment, cause error) error {
	cause = fmt.Errorf("write journal segment %s: %w", tail.path, cause)
	if err := j.active.Truncate(tail.size); err != nil {
		return j.fail(errors.Join(cause, fmt.Errorf("truncate journal segment %s: %w", tail.path, err)))
	}
	if disk.IsFull(cause) {
		return j.full(cause)
	}
	return j.fail(cause)
}

// rotate seals the tail and begins a new segment. writing is held.
func (j *Journal) rotate() error {
	old := j.tail
	info := segmentInfo{log: j.log, seq: old.seq + 1, base: j.next, last: j.last}
	seg, file, err := j.create(info)
	if sync := (*disk.SyncError)(nil); errors.As(err, &sync) {
		return j.fail(err)
	}
	if err != nil {
		return j.full(err)
	}
	_ = j.active.Close() // all of it is synced: closing has nothing left to lose
	j.active = file
	j.mu.Lock()
	defer j.mu.Unlock()
	old.sealed = true
	j.segments, j.tail = append(j.segments, seg), seg
	j.bytes += seg.size
	return nil
}

// create makes a segment without frames, durable under its name.
func (j *Journal) create(info segmentInfo) (*segment, disk.File, error) {
	if _, err := io.ReadFull(j.opt.Random, info.salt[:]); err != nil {
		return nil, nil, fmt.Errorf("make a salt for a journal segment: %w", err)
	}
	seg := newSegment(j.dir, info)
	file, err := disk.Create(j.fs, seg.path, 0o600, func(w io.Writer) error {
		_, err := w.Write(info.encode())
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("create journal segment: %w", err)
	}
	return seg, file, nil
}

// full notes that nothing more is taken for now.
func (j *Journal) full(cause error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state == StateReady {
		j.state = StateFull
	}
	if j.state == StateFull {
		j.cause, j.refused = cause, cause
	}
	return fmt.Errorf("%w: %w", ErrFull, cause)
}

// fail notes that nothing more is taken for good.
func (j *Journal) fail(cause error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state != StateFailed {
		j.state, j.cause = StateFailed, cause
	}
	return fmt.Errorf("%w: %w", ErrFailed, j.cause)
}

// failure is what the journal failed with; nil when it has not.
func (j *Journal) failure() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state != StateFailed {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrFailed, j.cause)
}

// idleness counts how long the journal has been quiet.
type idleness struct {
	next  uint64
	ticks int
}

const (
	// quietTicks is how many looks without an append in between make the journal idle.
	quietTicks = 5
	// probeBytes is written, and removed again, to see whether a full disk takes data.
	probeBytes = 64 << 10
	probeName  = "probe.tmp"
)

// tend looks whether a full journal has room again, and makes an idle one small.
func (j *Journal) tend(idle *idleness) {
	j.writing.Lock()
	j.probe()
	next := j.next
	j.writing.Unlock()
	if next != idle.next {
		*idle = idleness{next: next}
	}
	if idle.ticks++; idle.ticks >= quietTicks {
		// An error here is an error of the next append as well, which has somebody to tell it to.
		_ = j.trim(0, idleBytes)
	}
}

// probe ends StateFull when a write succeeds again. writing is held.
func (j *Journal) probe() {
	j.mu.Lock()
	full := j.state == StateFull
	j.mu.Unlock()
	if !full {
		return
	}
	if err := j.tryWrite(); err != nil {
		_ = j.full(err) // keeps the reason up to date
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.state == StateFull {
		j.state, j.cause = StateReady, nil
	}
}

func (j *Journal) tryWrite() (err error) {
	n := int64(probeBytes)
	if j.opt.MaxBytes > 0 {
		n = min(n, j.opt.MaxBytes/16)
	}
	if err := j.room(n); err != nil {
		return err
	}
	name := filepath.Join(j.dir, probeName)
	f, err := j.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	_, err = f.Write(make([]byte, n))
	return errors.Join(err, f.Close(), j.fs.Remove(name))
}
