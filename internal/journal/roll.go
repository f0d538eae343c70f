package journal

import "fmt"

// Roll begins a new segment, unless the tail holds no frame: all that was appended before is in segments that Trim deletes as soon as it is
// given up, however little they hold. An error leaves the tail as it is. It is safe for concurrent use, beside Run.
func (j *Journal) Roll() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := j.failure(); err != nil {
		return err
	}
	if j.active == nil {
		return ErrClosed
	}
	if j.tail.size == segmentHeader {
		return nil
	}
	if err := j.rotate(); err != nil {
		return fmt.Errorf("begin a journal segment: %w", err)
	}
	return nil
}
