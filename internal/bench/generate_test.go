package bench

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	r := rand.New(rand.NewPCG(1, 1))
	var all []time.Duration
	for range 100_000 {
		d := time.Duration(r.ExpFloat64() * 1e6)
		all = append(all, d)
		h.record(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		if got := h.quantile(q); float64(got) < 0.98*float64(want) || float64(got) > 1.02*float64(want) {
			t.Errorf("quantile %g is %s, want %s", q, got, want)
		}
	}
	for _, v := range []uint64{0, 1, 127, 128, 255, 256, 257, 1 << 20, 1<<20 + 1, 1<<62 + 12345} {
		i := bucket(v)
		if upper(i) < int64(v) || i > 0 && upper(i-1) >= int64(v) {
			t.Errorf("%d is in bucket %d, which ends at %d after %d", v, i, upper(i), upper(i-1))
		}
	}
}

func TestParseReply(t *testing.T) {
	tests := []struct {
		text           string
		status, length int
		closing        bool
	}{
		{"", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1", 0, 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n", 200, 55, false},
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 503, 76, true},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, -1, true},
		{"SSH-2.0-x\r\n\r\n", -1, -1, true},
	}
	for _, tt := range tests {
		if status, length, closing := parseReply([]byte(tt.text)); status != tt.status || length != tt.length || closing != tt.closing {
			t.Errorf("%q: %d, %d, %t", tt.text, status, length, closing)
		}
	}
}

func TestEventSizes(t *testing.T) {
	for _, r := range buildRequests("127.0.0.1:80", "key", 1, 0) {
		if n := len(r.bytes) - headLength(r.bytes); n < 950 || n > 1250 {
			t.Fatalf("an event of %d bytes: %s", n, r.bytes)
		}
	}
}

// Whatever goes wrong at the server is counted, and the load goes on.
func TestGenerateCountsFailures(t *testing.T) {
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch n.Add(1) % 5 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			panic(http.ErrAbortHandler)
		case 2:
			w.Header().Set("Connection", "close")
		}
	}))
	defer s.Close()
	started := 0
	r, err := Generate(t.Context(), GenOptions{
		Addr: strings.TrimPrefix(s.URL, "http://"), Key: "k", Connections: 4, Batch: 2,
		Warmup: 10 * time.Millisecond, Duration: 200 * time.Millisecond,
	}, func() { started++ })
	if err != nil {
		t.Fatal(err)
	}
	if started != 1 || r.Requests == 0 || r.Events != 2*r.Requests || r.Failed["status 503"] == 0 || r.Failed["closed by the server"] == 0 {
		t.Errorf("started %d times, result %+v", started, r)
	}
}

func TestGenerateNeedsAServer(t *testing.T) {
	for _, o := range []GenOptions{{Addr: "localhost"}, {Addr: "127.0.0.1:1"}, {Addr: "127.0.0.1:1", Connections: 1, Batch: 1}} {
		if _, err := Generate(t.Context(), o, func() {}); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

// In an open loop a request that has to wait for a slow server counts from the moment when it was due.
func TestPacedLatencyCountsFromWhenDue(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(20 * time.Millisecond) // the slowness that is measured
	}))
	defer s.Close()
	r, err := Generate(t.Context(), GenOptions{
		Addr: strings.TrimPrefix(s.URL, "http://"), Key: "k", Connections: 1, Batch: 1, Rate: 200, Duration: 300 * time.Millisecond,
	}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	if r.Max < 100*time.Millisecond {
		t.Errorf("the longest latency is %s though the server falls behind by 15 ms a request", r.Max)
	}
}
