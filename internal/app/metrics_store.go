package app

import (
	"github.com/prometheus/client_golang/prometheus"
)

// storeFigures are what one half of the server has had to do with a lake at an object store. The answering half, which is another process,
// tells them with how it is; they begin anew when it does, or when it opens a warehouse anew.
type storeFigures struct {
	Requests     map[string]int64 `json:"requests"` // by operation
	Failed       int64            `json:"failed"`
	Throttled    int64            `json:"throttled"`
	Sent         int64            `json:"sent_bytes"`
	Received     int64            `json:"received_bytes"`
	Uploads      int64            `json:"uploads"`
	Failures     int64            `json:"failures"`
	Waiting      int64            `json:"waiting_files"`
	Hits         int64            `json:"cache_hits"`
	Fetched      int64            `json:"cache_fetched_files"`
	FetchedBytes int64            `json:"cache_fetched_bytes"`
	Evicted      int64            `json:"cache_evicted_files"`
}

// figures are the numbers of a place; nil where the lake is on local disk.
func (p *lakePlace) figures() *storeFigures {
	if p == nil || p.remoteFS() == nil {
		return nil
	}
	store, fs := p.store.Stats(), p.remoteFS().Stats()
	return &storeFigures{
		Requests: store.Requests, Failed: store.Failed, Throttled: store.Throttle, Sent: store.Sent, Received: store.Received,
		Uploads: fs.Uploaded, Failures: fs.Failed, Waiting: fs.Waiting, Hits: fs.Hits, Fetched: fs.Fetched, FetchedBytes: fs.FetchedBytes, Evicted: fs.Evicted,
	}
}

// plus is the sum of both, of which either may be nil.
func (f *storeFigures) plus(o *storeFigures) *storeFigures {
	if f == nil {
		return o
	}
	if o == nil {
		return f
	}
	sum := storeFigures{
		Requests: map[string]int64{}, Failed: f.Failed + o.Failed, Throttled: f.Throttled + o.Throttled, Sent: f.Sent + o.Sent, Received: f.Received + o.Received,
		Uploads: f.Uploads + o.Uploads, Failures: f.Failures + o.Failures, Waiting: f.Waiting + o.Waiting, Hits: f.Hits + o.Hits,
		Fetched: f.Fetched + o.Fetched, FetchedBytes: f.FetchedBytes + o.FetchedBytes, Evicted: f.Evicted + o.Evicted,
	}
	for _, of := range []*storeFigures{f, o} {
		for op, n := range of.Requests {
			sum.Requests[op] += n
		}
	}
	return &sum
}

// storeMetrics are the numbers of a lake at an object store, by the half that they are of: none where the lake is on local disk.
func (p *parent) storeMetrics() []prometheus.Collector {
	fs := p.place.remoteFS()
	if fs == nil {
		return nil
	}
	halves := func(each func(half string, f *storeFigures)) {
		each("collect", p.place.figures())
		if f := p.poll.store(); f != nil {
			each("answer", f)
		}
	}
	value := func(counter bool, name, help string, read func(*storeFigures) int64) *gauge {
		return &gauge{name: name, help: help, counter: counter, labels: []string{"half"}, read: func(set func(float64, ...string)) {
			halves(func(half string, f *storeFigures) { set(float64(read(f)), half) })
		}}
	}
	cache := func(name, help string, read func() int64) *gauge {
		return &gauge{name: name, help: help, read: one(func() float64 { return float64(read()) })}
	}
	return []prometheus.Collector{
		&gauge{name: "firth_store_requests_total", help: "Requests to the object store, by operation.", counter: true, labels: []string{"half", "operation"}, read: func(set func(float64, ...string)) {
			halves(func(half string, f *storeFigures) {
				for op, n := range f.Requests {
					set(float64(n), half, op)
				}
			})
		}},
		value(true, "firth_store_failed_requests_total", "Requests to the object store without an answer, or that failed there; most are sent again.", func(f *storeFigures) int64 { return f.Failed }),
		value(true, "firth_store_throttled_requests_total", "Requests that the object store answered with slow down.", func(f *storeFigures) int64 { return f.Throttled }),
		value(true, "firth_store_sent_bytes_total", "Bytes sent to the object store.", func(f *storeFigures) int64 { return f.Sent }),
		value(true, "firth_store_received_bytes_total", "Bytes of objects that came from the object store.", func(f *storeFigures) int64 { return f.Received }),
		value(true, "firth_store_uploads_total", "Files that became objects.", func(f *storeFigures) int64 { return f.Uploads }),
		value(true, "firth_store_failures_total", "Uploads and fetches that failed after all tries.", func(f *storeFigures) int64 { return f.Failures }),
		value(false, "firth_store_waiting_files", "Files that are written and not at the object store yet.", func(f *storeFigures) int64 { return f.Waiting }),
		value(true, "firth_cache_hits_total", "Files that were in the cache when they were asked for.", func(f *storeFigures) int64 { return f.Hits }),
		value(true, "firth_cache_fetched_files_total", "Files that were fetched into the cache.", func(f *storeFigures) int64 { return f.Fetched }),
		value(true, "firth_cache_fetched_bytes_total", "Bytes that were fetched into the cache.", func(f *storeFigures) int64 { return f.FetchedBytes }),
		value(true, "firth_cache_evicted_files_total", "Files that were removed from the cache to make room.", func(f *storeFigures) int64 { return f.Evicted }),
		cache("firth_cache_bytes", "Bytes of the local copy of the lake, as the collecting half knows them.", func() int64 { return fs.Stats().Bytes }),
		cache("firth_cache_limit_bytes", "Bound of the local copy of the lake: lake.cache.bytes.", func() int64 { return fs.Stats().Limit }),
	}
}
