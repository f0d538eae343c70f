package collect

import (
	"iter"
	"sync/atomic"
	"time"
)

// Metrics are counters since the start. It is safe for use by many goroutines.
type Metrics struct {
	outcomes []*outcome // fixed once the handler is made
	sources  []*source

	preflights     atomic.Int64
	events, bytes  atomic.Int64
	surplus        atomic.Int64
	refusalsKept   atomic.Int64
	refusalsMissed atomic.Int64

	latency      [len(latencyBounds) + 1]atomic.Int64
	latencyTotal atomic.Int64 // nanoseconds
}

type outcome struct {
	code string
	n    atomic.Int64
}

// latencyBounds are the upper bounds of the buckets of the histogram.
var latencyBounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 5 * time.Second,
}

func newMetrics() *Metrics { return &Metrics{} }

// outcome gives the counter of an answer; it is called only while the handler is made.
func (m *Metrics) outcome(code string) *atomic.Int64 {
	for _, o := range m.outcomes {
		if o.code == code {
			return &o.n
		}
	}
	o := &outcome{code: code}
	m.outcomes = append(m.outcomes, o)
	return &o.n
}

// Requests yields how many requests were answered, by outcome: "ok", or the code of the refusal.
func (m *Metrics) Requests() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for _, o := range m.outcomes {
			if !yield(o.code, o.n.Load()) {
				return
			}
		}
	}
}

// Sources yields how many events were journaled, by source.
func (m *Metrics) Sources() iter.Seq2[string, int64] {
	return func(yield func(string, int64) bool) {
		for _, s := range m.sources {
			if !yield(s.Name, s.events.Load()) {
				return
			}
		}
	}
}

// Preflights counts the OPTIONS requests.
func (m *Metrics) Preflights() int64 { return m.preflights.Load() }

// Events counts the events that were journaled, before the checks that send some of them to dead letters.
func (m *Metrics) Events() int64 { return m.events.Load() }

// Bytes counts the bytes of the bodies that were journaled, decompressed.
func (m *Metrics) Bytes() int64 { return m.bytes.Load() }

// Surplus counts the items of batches beyond the limit, which go to dead letters.
func (m *Metrics) Surplus() int64 { return m.surplus.Load() }

// Refusals counts the refused calls that were journaled for the dead letters, and those that were not because there were too many.
func (m *Metrics) Refusals() (kept, missed int64) {
	return m.refusalsKept.Load(), m.refusalsMissed.Load()
}

// Latency gives the histogram of the time that the routes for writing took: how many requests took at most each bound in seconds
// (cumulative), how many there were, and the sum in seconds.
func (m *Metrics) Latency() (buckets map[float64]uint64, count uint64, sum float64) {
	buckets = make(map[float64]uint64, len(latencyBounds))
	for i, bound := range latencyBounds {
		count += uint64(m.latency[i].Load())
		buckets[bound.Seconds()] = count
	}
	count += uint64(m.latency[len(latencyBounds)].Load())
	return buckets, count, time.Duration(m.latencyTotal.Load()).Seconds()
}

func (m *Metrics) took(d time.Duration) {
	i := 0
	for i < len(latencyBounds) && d > latencyBounds[i] {
		i++
	}
	m.latency[i].Add(1)
	m.latencyTotal.Add(int64(d))
}
