package lake

import (
	"fmt"
	"testing"
	"time"
)

// BenchmarkImport brings archived events of about 1 KB into a lake: all but unpacking.
func BenchmarkImport(b *testing.B) {
	const events = 200_000
	a := &lines{id: "bench"}
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	context := `{"library":{"name":"analytics.js","version":"4.1.0"},"locale":"en-US","page":{"path":"/p/%d","url":"https://shop.example.com/p/%d"},"userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"}`
	var file []string
	for i := range events {
		at := begin.Add(time.Duration(i) * 2 * time.Second)
		line := archivedLine(fmt.Sprintf("ajs-%032x", i*7919), []string{"Order Completed", "Product Viewed", "Search"}[i%3], at)
		file = append(file, line[:len(line)-1]+`,"context":`+fmt.Sprintf(context, i%1000, i%777)+`,"integrations":{},"projectId":"abc","version":2,"anonymousId":"`+fmt.Sprintf("%x-%d", i*31, i)+`"}`)
	}
	a.files = [][]string{file}
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		e := newEnv(b)
		if r := e.mustImport(ImportOptions{Archive: a}); r.Added != events {
			b.Fatalf("%+v", r)
		}
	}
	n := float64(b.N) * events
	b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/n, "cpu-ns/event")
}
