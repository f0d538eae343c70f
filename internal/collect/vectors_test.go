package collect

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image/gif"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"firth/internal/event"
)

// post sends one request through the handler without a network; headers are "Name: value".
func post(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "203.0.113.7:41000"
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// vector is one of the HTTP vectors of the tracking API.
type vector struct {
	id   string
	test func(t *testing.T, h *Handler, j *memory)
}

func wantStatus(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
}

func vectors() []vector {
	return []vector{
		{"H1", func(t *testing.T, h *Handler, j *memory) {
			if got := basicHeader("abc123"); got != "Basic YWJjMTIzOg==" {
				t.Errorf("%q", got)
			}
			wantStatus(t, post(h, "POST", "/v1/track", track, "Authorization: Basic YWJjMTIzOg=="), 200)
			if j.taken()[0].request.Source != "staging" {
				t.Errorf("source %q", j.taken()[0].request.Source)
			}
		}},
		{"H2", func(t *testing.T, h *Handler, _ *memory) {
			w := post(h, "POST", "/v1/track", `{"writeKey":"wk","event":"a","userId":"u"}`, "Content-Type: text/plain")
			wantStatus(t, w, 200)
		}},
		{"H3", func(t *testing.T, h *Handler, _ *memory) {
			w := post(h, "POST", "/v1/import/", `{"writeKey":"wk","batch":[{"type":"page","userId":"u"}]}`, auth)
			wantStatus(t, w, 200)
			var body struct{ Success bool }
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || !body.Success {
				t.Errorf("%s, %v", w.Body, err)
			}
		}},
		{"H4", func(t *testing.T, h *Handler, _ *memory) {
			w := post(h, "POST", "/v1/batch", packed(t, `{"batch":[{"type":"page","userId":"u"}],"writeKey":"wk"}`), "Content-Encoding: gzip")
			wantStatus(t, w, 200)
		}},
		{"H5", vectorH5},
		{"H6", func(t *testing.T, h *Handler, _ *memory) {
			wantStatus(t, post(h, "POST", "/v1/track", event33KB(), auth), 400)
		}},
		{"H7", func(t *testing.T, h *Handler, _ *memory) {
			body := func(n int) string { return `{"batch":[],"x":"` + strings.Repeat("x", n-19) + `"}` }
			wantStatus(t, post(h, "POST", "/v1/batch", body(512_000), auth), 200)
			wantStatus(t, post(h, "POST", "/v1/batch", body(512_001), auth), 400)
		}},
		{"H8", func(t *testing.T, h *Handler, _ *memory) {
			wantStatus(t, post(h, "POST", "/v1/track", `{"a"`, auth), 400)
		}},
		{"H9", func(t *testing.T, h *Handler, j *memory) {
			wantStatus(t, post(h, "POST", "/v1/track", `{"event":"a"}`, auth), 200)
			if _, dead := j.decode(t); len(dead) != 1 || dead[0].Reason != event.ReasonNoUserAnonID {
				t.Errorf("%+v", dead)
			}
		}},
		{"H10", func(t *testing.T, h *Handler, _ *memory) {
			w := post(h, "OPTIONS", "/v1/t", "", "Origin: https://a.example", "Access-Control-Request-Headers: authorization,x-retry-count")
			wantStatus(t, w, 200)
			for _, name := range []string{"authorization", "x-retry-count"} {
				if !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), name) {
					t.Errorf("%s is not allowed: %v", name, w.Header())
				}
			}
		}},
		{"H11", vectorH11},
		{"H12", func(t *testing.T, h *Handler, _ *memory) {
			w := post(h, "GET", "/v1/pixel/track?data=%7Bnonsense", "")
			wantStatus(t, w, 200)
			if img, err := gif.Decode(w.Body); err != nil || img.Bounds().Dx() != 1 || img.Bounds().Dy() != 1 {
				t.Errorf("not an image of one pixel: %v", err)
			}
		}},
		{"H13", func(t *testing.T, h *Handler, _ *memory) { wantStatus(t, post(h, "POST", "/v1/track", track), 401) }},
	}
}

