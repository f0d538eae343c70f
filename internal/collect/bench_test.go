package collect

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"firth/internal/journal"
)

// nullJournal takes everything at once.
type nullJournal struct{}

func (nullJournal) Append(context.Context, []byte, int) (journal.Entry, error) {
	return journal.Entry{}, nil
}

// quiet is a ResponseWriter that costs nothing.
type quiet struct{ head http.Header }

func (q *quiet) Header() http.Header         { return q.head }
func (q *quiet) WriteHeader(int)             {}
func (q *quiet) Write(b []byte) (int, error) { return len(b), nil }

// sampleCall is a server-side track call of about 1 KB.
func sampleCall(i int) string {
	return fmt.Sprintf(`{"timestamp":"2026-11-21T10:00:%02d.%03dZ","integrations":{},"type":"track","event":"Feature Used","userId":"user_%06d",`+
		`"anonymousId":"4f8cb2a0-9c4e-4f0a-8a51-%012d","properties":{"feature":"dashboard","plan":"business","seats":%d,"price":18.99,`+
		`"beta":true,"path":"/projects/42/board","title":"Project board","labels":["red","green","blue"],"nested":{"a":1,"b":"two","c":null},`+
		`"note":"%s"},"context":{"page":{"path":"/projects/42/board","url":"https://app.example.com/projects/42/board?tab=board"},`+
		`"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",`+
		`"locale":"en-GB","library":{"name":"@segment/analytics-node","version":"3.1.0"}},"messageId":"node-next-1763719200%03d-%012d"}`,
		i%60, i%1000, i%5000, i, i%50, strings.Repeat("lorem ipsum ", 10), i%1000, i)
}

func sampleEnvelope(n int) string {
	items := make([]string, n)
	for i := range items {
		items[i] = sampleCall(i)
	}
	return `{"batch":[` + strings.Join(items, ",") + `],"sentAt":"2026-11-21T10:01:00.000Z"}`
}

type loop struct{ bytes.Reader }

func (*loop) Close() error { return nil }

func BenchmarkHandler(b *testing.B) {
	h, err := New(nullJournal{}, Options{Sources: []Source{{Name: "production", Keys: []string{"wk_production"}}}})
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("events=%d", n), func(b *testing.B) {
			path, body := "/v1/batch", []byte(sampleEnvelope(n))
			if n == 1 {
				path, body = "/v1/track", []byte(sampleCall(1))
			}
			var in loop
			r := &http.Request{
				Method: http.MethodPost, URL: &url.URL{Path: path}, ContentLength: int64(len(body)), RemoteAddr: "203.0.113.7:41000",
				Header: http.Header{"Authorization": {basicHeader("wk_production")}, "Content-Type": {"application/json"}}, Body: &in,
			}
			w := &quiet{head: http.Header{}}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(body)
				h.ServeHTTP(w, r)
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
	if got := h.replies.ok.count.Load(); got == 0 || h.metrics.Events() == 0 {
		b.Fatal("nothing was taken")
	}
}

// BenchmarkServer measures the whole of net/http on loopback, beside a handler that only reads the body and answers.
func BenchmarkServer(b *testing.B) {
	h, err := New(nullJournal{}, Options{Sources: []Source{{Name: "production", Keys: []string{"wk_production"}}}})
	if err != nil {
		b.Fatal(err)
	}
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte(`{"success":true}`))
	})
	for name, handler := range map[string]http.Handler{"firth": h, "bare": bare} {
		b.Run(name, func(b *testing.B) {
			addr := listen(b, handler)
			body := sampleCall(1)
			raw := fmt.Sprintf("POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n%s", basicHeader("wk_production"), len(body), body)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				conn := dial(b, addr)
				buf := make([]byte, 4096)
				for pb.Next() {
					if _, err := io.WriteString(conn, raw); err != nil {
						b.Error(err)
						return
					}
					if n, err := conn.Read(buf); err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200")) {
						b.Errorf("answer %q, %v", buf[:n], err)
						return
					}
				}
			})
		})
	}
}
