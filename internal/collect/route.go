package collect

import (
	"net/http"
	"strings"

	"firth/internal/event"
)

// kind is what a route does.
type kind uint8

const (
	kindSingle   kind = iota // one call, its type in the path
	kindBatch                // an envelope of calls
	kindMetrics              // the SDK's own numbers: taken and dropped
	kindSettings             // what browsers and phones fetch first
	kindPixel                // a call in the query of an image
	kindBundle               // the SDK itself
)

// route is what a path stands for.
type route struct {
	kind   kind
	typ    string // of the call, for kindSingle
	client bool   // client-side traffic
	param  string // write key, or the type in the path of a pixel
}

func (rt route) allows(method string) bool {
	switch rt.kind {
	case kindSingle, kindBatch, kindMetrics:
		return method == http.MethodPost
	}
	return method == http.MethodGet || method == http.MethodHead
}

func (rt route) allow() []string {
	if rt.allows(http.MethodPost) {
		return []string{"POST, OPTIONS"}
	}
	return []string{"GET, HEAD, OPTIONS"}
}

// Serves tells whether a path is one of the tracking routes.
func Serves(path string) bool {
	_, ok := match(path)
	return ok
}

// match knows every route, with and without /v1 in front and with and without a slash at the end.
func match(path string) (route, bool) {
	p := strings.TrimRight(path, "/")
	if p == "" || p[0] != '/' {
		return route{}, false
	}
	p = p[1:]
	if rest, ok := strings.CutPrefix(p, "v1/"); ok {
		p = rest
	}
	switch p {
	case "batch", "import":
		return route{kind: kindBatch}, true
	case "b", "beacon/v1/batch":
		return route{kind: kindBatch, client: true}, true
	case "m":
		return route{kind: kindMetrics}, true
	case "t":
		return route{typ: "track", client: true}, true
	case "i":
		return route{typ: "identify", client: true}, true
	case "p":
		return route{typ: "page", client: true}, true
	case "s":
		return route{typ: "screen", client: true}, true
	case "g":
		return route{typ: "group", client: true}, true
	case "a":
		return route{typ: "alias", client: true}, true
	}
	if typ := event.TypeOf(p); typ != "" {
		return route{typ: typ}, true
	}
	if rest, ok := strings.CutPrefix(p, "pixel/"); ok && !strings.Contains(rest, "/") {
		return route{kind: kindPixel, client: true, param: rest}, true
	}
	return keyed(p)
}

// keyed matches the routes with a write key in them.
func keyed(p string) (route, bool) {
	rt, end := route{kind: kindSettings}, "/settings"
	rest, ok := strings.CutPrefix(p, "projects/")
	if !ok {
		rt, end = route{kind: kindBundle}, "/analytics.min.js"
		if rest, ok = strings.CutPrefix(p, "analytics.js/v1/"); !ok {
			return route{}, false
		}
	}
	key, ok := strings.CutSuffix(rest, end)
	if !ok || key == "" || strings.Contains(key, "/") {
		return route{}, false
	}
	rt.param = key
	return rt, true
}
