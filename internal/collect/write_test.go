package collect

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"fmt"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/journal"
)

func TestWriteKey(t *testing.T) {
	const single, batch = "/v1/track", "/v1/batch"
	item := `{"type":"page","userId":"u"}`
	for _, c := range []struct {
		name, target, body, headers, source string
	}{
		{"basic", single, track, "Authorization: Basic d2s6", "production"},
		{"basic, second key", single, track, "Authorization: Basic d2syOg==", "production"},
		{"basic with a password", single, track, "Authorization: Basic d2s6c2VjcmV0", "production"},
		{"basic without a colon", single, track, "Authorization: Basic d2s=", "production"},
		{"basic without padding", single, track, "Authorization: Basic d2syOg", "production"},
		{"basic in lower case", single, track, "Authorization: basic d2s6", "production"},
		{"basic wins over the body", single, `{"writeKey":"abc123","event":"a","userId":"u"}`, "Authorization: Basic d2s6", "production"},
		{"an unknown basic key wins as well", single, `{"writeKey":"abc123","event":"a","userId":"u"}`, "Authorization: Basic bm9ib2R5Og==", ""},
		{"bearer leaves it to the body", single, `{"writeKey":"abc123","event":"a","userId":"u"}`, "Authorization: Bearer d2s6", "staging"},
		{"basic that is none", single, `{"writeKey":"abc123","event":"a","userId":"u"}`, "Authorization: Basic !", "staging"},
		{"basic without a user", single, `{"writeKey":"abc123","event":"a","userId":"u"}`, "Authorization: Basic Og==", "staging"},
		{"body", single, `{"event":"a","userId":"u","writeKey":"abc123"}`, "", "staging"},
		{"envelope", batch, `{"batch":[` + item + `],"writeKey":"abc123"}`, "", "staging"},
		{"envelope wins over item", batch, `{"batch":[{"type":"page","userId":"u","writeKey":"wk"}],"writeKey":"abc123"}`, "", "staging"},
		{"item", batch, `{"batch":[{"type":"page","userId":"u","writeKey":"wk"}]}`, "", "production"},
		{"item wins over query", batch + "?writeKey=abc123", `{"batch":[{"type":"page","userId":"u","writeKey":"wk"}]}`, "", "production"},
		{"query", "/beacon/v1/batch?writeKey=abc123", `{"batch":[` + item + `]}`, "", "staging"},
		{"query wins over X-Write-Key", batch + "?writeKey=abc123", `{"batch":[` + item + `]}`, "X-Write-Key: wk", "staging"},
		{"X-Write-Key", single, track, "X-Write-Key: wk", "production"},
		{"X-Write-Key with a secret", single, track, "X-Write-Key: wk:secret", "production"},
		{"nothing", single, track, "", ""},
		{"a key that is no text", single, `{"writeKey":5,"event":"a","userId":"u"}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := &memory{}
			var headers []string
			if c.headers != "" {
				headers = []string{c.headers}
			}
			w := post(newHandler(t, j), "POST", c.target, c.body, headers...)
			got := j.taken()[0].request
			if got.Source != c.source || (got.Refused == "") != (c.source != "") || (w.Code == 200) != (c.source != "") {
				t.Errorf("%d, source %q, refused %q", w.Code, got.Source, got.Refused)
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	zlibbed := func(s string) string {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		if _, err := io.WriteString(w, s); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	deflated := func(s string) string {
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, 9)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, s); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	j := &memory{}
	h := newHandler(t, j)
	for _, c := range []struct{ name, body, headers string }{
		{"plain", track, ""},
		{"identity", track, "Content-Encoding: identity"},
		{"gzip", packed(t, track), "Content-Encoding: gzip"},
		{"x-gzip", packed(t, track), "Content-Encoding: X-GZIP"},
		{"gzip that does not say so", packed(t, track), ""},
		{"zlib", zlibbed(track), "Content-Encoding: deflate"},
		{"bare deflate", deflated(track), "Content-Encoding: deflate"},
		{"byte order mark", "\xef\xbb\xbf" + track, ""},
		{"a form that is none", track, "Content-Type: application/x-www-form-urlencoded"},
		{"no type", track, "Content-Type: "},
	} {
		headers := []string{auth}
		if c.headers != "" {
			headers = append(headers, c.headers)
		}
		if w := post(h, "POST", "/v1/track", c.body, headers...); w.Code != 200 {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
			continue
		}
		if got := j.taken()[len(j.taken())-1].request.Body; string(got) != track {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestChunkedBodiesOfEverySize(t *testing.T) {
	j := &memory{}
	h := newHandler(t, j, func(o *Options) { o.MaxBody = 100_000; o.MaxEvent = 100_000 })
	for _, n := range []int{60, 16 << 10, 16<<10 + 1, 99_999, 100_000, 100_001, 300_000} {
		body := `{"event":"a","userId":"u","x":"` + strings.Repeat("x", n-33) + `"}`
		r := httptest.NewRequest("POST", "/v1/track", io.NopCloser(strings.NewReader(body)))
		r.ContentLength = -1
		r.Header.Set("Authorization", basicHeader("wk"))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if want := map[bool]int{true: 200, false: 400}[n <= 100_000]; w.Code != want || len(body) != n {
			t.Errorf("%d bytes: %d, want %d", len(body), w.Code, want)
		}
	}
}

func TestRequestIsJournaled(t *testing.T) {
	j := &memory{}
	h := newHandler(t, j, func(o *Options) {
		o.MaxBatch, o.MaxEvent, o.IPPolicy = 3, 1000, event.IPTruncate
		o.Sources[0].TrustTimestamp = true
	})
	body := `{"batch":[` + strings.Repeat(`{"type":"page","userId":"u"},`, 4) + `{"type":"page"}]}`
	wantStatus(t, post(h, "POST", "/v1/b", body, auth), 200)
	want := event.Request{
		Source: "production", IP: "203.0.113.0", IPPolicy: event.IPTruncate, Client: true, TrustTimestamp: true,
		Body: []byte(body), MaxEvent: 1000, MaxBatch: 3,
	}
	got := j.taken()[0]
	if fmt.Sprintf("%+v", got.request) != fmt.Sprintf("%+v", want) {
		t.Errorf("%+v", got.request)
	}
	if got.count != 4 {
		t.Errorf("%d offsets for three items and the surplus", got.count)
	}
	calls, dead := j.decode(t)
	if len(calls) != 3 || len(dead) != 1 || dead[0].Reason != event.ReasonBatchTooLong || dead[0].Offset != 3 {
		t.Errorf("%d calls, %+v", len(calls), dead)
	}
	if h.metrics.Events() != 3 || h.metrics.Surplus() != 2 || h.metrics.Bytes() != int64(len(body)) {
		t.Errorf("%d events, %d surplus, %d bytes", h.metrics.Events(), h.metrics.Surplus(), h.metrics.Bytes())
	}
}

func TestClientSide(t *testing.T) {
	for target, want := range map[string]bool{"/v1/track": false, "/v1/t": true, "/track": false} {
		j := &memory{}
		wantStatus(t, post(newHandler(t, j), "POST", target, track, auth), 200)
		if got := j.taken()[0].request.Client; got != want {
			t.Errorf("%s: %v", target, got)
		}
	}
	j := &memory{}
	wantStatus(t, post(newHandler(t, j), "POST", "/v1/track", track, auth, "Origin: https://a.example"), 200)
	if !j.taken()[0].request.Client {
		t.Error("a call with an Origin comes from a browser")
	}
}

func TestPeer(t *testing.T) {
	h := newHandler(t, nullJournal{}, func(o *Options) {
		o.Proxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	})
	for _, c := range []struct {
		name, remote, forwarded, want string
	}{
		{"direct", "203.0.113.7:1", "", "203.0.113.7"},
		{"a stranger's header is not believed", "203.0.113.7:1", "198.51.100.9", "203.0.113.7"},
		{"proxy", "10.0.0.1:1", "198.51.100.9", "198.51.100.9"},
		{"proxy without a header", "10.0.0.1:1", "", "10.0.0.1"},
		{"two proxies", "10.0.0.1:1", "198.51.100.9, 10.0.0.2", "198.51.100.9"},
		{"what the caller made up", "10.0.0.1:1", "1.1.1.1, 198.51.100.9, 10.0.0.2", "198.51.100.9"},
		{"two lines", "10.0.0.1:1", "1.1.1.1|198.51.100.9,10.0.0.2", "198.51.100.9"},
		{"all trusted", "10.0.0.1:1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		{"nonsense", "10.0.0.1:1", "198.51.100.9, unknown, 10.0.0.2", "10.0.0.2"},
		{"with a port", "10.0.0.1:1", "198.51.100.9:4711", "198.51.100.9"},
		{"IPv6", "[fd00::1]:1", "2001:db8::7", "2001:db8::7"},
		{"IPv6 with a port", "[fd00::1]:1", "[2001:db8::7]:80", "2001:db8::7"},
		{"IPv6 in brackets", "[fd00::1]:1", "[2001:db8::7]", "2001:db8::7"},
		{"IPv4 as IPv6", "[::ffff:10.0.0.1]:1", "::ffff:198.51.100.9", "198.51.100.9"},
		{"no address", "@", "198.51.100.9", ""},
	} {
		r := httptest.NewRequest("POST", "/v1/t", nil)
		r.RemoteAddr = c.remote
		if c.forwarded != "" {
			r.Header["X-Forwarded-For"] = strings.Split(c.forwarded, "|")
		}
		if got := h.peer(r); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSettingsBehindAProxy(t *testing.T) {
	h := newHandler(t, nullJournal{}, func(o *Options) {
		o.Proxies = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		o.Host = `events.example.com"`
	})
	w := post(h, "GET", "/v1/projects/wk/settings", "", "X-Forwarded-Proto: https")
	if !strings.Contains(w.Body.String(), `"protocol":"https"`) || !strings.Contains(w.Body.String(), `"apiHost":"events.example.com\"/v1"`) {
		t.Errorf("%s", w.Body)
	}
}

