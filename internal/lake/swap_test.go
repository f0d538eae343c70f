package lake

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// BenchmarkSwap tells how long a merge's commit holds a table of many files, during which no flush commits.
func BenchmarkSwap(b *testing.B) {
	sizes := []int{100, 1000}
	if n, err := strconv.Atoi(os.Getenv("FIRTH_BENCH_FILES")); err == nil {
		sizes = []int{n}
	}
	for _, files := range sizes {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			e := newMergeEnv(b)
			c := newCorpus(91, testStart)
			for range files {
				e.put("production", c.calls(1))
			}
			var began time.Time
			var held []time.Duration
			e.hook = func(name string) error {
				switch name {
				case "merge production":
					began = time.Now()
				case "done merge production":
					held = append(held, time.Since(began))
				}
				return nil
			}
			for b.Loop() {
				s, err := e.l.store(b.Context(), "production")
				if err != nil {
					b.Fatal(err)
				}
				snap, err := s.snapshot()
				if err != nil {
					b.Fatal(err)
				}
				day := dayOf(snap.Files[0].Day.UnixMicro())
				if _, err := e.merger().merge(b.Context(), unit{store: s, day: day, files: slices.Clone(snap.Files[:2])}); err != nil {
					b.Fatal(err)
				}
			}
			slices.Sort(held)
			b.ReportMetric(float64(held[len(held)/2].Microseconds())/1000, "ms-held-median")
			b.ReportMetric(float64(held[len(held)-1].Microseconds())/1000, "ms-held-most")
		})
	}
}
