package lake

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// madeLines is an archive of calls that are made as they are read: of days in turn, each with a person's among them.
type madeLines struct {
	begin      time.Time
	days, rows int // rows of all days
	theirs     int // calls of the person, on the first of every so many days
	every      int
}

func (a *madeLines) Identity() []byte  { return fmt.Append(nil, *a) }
func (a *madeLines) Files() int        { return a.days }
func (a *madeLines) Name(i int) string { return fmt.Sprintf("%d.gz", i) }
func (a *madeLines) Day(i int) int64   { return a.begin.AddDate(0, 0, i).UnixMicro() }
func (a *madeLines) Bytes() int64      { return int64(a.days) }
func (a *madeLines) Read() int64       { return 0 }

func (a *madeLines) Walk(ctx context.Context, first int, fn func(int, int64, []byte, error) error) error {
	const context = `,"context":{"library":{"name":"analytics.js","version":"4.1.0"},"locale":"en-US","page":{"path":"/p/%d","url":"https://shop.example.com/p/%d"},` +
		`"userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"},"anonymousId":"%x-%d"}`
	perDay := a.rows / a.days
	for day := first; day < a.days; day++ {
		step := perDay / max(1, a.theirs/max(1, a.days/a.every))
		for i := range perDay {
			n := day*perDay + i
			at := a.begin.AddDate(0, 0, day).Add(time.Duration(i) * 24 * time.Hour / time.Duration(perDay))
			line := archivedLine(fmt.Sprintf("ajs-%032x", n*7919), []string{"Order Completed", "Product Viewed", "Search"}[i%3], at)
			line = line[:len(line)-1] + fmt.Sprintf(context, i%1000, i%777, n*31, n)
			if day%a.every == 0 && i%step == step/2 {
				line = strings.Replace(line, `"userId":"u-`, `"userId":"`+victim+`","was":"u-`, 1)
			}
			if err := fn(day, int64(i+1), []byte(line), nil); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkPurge removes a person of a hundred calls from a merged table of a month, of FIRTH_PURGE_ROWS rows: one that was there on every
// tenth day, and one that was there on each.
func BenchmarkPurge(b *testing.B) {
	rows := 60_000
	if n, err := strconv.Atoi(os.Getenv("FIRTH_PURGE_ROWS")); err == nil {
		rows = n
	}
	for _, every := range []int{10, 1} {
		b.Run(fmt.Sprintf("one day in %d", every), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				benchPurge(b, rows, every)
				b.StartTimer()
			}
		})
	}
}

func benchPurge(b *testing.B, rows, every int) {
	e := newPurgeEnv(b, 17)
	e.mustImport(ImportOptions{Archive: &madeLines{begin: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), days: 30, rows: rows, theirs: 100, every: every}})
	err := e.live(func(l *Lake, w *Writer) error {
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
				if t.Removed == 0 {
					b.Error("nothing was removed")
				}
				b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
				b.ReportMetric(float64(t.Removed), "rows-removed")
				b.ReportMetric(float64(t.Hit), "files-hit")
				b.ReportMetric(float64(t.Files), "files")
			}
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}