func vectorH5(t *testing.T, h *Handler, j *memory) {
	wantStatus(t, post(h, "POST", "/v1/batch", `{"messageId":"I'm unique","sentAt":"2009-11-10T23:00:00Z","batch":[`+
		`{"type":"track","event":"Download","messageId":"I'm unique","properties":{"application":"Segment Desktop","platform":"osx","version":"1.1.0"},`+
		`"timestamp":"2009-11-10T23:00:00Z","userId":123456}],"context":{"library":{"name":"analytics-go","version":"3.0.0"}}}`, auth), 200)
	calls, dead := j.decode(t)
	if len(calls) != 1 || len(dead) != 0 || calls[0].UserID != "123456" || !bytes.Contains(calls[0].Context, []byte(`"name":"analytics-go"`)) {
		t.Errorf("%+v, %+v", calls, dead)
	}
}

func vectorH11(t *testing.T, h *Handler, _ *memory) {
	for _, target := range []string{"/v1/projects/wk/settings", "/projects/wk/settings/", "/v1/projects/wk2/settings"} {
		w := post(h, "GET", target, "")
		wantStatus(t, w, 200)
		var doc struct {
			Integrations map[string]struct{ APIKey, APIHost, Protocol string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		own := doc.Integrations["Segment.io"]
		if len(doc.Integrations) != 1 || !strings.Contains(target, own.APIKey) || own.APIKey == "" || own.APIHost != "example.com/v1" || own.Protocol != "http" {
			t.Errorf("%s: %+v", target, doc)
		}
	}
}

func TestVectors(t *testing.T) {
	for _, v := range vectors() {
		t.Run(v.id, func(t *testing.T) {
			j := &memory{}
			v.test(t, newHandler(t, j), j)
		})
	}
}

func TestPixel(t *testing.T) {
	message := `{"writeKey":"wk","event":"Opened~~~???","userId":"u","messageId":"m"}`
	std := base64.StdEncoding.EncodeToString([]byte(message))
	for name, query := range map[string]string{
		"standard":  "data=" + url.QueryEscape(std),
		"plus":      "data=" + std,
		"url":       "data=" + base64.URLEncoding.EncodeToString([]byte(message)),
		"unpadded":  "data=" + base64.RawURLEncoding.EncodeToString([]byte(message)),
		"flattened": "writeKey=wk&event=Opened~~~%3F%3F%3F&userId=u&messageId=m",
	} {
		t.Run(name, func(t *testing.T) {
			j := &memory{}
			wantStatus(t, post(newHandler(t, j), "GET", "/v1/pixel/track?"+query, ""), 200)
			calls, dead := j.decode(t)
			if len(calls) != 1 || len(dead) != 0 || calls[0].Event != "Opened~~~???" || calls[0].MessageID != "m" || calls[0].UserID != "u" {
				t.Fatalf("%+v, %+v", calls, dead)
			}
			if got := string(calls[0].Context); got != `{"ip":"203.0.113.7"}` {
				t.Errorf("context %s", got)
			}
		})
	}
}

func TestPixelParameters(t *testing.T) {
	body, ok := pixelBody("properties.a.b=1&properties.a=2&properties.c=x%20y&userId=u&a=1&a.b=2&"+strings.Repeat("d.", 40)+"e=1", 1<<20)
	if !ok || !json.Valid(body) {
		t.Fatalf("%s, %v", body, ok)
	}
	if !strings.HasPrefix(string(body), `{"a":"1","a.b":"2",`) || !strings.HasSuffix(string(body), `"properties":{"a":"2","c":"x y"},"properties.a.b":"1","userId":"u"}`) {
		// Where a name is taken by a value, what would be below it stays under its whole name.
		t.Errorf("%s", body)
	}
	for _, query := range []string{"", "data=%%", "data=_", "data=" + strings.Repeat("A", 200)} {
		if body, ok := pixelBody(query, 100); ok {
			t.Errorf("%q was taken: %q", query, body)
		}
	}
}

func TestRefusedPixelIsADeadLetter(t *testing.T) {
	j := &memory{}
	h := newHandler(t, j)
	for _, target := range []string{"/v1/pixel/track?data=!!", "/v1/pixel/dance?userId=u", "/v1/pixel/track?userId=u&event=a", "/v1/pixel/track"} {
		wantStatus(t, post(h, "GET", target, ""), 200)
	}
	_, dead := j.decode(t)
	var reasons []string
	for _, l := range dead {
		reasons = append(reasons, l.Reason)
	}
	if got := strings.Join(reasons, " "); got != "bad_pixel bad_pixel missing_write_key bad_pixel" {
		t.Error(got)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	w := post(newHandler(t, &memory{}), "HEAD", "/v1/pixel/track", "")
	if b, err := io.ReadAll(w.Body); err != nil || len(b) != 0 {
		t.Errorf("%q, %v", b, err)
	}
}
