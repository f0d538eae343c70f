package app

import (
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"firth/internal/collect"
)

// gauge is one number that is read when somebody asks.
type gauge struct {
	name, help string
	counter    bool
	labels     []string
	// read calls set once a time series, with the values of the labels.
	read func(set func(value float64, labels ...string))
}

// Describe sends nothing: the series of a gauge with labels are known when they are read.
func (g *gauge) Describe(chan<- *prometheus.Desc) {}

// Collect reads the number.
func (g *gauge) Collect(ch chan<- prometheus.Metric) {
	desc := prometheus.NewDesc(g.name, g.help, g.labels, nil)
	kind := prometheus.GaugeValue
	if g.counter {
		kind = prometheus.CounterValue
	}
	g.read(func(v float64, labels ...string) { ch <- prometheus.MustNewConstMetric(desc, kind, v, labels...) })
}

// one is a number without labels.
func one(read func() float64) func(func(float64, ...string)) {
	return func(set func(float64, ...string)) { set(read()) }
}

// metricsHandler serves the numbers together with those of the Go runtime and of the process.
func metricsHandler(gauges []prometheus.Collector) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, g := range gauges {
		reg.MustRegister(g)
	}
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

// latency is the histogram of the tracking routes.
type latency struct{ m *collect.Metrics }

// Describe sends nothing; see Collect.
func (l latency) Describe(chan<- *prometheus.Desc) {}

// Collect reads the histogram.
func (l latency) Collect(ch chan<- prometheus.Metric) {
	buckets, n, sum := l.m.Latency()
	desc := prometheus.NewDesc("firth_request_seconds", "How long the tracking routes took to answer.", nil, nil)
	ch <- prometheus.MustNewConstHistogram(desc, n, sum, buckets)
}

// doorMetrics count what came through the door, by what became of it.
func doorMetrics(m *collect.Metrics) []prometheus.Collector {
	return []prometheus.Collector{
		&gauge{name: "firth_requests_total", help: "Answered requests by outcome.", counter: true, labels: []string{"outcome"}, read: func(set func(float64, ...string)) {
			for outcome, n := range m.Requests() {
				set(float64(n), outcome)
			}
		}},
		&gauge{name: "firth_events_total", help: "Events that were journaled.", counter: true, labels: []string{"source"}, read: func(set func(float64, ...string)) {
			for source, n := range m.Sources() {
				set(float64(n), source)
			}
		}},
		&gauge{name: "firth_refused_calls_total", help: "Refused calls: kept as dead letters, or only counted because there were too many.", counter: true, labels: []string{"kept"}, read: func(set func(float64, ...string)) {
			kept, missed := m.Refusals()
			set(float64(kept), "yes")
			set(float64(missed), "no")
		}},
	}
}

// metrics are the numbers of the collecting half.
func (p *parent) metrics() http.Handler {
	m := p.collect.Metrics()
	seconds := func(name, help string, read func() float64) *gauge {
		return &gauge{name: name, help: help, read: one(read)}
	}
	count := func(name, help string, read func() float64) *gauge {
		return &gauge{name: name, help: help, counter: true, read: one(read)}
	}
	own := append(doorMetrics(m), []prometheus.Collector{
		count("firth_surplus_events_total", "Items of batches beyond limits.batch; they are dead letters.", func() float64 { return float64(m.Surplus()) }),
		latency{m},
		count("firth_body_bytes_total", "Bytes of journaled bodies, decompressed.", func() float64 { return float64(m.Bytes()) }),
		seconds("firth_journal_bytes", "Bytes of the journal on disk.", func() float64 { return float64(p.journal.Stats().Bytes) }),
		seconds("firth_journal_pending_events", "Events that are in the journal and not yet in the lake.", func() float64 {
			next, done := p.journal.Stats().Next, p.writer.Stats().Position
			return float64(max(next, done) - done)
		}),
		count("firth_journal_appended_bytes_total", "Bytes appended to the journal.", func() float64 { return float64(p.journal.Stats().AppendedBytes) }),
		count("firth_journal_syncs_total", "Syncs of the journal.", func() float64 { return float64(p.journal.Stats().Syncs) }),
		count("firth_journal_sync_seconds_total", "Time spent in syncs of the journal.", func() float64 { return p.journal.Stats().SyncTime.Seconds() }),
		count("firth_lake_rows_total", "Rows written to the lake.", func() float64 { return float64(p.writer.Stats().Rows) }),
		count("firth_lake_duplicates_total", "Events that were in the lake already and were dropped.", func() float64 { return float64(p.writer.Stats().Duplicates) }),
		count("firth_lake_suppressed_total", "Calls of people who are suppressed, which were answered and not stored.", func() float64 { return float64(p.writer.Stats().Suppressed) }),
		count("firth_lake_dead_letters_total", "Dead letters written to the lake.", func() float64 { return float64(p.writer.Stats().DeadLetters) }),
		count("firth_lake_flushes_total", "Flushes of the lake.", func() float64 { return float64(p.writer.Stats().Flushes) }),
		count("firth_lake_bytes_total", "Bytes of Parquet written.", func() float64 { return float64(p.writer.Stats().Bytes) }),
		seconds("firth_lake_last_flush_seconds", "How long the last flush took.", func() float64 { return p.writer.Stats().FlushTime.Seconds() }),
		&gauge{name: "firth_dedup_window_seconds", help: "How far back the window of message ids really reaches.", labels: []string{"source"}, read: func(set func(float64, ...string)) {
			for source, s := range p.writer.Stats().Sources {
				set(s.WindowSpan.Seconds(), source)
			}
		}},
		&gauge{name: "firth_dedup_window_ids", help: "Message ids that the window holds.", labels: []string{"source"}, read: func(set func(float64, ...string)) {
			for source, s := range p.writer.Stats().Sources {
				set(float64(s.WindowIDs), source)
			}
		}},
		&gauge{name: "firth_child_restarts_total", help: "Starts of the answering half after the first.", counter: true, read: one(func() float64 {
			if p.child == nil {
				return 0
			}
			return float64(p.child.restarts.Load())
		})},
	}...)
	return metricsHandler(slices.Concat(own, p.lagMetrics(), p.warehouseMetrics(), p.mirrorMetrics(), p.mergeMetrics(), p.tendMetrics(), p.storeMetrics()))
}
