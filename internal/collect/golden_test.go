package collect

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/journal"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	jsonType = "Content-Type: application/json"
	auth     = "Authorization: Basic d2s6" // wk:
	track    = `{"event":"Signed Up","userId":"u1","messageId":"m1"}`
)

// replyCase is a request whose reply stands in testdata/<name>.golden.
type replyCase struct {
	name    string
	request string
	options func(*Options)
	journal *memory
	before  func(*testing.T, *Handler)
}

func chunked(headers, body string) string {
	return "POST /v1/track HTTP/1.1\r\nHost: firth.example.com\r\nTransfer-Encoding: chunked\r\n" + headers +
		fmt.Sprintf("\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
}

func event33KB() string {
	return `{"event":"a","userId":"u","properties":{"text":"` + strings.Repeat("x", 33<<10) + `"}}`
}

func body501KB() string {
	return `{"batch":[],"padding":"` + strings.Repeat("x", 512_001) + `"}`
}

func acceptedCases(t *testing.T) []replyCase {
	return []replyCase{
		{name: "accepted", request: wire("POST", "/v1/track", track, auth, jsonType)},
		{name: "accepted_chunked", request: chunked(auth+"\r\n", track)},
		{name: "accepted_gzip", request: wire("POST", "/v1/batch", packed(t, `{"writeKey":"wk","batch":[{"type":"page","userId":"u"}]}`), "Content-Encoding: gzip")},
		{name: "accepted_cross_origin", request: wire("POST", "/v1/t", `{"writeKey":"wk","event":"a","anonymousId":"a"}`, "Origin: https://shop.example.com", "Content-Type: text/plain")},
		{name: "accepted_without_ids", request: wire("POST", "/v1/track", `{"event":"a"}`, auth)},
		{name: "accepted_without_event", request: wire("POST", "/v1/track", `{"userId":"u"}`, auth)},
		{name: "accepted_too_many_items", request: wire("POST", "/v1/batch", `{"batch":[`+strings.Repeat("{},", 2500)+`{}]}`, auth)},
		{name: "accepted_event_too_large_in_batch", request: wire("POST", "/v1/batch", `{"batch":[`+event33KB()+`]}`, auth)},
		{name: "accepted_empty_batch", request: wire("POST", "/v1/batch", `{"batch":[]}`, auth)},
		{name: "sdk_metrics", request: wire("POST", "/v1/m", `{"series":[]}`)},
		{name: "unknown_write_key_silent", request: wire("POST", "/v1/track", `{"writeKey":"nobody","event":"a","userId":"u"}`), options: func(o *Options) { o.Silent = true }},
	}
}

func refusedCases(t *testing.T) []replyCase {
	return []replyCase{
		{name: "malformed_json", request: wire("POST", "/v1/track", `{"event":`, auth)},
		{name: "malformed_json_cross_origin", request: wire("POST", "/v1/t", `{"event":}`, auth, "Origin: https://shop.example.com")},
		{name: "empty_body", request: wire("POST", "/v1/track", ``, auth)},
		{name: "not_an_object", request: wire("POST", "/v1/track", `["a"]`, auth)},
		{name: "missing_batch", request: wire("POST", "/v1/batch", track, auth)},
		{name: "too_deep", request: wire("POST", "/v1/track", `{"properties":`+strings.Repeat("[", 11_000)+strings.Repeat("]", 11_000)+`}`, auth)},
		{name: "event_too_large", request: wire("POST", "/v1/track", event33KB(), auth)},
		{name: "body_too_large", request: wire("POST", "/v1/batch", body501KB(), auth)},
		{name: "body_too_large_chunked", request: chunked(auth+"\r\n", body501KB())},
		{name: "gzip_bomb", request: wire("POST", "/v1/batch", packed(t, strings.Repeat("[", 64<<20)), auth, "Content-Encoding: gzip")},
		{name: "gzip_broken", request: wire("POST", "/v1/batch", "\x1f\x8b\x08 not gzip at all", auth, "Content-Encoding: gzip")},
		{name: "encoding_unknown", request: wire("POST", "/v1/batch", track, auth, "Content-Encoding: br")},
		{name: "missing_write_key", request: wire("POST", "/v1/track", track)},
		{name: "unknown_write_key", request: wire("POST", "/v1/track", track, "Authorization: Basic bm9ib2R5Og==")},
		{name: "not_found", request: wire("GET", "/api/sql", "")},
		{name: "method_not_allowed", request: wire("GET", "/v1/track", "")},
		{name: "method_not_allowed_settings", request: wire("POST", "/v1/projects/wk/settings", "{}")},
		{name: "analytics_js", request: wire("GET", "/analytics.js/v1/wk/analytics.min.js", "")},
	}
}

func laterCases(*testing.T) []replyCase {
	drained := func(t *testing.T, h *Handler) {
		if _, ok := h.keys["wk"].limit.take(h.o.Now(), 2500); !ok {
			t.Fatal("the bucket was not full at the start")
		}
	}
	limited := func(o *Options) {
		o.Sources[0].Limit = 0.5
		o.Now = func() time.Time { return time.Unix(1795262400, 0) }
	}
	return []replyCase{
		{name: "rate_limited", request: wire("POST", "/v1/track", track, auth), options: limited, before: drained},
		{name: "rate_limited_batch", request: wire("POST", "/v1/batch", `{"batch":[`+strings.Repeat("{},", 99)+`{}]}`, auth), options: limited, before: drained},
		{name: "journal_full", request: wire("POST", "/v1/track", track, auth), journal: &memory{err: fmt.Errorf("append: %w", journal.ErrFull)}},
		{name: "journal_failed", request: wire("POST", "/v1/track", track, auth, "Origin: https://shop.example.com"), journal: &memory{err: journal.ErrFailed}},
		{name: "journal_closed", request: wire("POST", "/v1/track", track, auth), journal: &memory{err: journal.ErrClosed}},
		{name: "journal_other", request: wire("POST", "/v1/track", track, auth), journal: &memory{err: os.ErrPermission}},
		{name: "panic", request: wire("POST", "/v1/track", track, auth), journal: &memory{panics: true}},
		{name: "shutting_down", request: wire("POST", "/v1/track", track, auth), before: func(_ *testing.T, h *Handler) { h.Shutdown() }},
		{
			name: "slow_body", request: strings.TrimSuffix(wire("POST", "/v1/track", track, auth), `:"m1"}`),
			options: func(o *Options) { o.BodyTimeout = 50 * time.Millisecond },
		},
		{
			name: "slow_body_chunked", request: strings.TrimSuffix(chunked(auth+"\r\n", track), "\r\n\r\n"),
			options: func(o *Options) { o.BodyTimeout = 50 * time.Millisecond },
		},
		{name: "bad_chunks", request: strings.Replace(chunked(auth+"\r\n", track), "\r\n0\r\n", "\r\nzz\r\n", 1)},
	}
}

func otherCases(*testing.T) []replyCase {
	preflight := []string{"Origin: https://shop.example.com", "Access-Control-Request-Method: POST"}
	return []replyCase{
		{name: "preflight", request: wire("OPTIONS", "/v1/t", "", append(preflight, "Access-Control-Request-Headers: authorization,x-retry-count")...)},
		{name: "preflight_rudder", request: wire("OPTIONS", "/v1/batch/", "", append(preflight, "Access-Control-Request-Headers: RSA-Key, rsa-ev!l, anonymousid")...)},
		{name: "settings", request: wire("GET", "/v1/projects/wk/settings", "", "Origin: https://shop.example.com")},
		{name: "settings_head", request: wire("HEAD", "/projects/wk/settings", "")},
		{name: "settings_unknown", request: wire("GET", "/v1/projects/nobody/settings", "")},
		{name: "pixel", request: wire("GET", "/v1/pixel/track?writeKey=wk&event=Opened&userId=u&properties.mail.id=7", "")},
		{name: "pixel_invalid", request: wire("GET", "/v1/pixel/track?data=%25%25", "")},
		{name: "pixel_journal_full", request: wire("GET", "/v1/pixel/track?writeKey=wk&event=Opened&userId=u", ""), journal: &memory{err: journal.ErrFull}},
	}
}

func TestReplies(t *testing.T) {
	var cases []replyCase
	for _, f := range []func(*testing.T) []replyCase{acceptedCases, refusedCases, laterCases, otherCases} {
		cases = append(cases, f(t)...)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			j := c.journal
			if j == nil {
				j = &memory{}
			}
			h := newHandler(t, j)
			if c.options != nil {
				h = newHandler(t, j, c.options)
			}
			if c.before != nil {
				c.before(t, h)
			}
			method, _, _ := strings.Cut(c.request, " ")
			golden(t, c.name, exchange(t, listen(t, h), c.request, method))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = strings.ReplaceAll(got, "\r\n", "\n")
	if !strings.HasSuffix(got, "\n") {
		got += "\n"
	}
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

// TestServerTroubleIsNever4xx holds what SDKs rely on: they drop a batch for good on 4xx.
func TestServerTroubleIsNever4xx(t *testing.T) {
	for _, err := range []error{journal.ErrFull, journal.ErrFailed, journal.ErrClosed, journal.ErrTooLarge, os.ErrPermission} {
		r := newHandler(t, &memory{}).trouble(err)
		if r.status != http.StatusServiceUnavailable || r.retry == nil {
			t.Errorf("%v: %d, Retry-After %v", err, r.status, r.retry)
		}
	}
}
