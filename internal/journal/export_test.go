package journal

import "time"

// WithTend sets how often Run looks after an idle or full journal.
func (o Options) WithTend(d time.Duration) Options {
	o.tend = d
	return o
}

// NewerSegment is the beginning of a segment in a format that is yet to come.
func NewerSegment() []byte {
	b := make([]byte, 128)
	copy(b, segmentInfo{seq: 1}.encode())
	b[8], b[12] = Format+1, 128
	return appendSum(b[:124])
}
