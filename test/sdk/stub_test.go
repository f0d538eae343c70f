package sdk

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// newStub starts the least server that every SDK is content with: it stores nothing. With -stub the clients run against it, which
// shows what they send where no Firth is at hand.
func newStub(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Headers", "authorization, content-type, x-retry-count")
		h.Set("Content-Type", "application/json")
		answer := any(map[string]bool{"success": true})
		if key, ok := strings.CutPrefix(r.URL.Path, "/v1/projects/"); ok {
			answer = map[string]any{"integrations": map[string]any{"Segment.io": map[string]string{
				"apiKey": strings.TrimSuffix(key, "/settings"), "apiHost": r.Host + "/v1", "protocol": "http",
			}}, "plan": map[string]any{}, "metrics": map[string]int{"sampleRate": 0}}
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}
