package lake

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// BenchmarkPurge takes one person with a hundred calls out of FIRTH_PURGE_ROWS calls (50,000 where it is not set) of thirty days, in merged
// files. Run it once: go test ./internal/lake -run '^$' -bench BenchmarkPurge -benchtime 1x
func BenchmarkPurge(b *testing.B) {
	rows := 50_000
	if n, err := strconv.Atoi(os.Getenv("FIRTH_PURGE_ROWS")); err == nil {
		rows = n
	}
	for b.Loop() {
		b.StopTimer()
		e := newPurgeEnv(b, 17)
		const days, theirs = 30, 100
		for done := 0; done < rows; {
			for range min(20_000, rows-done) {
				c := e.corpus.call()
				c.TS -= int64(done%days) * microsPerDay
				if done%max(1, rows/theirs) == 0 {
					of(c, victim, victimAnon)
				}
				e.journal.calls("production", c)
				done++
			}
			e.mustDrain()
		}
		err := e.live(func(l *Lake, w *Writer) error {
			e.settled(w)
			if _, err := l.Merger(MergeOptions{Temp: e.dir}).Merge(b.Context(), MergeAll, "", nil); err != nil {
				return err
			}
			before, err := e.suppress(l, w)
			if err != nil {
				return err
			}
			b.StartTimer()
			began := time.Now()
			step, since, took := "begin", began, map[string]time.Duration{} // by step, in the order in which they are told
			tell := func(p PurgeProgress) {
				now := time.Now()
				took[step] += now.Sub(since)
				step, since = p.Step, now
			}
			report, err := l.Purge(b.Context(), e.options(before), tell)
			if err == nil {
				_, err = l.Bury(b.Context(), "", tell)
			}
			tell(PurgeProgress{})
			b.StopTimer()
			for name, d := range took {
				b.ReportMetric(d.Seconds(), "s-"+name)
			}
			for _, t := range report.Tables {
				if t.Table == "production" {
					b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
					b.ReportMetric(float64(t.Hit), "files-hit")
					b.ReportMetric(float64(t.Files), "files")
				}
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
