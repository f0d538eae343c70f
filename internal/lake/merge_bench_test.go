package lake

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"firth/internal/event"
)

// BenchmarkMerge merges flushes of one day into one file.
func BenchmarkMerge(b *testing.B) {
	for _, size := range []struct{ files, rows int }{{10, 20_000}, {100, 2_000}} {
		b.Run(fmt.Sprintf("%dx%d", size.files, size.rows), func(b *testing.B) {
			c := newCorpus(31, testStart)
			c.step = 20 * time.Microsecond
			flushes := make([][]*event.Call, size.files)
			for i := range flushes {
				flushes[i] = c.calls(size.rows)
			}
			var took, cpu time.Duration
			var r MergeReport
			var peak uint64
			for b.Loop() {
				b.StopTimer()
				e := newMergeEnv(b)
				for _, f := range flushes {
					e.put("production", f)
				}
				if dir := os.Getenv("FIRTH_BENCH_KEEP"); dir != "" {
					keep(b, e, filepath.Join(dir, fmt.Sprintf("%dx%d", size.files, size.rows)))
				}
				runtime.GC()
				m := e.merger()
				stop := watchHeap(&peak)
				b.StartTimer()
				before := cpuTime(b)
				for {
					one, err := m.Merge(context.Background(), MergeAll, "", nil)
					if err != nil {
						b.Fatal(err)
					}
					took += one.Took
					if one.Merges == 0 {
						break
					}
					r = one
				}
				cpu += cpuTime(b) - before
				b.StopTimer()
				stop()
				b.StartTimer()
			}
			n := float64(b.N) * float64(size.files*size.rows)
			b.ReportMetric(n/took.Seconds(), "rows/s")
			b.ReportMetric(float64(cpu.Nanoseconds())/n, "cpu-ns/row")
			b.ReportMetric(float64(r.BytesIn)/float64(r.RowsIn), "bytes-in/row")
			b.ReportMetric(float64(r.BytesOut)/float64(r.RowsOut), "bytes-out/row")
			b.ReportMetric(float64(r.Merges), "merges")
			b.ReportMetric(float64(peak>>20), "heap-MiB")
		})
	}
}

// keep copies the files of a table, for comparison with other engines.
func keep(b *testing.B, e *mergeEnv, dir string) {
	b.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	for _, f := range e.snapshot("production").Files {
		data, err := os.ReadFile(f.Path)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f.Path)), data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
}
