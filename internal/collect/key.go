package collect

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"firth/internal/event"
)

// basicHeader is the Authorization header that most SDKs send for a write key.
func basicHeader(key string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(key+":"))
}

// sourceOf finds the source of a call. The places of the write key are looked at in a fixed order, and the first one that has a key
// decides: Basic authorization, the top level of the body, the first item of a batch, the query, X-Write-Key. found tells whether
// there was a key at all.
func (h *Handler) sourceOf(r *http.Request, c *call, env *event.Envelope) (src *source, found bool) {
	if src, found = h.sourceOfHeader(r); found {
		return src, true
	}
	if len(env.WriteKey) > 0 {
		return h.keys[string(env.WriteKey)], true
	}
	if key := c.scanner.ItemWriteKey(env); len(key) > 0 {
		return h.keys[string(key)], true
	}
	return h.sourceOfRest(r)
}

// sourceOfHeader looks at the Authorization header alone.
func (h *Handler) sourceOfHeader(r *http.Request) (src *source, found bool) {
	auth := r.Header["Authorization"]
	if len(auth) == 0 {
		return nil, false
	}
	if src, ok := h.basic[auth[0]]; ok {
		return src, true
	}
	key := basicUser(auth[0])
	if len(key) == 0 {
		return nil, false
	}
	return h.keys[string(key)], true
}

// sourceOfRest looks at the query and at X-Write-Key.
func (h *Handler) sourceOfRest(r *http.Request) (src *source, found bool) {
	if r.URL.RawQuery != "" {
		// A query that cannot be read in part is read as far as it goes.
		if values, _ := url.ParseQuery(r.URL.RawQuery); values.Get("writeKey") != "" {
			return h.keys[values.Get("writeKey")], true
		}
	}
	key := r.Header.Get("X-Write-Key")
	if key == "" {
		return nil, false
	}
	if src, ok := h.keys[key]; ok {
		return src, true
	}
	key, _, _ = strings.Cut(key, ":") // Jitsu's form is key:secret
	return h.keys[key], true
}

// basicUser reads the user of a Basic authorization: base64 of "key:", "key:secret", or, in an old form, of the key alone.
func basicUser(header string) []byte {
	const scheme = "basic "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return nil
	}
	text := strings.TrimRight(strings.TrimSpace(header[len(scheme):]), "=")
	key, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		if key, err = base64.RawURLEncoding.DecodeString(text); err != nil {
			return nil
		}
	}
	if i := bytes.IndexByte(key, ':'); i >= 0 {
		key = key[:i]
	}
	return key
}
