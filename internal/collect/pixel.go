package collect

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"firth/internal/event"
)

// image is a transparent image of one pixel.
const image = "GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"

// pixel takes a call from the query of an image. The answer is the image whatever becomes of the call, because a mail program shows
// what it gets: so here 200 is no promise that the call is stored. The outcome is counted like any other.
func (h *Handler) pixel(w http.ResponseWriter, r *http.Request, typ string) {
	c := h.calls.Get().(*call)
	h.takePixel(r, typ, c).count.Add(1)
	h.release(c)
	head := w.Header()
	head["Access-Control-Allow-Origin"] = h.replies.headers.any
	head.Set("Content-Type", "image/gif")
	head.Set("Content-Length", "43")
	head.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(image)) // the caller may be gone
	}
}

func (h *Handler) takePixel(r *http.Request, name string, c *call) *reply {
	typ := event.TypeOf(name)
	body, ok := pixelBody(r.URL.RawQuery, h.o.MaxBody)
	switch {
	case h.closing.Load():
		return h.replies.closing
	case typ == "" || !ok:
		h.recordRefusal(r.Context(), c, event.ReasonBadPixel, nil, []byte(r.URL.RawQuery))
		return h.replies.badPixel
	}
	return h.store(r, route{kind: kindSingle, typ: typ, client: true}, c, body)
}

// pixelBody gives the call of a query: data is base64 of its JSON; otherwise the parameters are its fields, with dots between the names
// of nested ones, and all of them text.
func pixelBody(query string, most int) ([]byte, bool) {
	values, err := url.ParseQuery(query)
	if err != nil || len(values) == 0 {
		return nil, false
	}
	if data := values.Get("data"); data != "" {
		return pixelData(data, most)
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	call := make(map[string]any)
	for _, name := range names {
		place(call, name, values.Get(name))
	}
	body, err := json.Marshal(call)
	return body, err == nil
}

func pixelData(data string, most int) ([]byte, bool) {
	// In a query a plus is a space unless it was escaped; both alphabets are in use, with and without padding.
	data = strings.NewReplacer(" ", "+", "-", "+", "_", "/", "\n", "", "\r", "").Replace(data)
	body, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(data, "="))
	return body, err == nil && len(body) <= most
}

// maxPixelDepth bounds the nesting of a parameter's name.
const maxPixelDepth = 32

// place puts a value where the dotted name says. Where that is taken by a value already, the name stays whole.
func place(call map[string]any, name, value string) {
	path := strings.SplitN(name, ".", maxPixelDepth)
	at := call
	for _, p := range path[:len(path)-1] {
		next, ok := at[p].(map[string]any)
		if !ok {
			if _, taken := at[p]; taken {
				call[name] = value
				return
			}
			next = make(map[string]any)
			at[p] = next
		}
		at = next
	}
	at[path[len(path)-1]] = value
}
