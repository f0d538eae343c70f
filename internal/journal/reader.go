package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"firth/internal/disk"
)

// Reader reads frames in order and follows the journal as it grows. It serves one goroutine; a journal may have several,
// beside appends and trims. It holds a file open until Close.
type Reader struct {
	j    *Journal
	from uint64 // frames wholly below it are passed over

	seg  *segment
	file disk.File
	scan *scanner
}

// Read gives a reader whose first frame is the one that holds the offset from, or the first one behind it.
func (j *Journal) Read(from uint64) *Reader { return &Reader{j: j, from: from} }

// Next gives the next durable frame, or io.EOF where there is none yet: call it again later. Other errors:
// [ErrTrimmed], [ErrBeyond], a [*DamageError] that names file and byte, or that of a failed read. The frame's payload is
// valid until the next call.
func (r *Reader) Next() (Frame, error) {
	for {
		if r.seg == nil {
			if err := r.open(); err != nil {
				return Frame{}, err
			}
		}
		if r.scan.pos == r.scan.limit {
			more, err := r.advance()
			if err != nil {
				return Frame{}, err
			}
			if !more {
				return Frame{}, io.EOF
			}
			continue
		}
		f, err := r.scan.frame()
		if err != nil {
			return Frame{}, err
		}
		if r.from < r.scan.next {
			r.from = r.scan.next
			return f, nil
		}
	}
}

// advance looks for more to read: in this segment, else in the one behind it.
func (r *Reader) advance() (more bool, err error) {
	r.j.mu.Lock()
	size, sealed := r.seg.size, r.seg.sealed
	r.j.mu.Unlock()
	if size > r.scan.limit {
		r.scan.limit = size
		return true, nil
	}
	if !sealed {
		return false, nil
	}
	// The rest, if any, begins with the next segment's first offset.
	r.from = max(r.from, r.scan.next)
	return true, r.Close()
}

// open opens the segment that holds the offset from.
func (r *Reader) open() error {
	seg, limit, err := r.j.find(r.from)
	if err != nil {
		return err
	}
	file, err := r.j.fs.OpenFile(seg.path, os.O_RDONLY, 0)
	if err != nil {
		if _, _, gone := r.j.find(r.from); gone != nil && errors.Is(err, fs.ErrNotExist) {
			return gone
		}
		return fmt.Errorf("open journal segment: %w", err)
	}
	r.seg, r.file, r.scan = seg, file, seg.scan(file, limit)
	return nil
}

// find gives the segment that holds an offset, or that will, and how much of it is durable.
func (j *Journal) find(offset uint64) (*segment, int64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if offset < j.floor {
		return nil, 0, fmt.Errorf("%w: offset %d was asked for, the oldest is %d", ErrTrimmed, offset, j.floor)
	}
	if offset > j.next {
		return nil, 0, fmt.Errorf("%w: offset %d was asked for, the next one to be given is %d", ErrBeyond, offset, j.next)
	}
	for _, seg := range j.segments {
		if offset < seg.end {
			return seg, seg.size, nil
		}
	}
	tail := j.tail
	return tail, tail.size, nil
}

// Close lets go of the open file. The reader may be used on.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.seg, r.file, r.scan = nil, nil, nil
	if err != nil {
		return fmt.Errorf("close journal segment: %w", err)
	}
	return nil
}
