package journal

import (
	"errors"
	"fmt"
	"io/fs"

	"firth/internal/disk"
)

const (
	// busyBytes is the size from which Trim exchanges a tail that holds nothing any more.
	busyBytes = 1 << 20
	// idleBytes is that size once the journal is idle.
	idleBytes = 4 << 10
)

// Trim gives up all offsets below before: whole segments of them are deleted, the oldest first. A tail that holds nothing
// else is exchanged for an empty one when it is large, or soon after when nothing is appended, so that an idle journal takes
// a few KB. What is given up can no longer be read only once its segment is gone.
func (j *Journal) Trim(before uint64) error {
	return j.trim(before, min(busyBytes, j.opt.SegmentBytes/2))
}

func (j *Journal) trim(before uint64, least int64) error {
	j.trimming.Lock()
	defer j.trimming.Unlock()
	if err := j.exchange(before, least); err != nil {
		return err
	}
	for {
		done, err := j.dropOldest()
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	j.probe()
	return nil
}

// exchange begins a new segment when the tail holds only offsets to be given up and at least so many bytes.
func (j *Journal) exchange(before uint64, least int64) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	if before > j.next {
		defer j.mu.Unlock()
		return fmt.Errorf("trim the journal: %w: %d was asked for, the next one to be given is %d", ErrBeyond, before, j.next)
	}
	j.trimmed = max(j.trimmed, before)
	tail := j.tail
	due := j.active != nil && j.state != StateFailed &&
		tail.end <= j.trimmed && tail.size > segmentHeader && tail.size >= least
	j.mu.Unlock()
	if !due {
		return nil
	}
	if err := j.rotate(); err != nil && !errors.Is(err, ErrFull) {
		return err // where there is no room for a new segment the tail stays
	}
	return nil
}

// dropOldest deletes the oldest segment if all of it was given up. Each deletion is durable before the next one begins, so
// that a crash never leaves a hole between segments.
func (j *Journal) dropOldest() (done bool, err error) {
	j.mu.Lock()
	seg := j.segments[0]
	if !seg.sealed || seg.end > j.trimmed {
		j.mu.Unlock()
		return true, nil
	}
	j.floor = seg.end
	j.mu.Unlock()
	if err := j.fs.Remove(seg.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("remove journal segment: %w", err)
	}
	if err := j.fs.SyncDir(j.dir); err != nil {
		return false, j.fail(&disk.SyncError{Path: j.dir, Err: err})
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = j.segments[1:]
	j.bytes -= seg.size
	return false, nil
}
