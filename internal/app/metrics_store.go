package app

import (
	"github.com/prometheus/client_golang/prometheus"
)

// storeMetrics are the numbers of a lake at an object store, as the collecting half sees it: none where the lake is on local disk.
func (p *parent) storeMetrics() []prometheus.Collector {
	fs := p.place.remoteFS()
	if fs == nil {
		return nil
	}
	store := p.place.store
	value := func(counter bool, name, help string, read func() int64) *gauge {
		return &gauge{name: name, help: help, counter: counter, read: one(func() float64 { return float64(read()) })}
	}
	return []prometheus.Collector{
		&gauge{name: "firth_store_requests_total", help: "Requests to the object store, by operation.", counter: true, labels: []string{"operation"}, read: func(set func(float64, ...string)) {
			for op, n := range store.Stats().Requests {
				set(float64(n), op)
			}
		}},
		value(true, "firth_store_failed_requests_total", "Requests to the object store without an answer, or that failed there; most are sent again.", func() int64 { return store.Stats().Failed }),
		value(true, "firth_store_throttled_requests_total", "Requests that the object store answered with slow down.", func() int64 { return store.Stats().Throttle }),
		value(true, "firth_store_sent_bytes_total", "Bytes sent to the object store.", func() int64 { return store.Stats().Sent }),
		value(true, "firth_store_received_bytes_total", "Bytes of objects that came from the object store.", func() int64 { return store.Stats().Received }),
		value(true, "firth_store_uploads_total", "Files that became objects.", func() int64 { return fs.Stats().Uploaded }),
		value(true, "firth_store_failures_total", "Uploads and fetches that failed after all tries.", func() int64 { return fs.Stats().Failed }),
		value(false, "firth_store_waiting_files", "Files that are written and not at the object store yet.", func() int64 { return fs.Stats().Waiting }),
		value(false, "firth_cache_bytes", "Bytes of the local copy of the lake.", func() int64 { return fs.Stats().Bytes }),
		value(false, "firth_cache_limit_bytes", "Bound of the local copy of the lake: lake.cache.bytes.", func() int64 { return fs.Stats().Limit }),
		value(true, "firth_cache_hits_total", "Files that were in the cache when they were asked for.", func() int64 { return fs.Stats().Hits }),
		value(true, "firth_cache_fetched_files_total", "Files that were fetched into the cache.", func() int64 { return fs.Stats().Fetched }),
		value(true, "firth_cache_fetched_bytes_total", "Bytes that were fetched into the cache.", func() int64 { return fs.Stats().FetchedBytes }),
		value(true, "firth_cache_evicted_files_total", "Files that were removed from the cache to make room.", func() int64 { return fs.Stats().Evicted }),
	}
}
