package event

import (
	"fmt"
	"testing"
)

func BenchmarkDecode(b *testing.B) {
	for _, n := range []int{1, 20, 100} {
		for _, client := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/client=%v", n, client), func(b *testing.B) {
				r := &Request{Source: "production", Body: sampleBatch(n), MaxEvent: 32768, MaxBatch: 2500, Client: client, IP: "203.0.113.7"}
				var d Decoder
				events := 0
				call := func(*Call) error { events++; return nil }
				dead := func(l *DeadLetter) error { return fmt.Errorf("dead letter %s", l.Reason) }
				b.SetBytes(int64(len(r.Body)))
				b.ReportAllocs()
				for b.Loop() {
					if err := d.Decode(r, "0198f0a2-0000-7000-8000-000000000000", 1, 1763719260_000000, call, dead); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			})
		}
	}
}

func BenchmarkRequestCodec(b *testing.B) {
	for _, n := range []int{1, 20} {
		r := &Request{Source: "production", Body: sampleBatch(n), MaxEvent: 32768, MaxBatch: 2500, IP: "203.0.113.7"}
		var buf []byte
		b.Run(fmt.Sprintf("encode/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf = r.AppendTo(buf[:0])
			}
			b.ReportMetric(float64(len(buf))/float64(n), "B/event")
		})
		b.Run(fmt.Sprintf("decode/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var back Request
			for b.Loop() {
				if err := back.Decode(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
