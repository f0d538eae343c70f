package app

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firth/internal/config"
	"firth/internal/lake"
	"firth/internal/state"
)

// lagMetrics say how far each stage is behind the one before it.
func (p *parent) lagMetrics() []prometheus.Collector {
	return []prometheus.Collector{
		&gauge{name: "firth_flush_lag_seconds", help: "Age of the oldest event in the journal that is not yet in the lake.", read: one(func() float64 { return p.backlog().Lag.Seconds() })},
		&gauge{name: "firth_journal_max_bytes", help: "The budget of the journal, journal.max_bytes.", read: one(func() float64 { return float64(p.journal.Stats().MaxBytes) })},
		&gauge{name: "firth_journal_used_ratio", help: "Used part of the journal's budget; at 1 writes are refused with 503.", read: one(func() float64 { return p.backlog().use() })},
		p.loadGauge("firth_load_lag_seconds", "How old what is not yet in the typed tables may be; 0 where nothing waits.", false, func(f loadFigures) float64 { return f.LagSeconds }),
		p.loadGauge("firth_load_pending_rows", "Rows of the lake that are not yet in the typed tables.", false, func(f loadFigures) float64 { return float64(f.PendingRows) }),
		p.localGauge("firth_load_rows_total", "Calls loaded into the typed tables since the embedded warehouse was opened.", true, func(f loadFigures) float64 { return float64(f.LoadedRows) }),
		p.localGauge("firth_load_rows_per_second", "Calls loaded a second into the embedded warehouse, of late.", false, func(f loadFigures) float64 { return f.RowsASecond }),
	}
}

// mergeMetrics are the figures of the mergers.
func (p *parent) mergeMetrics() []prometheus.Collector {
	value := func(name, help string, counter bool, read func(lake.MergeStats) float64) *gauge {
		return &gauge{name: name, help: help, counter: counter, read: one(func() float64 { return read(p.merger.Stats()) })}
	}
	return []prometheus.Collector{
		value("firth_merge_waiting_files", "Small files that wait to be merged.", false, func(s lake.MergeStats) float64 { return float64(s.WaitingFiles) }),
		value("firth_merge_waiting_bytes", "Bytes of the files that wait to be merged.", false, func(s lake.MergeStats) float64 { return float64(s.WaitingBytes) }),
		value("firth_merge_lag_seconds", "Since when the oldest of the files that wait to be merged has been there.", false, func(s lake.MergeStats) float64 { return p.mergeLag(s).Seconds() }),
		value("firth_merge_write_amplification", "Bytes written by flushes and merges, for each byte that flushes wrote; since the start.", false, func(s lake.MergeStats) float64 { return s.Amplification }),
		value("firth_merge_last_rows_per_second", "Rows a second of the last merge.", false, func(s lake.MergeStats) float64 { return s.RowsPerSecond }),
		value("firth_merges_total", "Merges.", true, func(s lake.MergeStats) float64 { return float64(s.Merges) }),
		value("firth_merge_failures_total", "Merges that failed and were given up.", true, func(s lake.MergeStats) float64 { return float64(s.Failures) }),
		value("firth_merge_files_total", "Files that were merged into others.", true, func(s lake.MergeStats) float64 { return float64(s.FilesIn) }),
		value("firth_merge_rows_total", "Rows written by merges.", true, func(s lake.MergeStats) float64 { return float64(s.RowsOut) }),
		value("firth_merge_duplicates_total", "Rows that merges left out because their message id was there already.", true, func(s lake.MergeStats) float64 { return float64(s.Duplicates) }),
		value("firth_merge_read_bytes_total", "Bytes of Parquet that merges read.", true, func(s lake.MergeStats) float64 { return float64(s.BytesIn) }),
		value("firth_merge_written_bytes_total", "Bytes of Parquet that merges wrote.", true, func(s lake.MergeStats) float64 { return float64(s.BytesOut) }),
		value("firth_merge_spilled_bytes_total", "Bytes that did not fit into lake.merge.memory and went through the folder tmp.", true, func(s lake.MergeStats) float64 { return float64(s.Spilled) }),
		value("firth_merge_seconds_total", "Time spent merging.", true, func(s lake.MergeStats) float64 { return s.Busy.Seconds() }),
		value("firth_merge_damaged_files", "Files that cannot be merged because they are damaged.", false, func(s lake.MergeStats) float64 { return float64(s.Damaged) }),
	}
}

// mergeLag is since when the oldest file that is to be merged has waited.
func (p *parent) mergeLag(s lake.MergeStats) time.Duration {
	if s.OldestWaiting.IsZero() {
		return 0
	}
	return max(0, p.now().Sub(s.OldestWaiting))
}

