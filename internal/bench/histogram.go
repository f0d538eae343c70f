package bench

import (
	"math/bits"
	"time"
)

// subBuckets is the number of linear steps within a power of two: a recorded duration is off by less than one part in 128.
const subBuckets = 128

// histogram counts durations in logarithmic buckets of constant relative width, as HdrHistogram does
// (http://hdrhistogram.org). The zero value is empty. It is not safe for use by several goroutines.
type histogram struct {
	counts [(64 - 6) * subBuckets]int64
	total  int64
	max    int64
}

// record counts one duration; negative ones count as zero.
func (h *histogram) record(d time.Duration) {
	v := max(int64(d), 0)
	h.counts[bucket(uint64(v))]++
	h.total++
	h.max = max(h.max, v)
}

// quantile returns a duration that the share q (0 to 1) of the recorded ones does not exceed; 0 when nothing was recorded.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	want := max(int64(q*float64(h.total)+0.5), 1)
	var seen int64
	for i, n := range h.counts {
		if seen += n; seen >= want {
			return time.Duration(min(upper(i), h.max))
		}
	}
	return time.Duration(h.max)
}

// bucket returns the index of the bucket that holds v.
func bucket(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	shift := bits.Len64(v) - 8
	return shift*subBuckets + int(v>>shift)
}

// upper returns the largest value of bucket i.
func upper(i int) int64 {
	if i < 2*subBuckets {
		return int64(i)
	}
	shift := i/subBuckets - 1
	return (int64(i-shift*subBuckets)+1)<<shift - 1
}