func TestLimit(t *testing.T) {
	now := time.Unix(1795262400, 0)
	j := &memory{}
	h := newHandler(t, j, func(o *Options) {
		o.Sources[0].Limit = 100
		o.MaxBatch = 200
		o.Now = func() time.Time { return now }
	})
	batch := func(n int) string {
		return `{"batch":[` + strings.Repeat(`{"type":"page","userId":"u"},`, n-1) + `{}]}`
	}
	send := func(n, want int, retry string) {
		t.Helper()
		w := post(h, "POST", "/v1/batch", batch(n), auth)
		if w.Code != want || w.Header().Get("Retry-After") != retry || w.Header().Get("X-RateLimit-Reset") != retry {
			t.Errorf("%d events: %d, Retry-After %q", n, w.Code, w.Header().Get("Retry-After"))
		}
	}
	send(200, 200, "") // the bucket holds a whole batch
	send(1, 429, "1")
	send(150, 429, "2")
	now = now.Add(time.Second)
	send(101, 429, "1")
	send(100, 200, "")
	now = now.Add(time.Hour)
	send(1000, 200, "") // only what is taken counts
	send(1, 429, "1")
	if w := post(h, "POST", "/v1/batch", batch(200), "Authorization: "+basicHeader("abc123")); w.Code != 200 {
		t.Errorf("another source: %d", w.Code)
	}
	for _, e := range j.taken() {
		if e.request.Refused != "" {
			t.Errorf("a limited call was journaled as %s", e.request.Refused)
		}
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	now := time.Unix(1795262400, 0)
	j := &memory{}
	h := newHandler(t, j, func(o *Options) { o.Now = func() time.Time { return now } })
	long := `{"secret":"wk2", "x":` + strings.Repeat("y", 100_000)
	for range 100 {
		wantStatus(t, post(h, "POST", "/v1/track", long), 400)
	}
	if n := len(j.taken()); n != strangerBurst {
		t.Errorf("%d refusals were kept", n)
	}
	wantStatus(t, post(h, "POST", "/v1/track", long, auth), 400)
	kept, missed := h.metrics.Refusals()
	if kept != strangerBurst+1 || missed != 100-strangerBurst {
		t.Errorf("kept %d, missed %d", kept, missed)
	}
	stranger, sender := j.taken()[0].request, j.taken()[strangerBurst].request
	if len(stranger.Body) != strangerBytes || stranger.Source != "" || stranger.Refused != event.ReasonMalformedJSON {
		t.Errorf("%d bytes, source %q, %s", len(stranger.Body), stranger.Source, stranger.Refused)
	}
	if len(sender.Body) != senderBytes || sender.Source != "production" {
		t.Errorf("%d bytes, source %q", len(sender.Body), sender.Source)
	}
	if bytes.Contains(sender.Body, []byte("wk2")) || !bytes.HasPrefix(sender.Body, []byte(`{"secret":"`+redactedMarker+`"`)) {
		t.Errorf("the write key is in it: %.60q", sender.Body)
	}
	now = now.Add(2 * time.Second)
	wantStatus(t, post(h, "POST", "/v1/track", long), 400)
	if n := len(j.taken()); n != strangerBurst+2 {
		t.Errorf("%d refusals after a pause", n)
	}
}

func TestRefusalWhileTheJournalIsFull(t *testing.T) {
	h := newHandler(t, &memory{err: journal.ErrFull})
	wantStatus(t, post(h, "POST", "/v1/track", `{`, auth), 400)
	if _, missed := h.metrics.Refusals(); missed != 1 {
		t.Errorf("%d missed", missed)
	}
}

func TestManyAtOnce(t *testing.T) {
	j := &memory{}
	addr := listen(t, newHandler(t, j))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				body := fmt.Sprintf(`{"event":"e","userId":"u%d-%d","x":"%s"}`, g, i, strings.Repeat("x", g*i))
				request := wire("POST", "/v1/track", body, auth)
				if i%2 == 1 {
					request = wire("POST", "/v1/track", packed(t, body), auth, "Content-Encoding: gzip")
				}
				if reply := exchange(t, addr, request, "POST"); !strings.HasPrefix(reply, "HTTP/1.1 200") {
					t.Errorf("%s", reply)
				}
			}
		})
	}
	wg.Wait()
	calls, dead := j.decode(t)
	seen := make(map[string]bool)
	for i := range calls {
		seen[calls[i].UserID] = true
	}
	if len(seen) != 400 || len(dead) != 0 {
		t.Errorf("%d users, %d dead letters", len(seen), len(dead))
	}
}