// tendMetrics are the figures of retention and sweeper.
func (p *parent) tendMetrics() []prometheus.Collector {
	value := func(name, help string, counter bool, read func(lake.TendStats) float64) *gauge {
		return &gauge{name: name, help: help, counter: counter, read: one(func() float64 { return read(p.tender.Stats()) })}
	}
	return []prometheus.Collector{
		value("firth_tend_rounds_total", "Rounds of retention and sweeping.", true, func(s lake.TendStats) float64 { return float64(s.Rounds) }),
		value("firth_tend_last_seconds", "How long the last round took.", false, func(s lake.TendStats) float64 { return s.Took.Seconds() }),
		value("firth_tend_dropped_files_total", "Files dropped because lake.keep has passed.", true, func(s lake.TendStats) float64 { return float64(s.DroppedFiles) }),
		value("firth_tend_dropped_rows_total", "Rows dropped because lake.keep has passed.", true, func(s lake.TendStats) float64 { return float64(s.DroppedRows) }),
		value("firth_tend_swept_files_total", "Files removed that nothing named any more.", true, func(s lake.TendStats) float64 { return float64(s.SweptFiles) }),
		value("firth_tend_swept_bytes_total", "Bytes of the removed files.", true, func(s lake.TendStats) float64 { return float64(s.SweptBytes) }),
		value("firth_tend_condemned_files", "Files that nothing names and that wait for the end of lake.grace.", false, func(s lake.TendStats) float64 { return float64(s.CondemnedFiles) }),
		value("firth_tend_condemned_bytes", "Bytes of the files that wait for the end of lake.grace.", false, func(s lake.TendStats) float64 { return float64(s.CondemnedBytes) }),
		value("firth_tend_foreign_files", "Files in the lake's folder that are none of Firth's; they are left alone.", false, func(s lake.TendStats) float64 { return float64(s.ForeignFiles) }),
		value("firth_lake_live_files", "Data files of the current snapshots.", false, func(s lake.TendStats) float64 { return float64(s.Files) }),
		value("firth_lake_live_bytes", "Bytes of the data files of the current snapshots.", false, func(s lake.TendStats) float64 { return float64(s.Bytes) }),
		value("firth_lake_metadata_files", "Files of metadata in use.", false, func(s lake.TendStats) float64 { return float64(s.MetadataFiles) }),
		value("firth_lake_metadata_bytes", "Bytes of metadata in use.", false, func(s lake.TendStats) float64 { return float64(s.MetadataBytes) }),
		value("firth_lake_snapshots", "Snapshots that can be read.", false, func(s lake.TendStats) float64 { return float64(s.Snapshots) }),
		value("firth_lake_manifests", "Manifests of the current snapshots.", false, func(s lake.TendStats) float64 { return float64(s.Manifests) }),
		value("firth_lake_catalog_bytes", "Size of the catalog.", false, func(s lake.TendStats) float64 { return float64(s.CatalogBytes) }),
	}
}

// warehouseMetrics are the figures of the warehouses that are servers, beside those of loadGauge.
func (p *parent) warehouseMetrics() []prometheus.Collector {
	value := func(name, help string, counter bool, figure func(warehouseFigures) (float64, bool)) *gauge {
		return &gauge{name: name, help: help, counter: counter, labels: []string{"warehouse"}, read: func(set func(float64, ...string)) {
			for _, w := range p.poll.warehouses() {
				if v, ok := figure(w); ok {
					set(v, w.Name)
				}
			}
		}}
	}
	return []prometheus.Collector{
		value("firth_warehouse_failing", "1 where the warehouse cannot be loaded, in whole or in part.", false, func(w warehouseFigures) (float64, bool) {
			if w.State == state.Failed || w.State == state.Degraded {
				return 1, true
			}
			return 0, true
		}),
		&gauge{name: "firth_warehouse_last_run_state", help: "1 for the state of the last run.", labels: []string{"warehouse", "state"}, read: func(set func(float64, ...string)) {
			for _, w := range p.poll.warehouses() {
				if w.LastState != "" {
					set(1, w.Name, w.LastState)
				}
			}
		}},
		value("firth_warehouse_rows_total", "Calls loaded since the answering half was started.", true, func(w warehouseFigures) (float64, bool) { return float64(w.Rows), true }),
		value("firth_warehouse_rows_per_second", "Calls loaded a second, of late.", false, func(w warehouseFigures) (float64, bool) { return w.Rate, true }),
		value("firth_warehouse_last_run_timestamp_seconds", "When the last run began.", false, func(w warehouseFigures) (float64, bool) { return w.LastStart, w.LastState != "" }),
		value("firth_warehouse_last_run_seconds", "How long the last run took.", false, func(w warehouseFigures) (float64, bool) { return w.LastTook, w.LastState != "" }),
		value("firth_warehouse_next_run_timestamp_seconds", "When the next run is due; no series where it is loaded on demand.", false, func(w warehouseFigures) (float64, bool) { return w.NextRun, w.NextRun > 0 }),
	}
}

// localGauge is a figure of the embedded warehouse alone.
func (p *parent) localGauge(name, help string, counter bool, figure func(loadFigures) float64) *gauge {
	return &gauge{name: name, help: help, counter: counter, labels: []string{"source", "warehouse"}, read: func(set func(float64, ...string)) {
		for _, f := range p.poll.loading() {
			if f.Warehouse == config.Local {
				set(figure(f), f.Source, f.Warehouse)
			}
		}
	}}
}

// loadGauge is a figure of the answering half, by source and warehouse. While that is silent there are no series.
func (p *parent) loadGauge(name, help string, counter bool, figure func(loadFigures) float64) *gauge {
	return &gauge{name: name, help: help, counter: counter, labels: []string{"source", "warehouse"}, read: func(set func(float64, ...string)) {
		for _, f := range p.poll.loading() {
			set(figure(f), f.Source, f.Warehouse)
		}
	}}
}
