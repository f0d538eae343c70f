package event_test

import (
	"syscall"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/name"
)

// realisticCall is a track call of 1.2 KB as a browser sends it: some 20 context and 12 property fields.
func realisticCall() *event.Call {
	properties := []byte(`{"product_id":"507f1f77bcf86cd799439011","sku":"G-32","category":"Games","name":"Monopoly: 3rd Edition","brand":"Hasbro",` +
		`"variant":"200 pieces","price":18.99,"quantity":1,"coupon":"MAYDEALS","currency":"usd","position":3,"inStock":true}`)
	context := []byte(`{"app":{"name":"Shop","version":"545","build":"3.0.1.545"},"campaign":{"name":"TPS Innovation Newsletter","source":"Newsletter",` +
		`"medium":"email","term":"tps reports","content":"image link"},"ip":"8.8.8.8","library":{"name":"analytics.js","version":"2.11.1"},` +
		`"locale":"en-US","page":{"path":"/academy/","referrer":"","search":"","title":"Analytics Academy","url":"https://example.com/academy/"},` +
		`"screen":{"density":2,"height":568,"width":320},"timezone":"Europe/Amsterdam","userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ` +
		`AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"}`)
	return &event.Call{
		MessageID: "ajs-next-1700000000000-022bb90c-bbac-11e4-8dfc-aa07a5b093db", Type: "track", Event: "Product Viewed",
		UserID: "97980cfea0067", AnonymousID: "023188b0-bbac-11e4-8dfc-aa07a5b093db", TS: 1_700_000_000_000_000, ReceivedAt: 1_700_000_000_000_000,
		SentAt: 1_700_000_000_000_000, OriginalTimestamp: 1_700_000_000_000_000, Properties: properties, Context: context,
	}
}

func BenchmarkShape(b *testing.B) {
	s := event.NewShaper("production", name.DuckDB(), event.ShapeOptions{})
	c := realisticCall()
	b.ReportAllocs()
	b.SetBytes(int64(len(c.Properties) + len(c.Context)))
	n, cpu := 0, cpuTime()
	for b.Loop() {
		c.Offset++
		if err := s.Add(c); err != nil {
			b.Fatal(err)
		}
		if n++; n%10_000 == 0 {
			s.Take()
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(n), "cpu-µs/call") // the collector of garbage included
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