// TestSlowClientHoldsNobodyUp leaves a body half sent and sends another call meanwhile.
func TestSlowClientHoldsNobodyUp(t *testing.T) {
	j := &memory{}
	addr := listen(t, newHandler(t, j))
	slow := dial(t, addr)
	if _, err := io.WriteString(slow, strings.TrimSuffix(wire("POST", "/v1/track", track, auth), `"}`)); err != nil {
		t.Fatal(err)
	}
	if reply := exchange(t, addr, wire("POST", "/v1/track", track, auth), "POST"); !strings.HasPrefix(reply, "HTTP/1.1 200") {
		t.Fatal(reply)
	}
	if _, err := io.WriteString(slow, `"}`); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := slow.Read(buf); err != nil || !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200")) {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if len(j.taken()) != 2 {
		t.Errorf("%d calls", len(j.taken()))
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"negative":            {MaxBody: -1},
		"at most":             {MaxBody: 1 << 30},
		"IP policy":           {IPPolicy: 9},
		"needs a name":        {Sources: []Source{{Name: "a"}}},
		"empty write key":     {Sources: []Source{{Name: "a", Keys: []string{""}}}},
		"have the same write": {Sources: []Source{{Name: "a", Keys: []string{"k"}}, {Name: "b", Keys: []string{"k"}}}},
	} {
		if _, err := New(nullJournal{}, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestMetrics(t *testing.T) {
	h := newHandler(t, &memory{})
	wantStatus(t, post(h, "POST", "/v1/track", track, auth), 200)
	wantStatus(t, post(h, "POST", "/v1/track", "{", auth), 400)
	wantStatus(t, post(h, "OPTIONS", "/v1/track", ""), 200)
	got := make(map[string]int64)
	for code, n := range h.Metrics().Requests() {
		if n > 0 {
			got[code] = n
		}
	}
	for name, n := range h.Metrics().Sources() {
		got["source "+name] = n
	}
	_, count, sum := h.Metrics().Latency()
	if fmt.Sprint(got) != "map[malformed_json:1 ok:1 source production:1 source staging:0]" || count != 2 || sum <= 0 || h.Metrics().Preflights() != 1 {
		t.Errorf("%v, %d calls in %v s, %d preflights", got, count, sum, h.Metrics().Preflights())
	}
}
