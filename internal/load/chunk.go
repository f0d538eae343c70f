package load

import (
	"cmp"
	"context"
	"slices"

	"firth/internal/event"
	"firth/internal/lake"
)

// chunk is the calls of one journal with from <= offset < to, in order.
type chunk struct {
	log      string
	from, to uint64
	calls    []event.Call
}

// callOverhead is what a call takes beside its text, in bytes.
const callOverhead = 256

func size(c *event.Call) int {
	return len(c.Properties) + len(c.Context) + len(c.Payload) + len(c.Integrations) + callOverhead
}

// reader hands fn the calls of a journal with from <= offset < to, in any order.
type reader func(ctx context.Context, log string, from, to uint64, fn func(*event.Call) error) error

// readChunk reads the calls from from to to, which should be some rows calls. Where they are more (rows crowd at one end of a
// merged file) it keeps the lowest offsets that fit into twice the rows and into bytes and moves the chunk's end down to the
// first that does not: so memory is bounded whatever the files say.
func readChunk(ctx context.Context, read reader, log string, from, to uint64, rows, bytes int) (*chunk, error) {
	c := &chunk{log: log, from: from, to: to}
	held := 0
	err := read(ctx, log, from, to, func(call *event.Call) error {
		if call.Offset < c.from || call.Offset >= c.to {
			return nil
		}
		kept := *call
		held += size(&kept)
		copyText(&kept)
		c.calls = append(c.calls, kept)
		if (len(c.calls) > 2*rows || held > bytes) && len(c.calls) > 1 {
			held = c.shrink()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.sort()
	return c, nil
}

// copyText gives a call text of its own, in one piece.
func copyText(c *event.Call) {
	buf := make([]byte, 0, len(c.Properties)+len(c.Context)+len(c.Payload)+len(c.Integrations))
	own := func(b []byte) []byte {
		if b == nil {
			return nil
		}
		at := len(buf)
		buf = append(buf, b...)
		return buf[at:len(buf):len(buf)]
	}
	c.Properties, c.Context, c.Payload, c.Integrations = own(c.Properties), own(c.Context), own(c.Payload), own(c.Integrations)
}

func (c *chunk) sort() {
	slices.SortFunc(c.calls, func(a, b event.Call) int { return cmp.Compare(a.Offset, b.Offset) })
}

// shrink drops the upper half of the calls, ends the chunk before them and returns the bytes still held.
func (c *chunk) shrink() int {
	c.sort()
	half := len(c.calls) / 2
	c.to = c.calls[half].Offset
	clear(c.calls[half:])
	c.calls = c.calls[:half]
	held := 0
	for i := range c.calls {
		held += size(&c.calls[i])
	}
	return held
}

// files are those of the snapshot that may hold rows of the journal with from <= offset < end.
func files(snap *lake.Snapshot, log string, from, end uint64) []*lake.File {
	var out []*lake.File
	for _, f := range snap.Files {
		if f.MinLog <= log && log <= f.MaxLog && f.MinOffset < end && f.MaxOffset >= from {
			out = append(out, f)
		}
	}
	return out
}

// upperBound is the greatest to, from < to <= end, for which the files hold no more than rows of from <= offset < to, taking the
// offsets of a file as evenly spread; from+1 at least.
func upperBound(files []*lake.File, from, end uint64, rows int64) uint64 {
	if expected(files, from, end) <= rows {
		return end
	}
	low, high := from+1, end // expected(low) may be too much already, expected(high) is
	for high-low > 1 {
		mid := low + (high-low)/2
		if expected(files, from, mid) <= rows {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// expected is the number of rows with from <= offset < to, offsets evenly spread.
func expected(files []*lake.File, from, to uint64) int64 {
	var sum float64
	for _, f := range files {
		low, high := max(from, f.MinOffset), min(to, f.MaxOffset+1)
		if low < high {
			sum += float64(f.Rows) * (float64(high-low) / (float64(f.MaxOffset-f.MinOffset) + 1))
		}
	}
	return int64(sum + 0.5)
}

// journals are those of the snapshot, the one whose rows were received first in front: users and accounts take what came
// last.
func journals(snap *lake.Snapshot) []string {
	first := make(map[string]int64, len(snap.Positions))
	for log := range snap.Positions {
		first[log] = int64(^uint64(0) >> 1)
		for _, f := range snap.Files {
			if f.MinLog <= log && log <= f.MaxLog {
				first[log] = min(first[log], f.MinReceived)
			}
		}
	}
	out := make([]string, 0, len(first))
	for log := range first {
		out = append(out, log)
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(first[a], first[b]), cmp.Compare(a, b)) })
	return out
}
