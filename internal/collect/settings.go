package collect

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// settingsText is the settings document without its first integration. Exactly one integration: for any other the browser would fetch
// a bundle.
//
//go:embed settings.json
var settingsText []byte

// settings answers what browsers and phones fetch before they send. The document must name this host: without it analytics-next posts
// to Segment's own.
func (h *Handler) settings(w http.ResponseWriter, r *http.Request, key string) {
	if h.keys[key] == nil {
		h.send(w, r, h.replies.unknownSettings)
		return
	}
	body, err := h.settingsFor(r, key)
	if err != nil {
		h.o.Log.Error("the settings document cannot be made", "error", err)
		h.send(w, r, h.replies.internal)
		return
	}
	h.replies.ok.count.Add(1)
	head := w.Header()
	head["Access-Control-Allow-Origin"] = h.replies.headers.any
	head["Content-Type"] = h.replies.headers.json
	head.Set("Content-Length", strconv.Itoa(len(body)))
	head.Set("Cache-Control", "public, max-age=3600")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the caller may be gone
	}
}

func (h *Handler) settingsFor(r *http.Request, key string) ([]byte, error) {
	host, protocol := h.o.Host, "http"
	if host == "" {
		host = r.Host
	}
	if r.TLS != nil || h.fromTrustedProxy(r) && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		protocol = "https"
	}
	var doc map[string]any
	if err := json.Unmarshal(settingsText, &doc); err != nil {
		return nil, err
	}
	doc["integrations"] = map[string]any{"Segment.io": map[string]any{
		"apiKey": key, "apiHost": host + "/v1", "protocol": protocol,
		"addBundledMetadata": true, "unbundledIntegrations": []string{}, "deliveryStrategy": map[string]any{},
	}}
	return json.Marshal(doc)
}
