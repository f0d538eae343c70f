package event

import (
	"bytes"
	"fmt"
	"testing"
)

// sampleEvent is a browser-like track call of some 1.2 KB.
func sampleEvent(i int) []byte {
	return fmt.Appendf(nil, `{"timestamp":"2026-11-21T10:00:%02d.%03dZ","integrations":{},"type":"track","event":"Feature Used","userId":"user_%06d","anonymousId":"4f8cb2a0-9c4e-4f0a-8a51-%012d","properties":{"feature":"dashboard","plan":"business","seats":%d,"price":18.99,"duration_ms":%d,"beta":true,"path":"/projects/42/board","title":"Project board – Acme","referrer":"https://app.example.com/projects","labels":["red","green","blue"],"nested":{"a":1,"b":"two","c":null}},"context":{"page":{"path":"/projects/42/board","referrer":"https://app.example.com/projects","search":"?tab=board&sort=desc","title":"Project board","url":"https://app.example.com/projects/42/board?tab=board&sort=desc"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36","locale":"en-GB","library":{"name":"analytics.js","version":"npm:next-1.84.3"},"campaign":{"name":"autumn","source":"newsletter","medium":"email"},"timezone":"Europe/Berlin","screen":{"width":1920,"height":1080,"density":1}},"messageId":"ajs-next-1763719200%03d-8d1c0c7e-6a67-4b0e-9c39-%012d"}`,
		i%60, i%1000, i%5000, i, i%50, i*7, i%1000, i)
}

func sampleBatch(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"batch":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(sampleEvent(i))
	}
	b.WriteString(`],"sentAt":"2026-11-21T10:01:00.000Z","writeKey":"wk_production"}`)
	return b.Bytes()
}

func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			body := sampleBatch(n)
			var s Scanner
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Scan(body, true); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
