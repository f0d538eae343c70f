package collect

import (
	"net/http"
	"strings"
)

// allowOrigin lets the page that sent the request read the answer.
func (h *Handler) allowOrigin(head http.Header, r *http.Request) {
	origin := r.Header["Origin"]
	if len(origin) == 0 {
		return
	}
	head["Access-Control-Allow-Origin"] = origin[:1]
	head["Access-Control-Allow-Credentials"] = h.replies.headers.yes
	head["Access-Control-Expose-Headers"] = h.replies.headers.expose
	head["Vary"] = h.replies.headers.origin
}

// allowedHeaders are those that the browser SDKs set: Segment's, then RudderStack's and Jitsu's.
const allowedHeaders = "content-type, authorization, x-retry-count, anonymousid, sentat, x-write-key"

// preflight answers OPTIONS: https://fetch.spec.whatwg.org/#cors-preflight-request.
func (h *Handler) preflight(w http.ResponseWriter, r *http.Request) {
	h.metrics.preflights.Add(1)
	head := w.Header()
	h.allowOrigin(head, r)
	allowed := allowedHeaders
	for _, line := range r.Header["Access-Control-Request-Headers"] {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if strings.HasPrefix(name, "rsa-") && isToken(name) && len(allowed) < 1000 {
				allowed += ", " + name
			}
		}
	}
	head.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	head.Set("Access-Control-Allow-Headers", allowed)
	head.Set("Access-Control-Max-Age", "86400")
	head.Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// isToken tells whether a header's name in lower case has only letters, digits and hyphens.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
