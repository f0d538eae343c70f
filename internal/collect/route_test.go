package collect

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	types := []string{"track", "identify", "page", "screen", "group", "alias"}
	for _, typ := range types {
		for path, client := range map[string]bool{
			"/v1/" + typ: false, "/v1/" + typ + "/": false, "/" + typ: false, "/" + typ + "/": false,
			"/v1/" + typ[:1]: true, "/" + typ[:1] + "/": true,
		} {
			rt, ok := match(path)
			if !ok || rt.kind != kindSingle || rt.typ != typ || rt.client != client {
				t.Errorf("%s: %+v, %v", path, rt, ok)
			}
		}
	}
	for path, want := range map[string]route{
		"/v1/batch": {kind: kindBatch}, "/batch/": {kind: kindBatch}, "/v1/import": {kind: kindBatch}, "/v1/import/": {kind: kindBatch}, "/import": {kind: kindBatch},
		"/v1/b": {kind: kindBatch, client: true}, "/b": {kind: kindBatch, client: true}, "/beacon/v1/batch": {kind: kindBatch, client: true},
		"/v1/m": {kind: kindMetrics}, "/m/": {kind: kindMetrics},
		"/v1/projects/k/settings": {kind: kindSettings, param: "k"}, "/projects/k/settings": {kind: kindSettings, param: "k"},
		"/analytics.js/v1/k/analytics.min.js": {kind: kindBundle, param: "k"},
		"/v1/pixel/track":                     {kind: kindPixel, client: true, param: "track"}, "/pixel/nonsense/": {kind: kindPixel, client: true, param: "nonsense"},
	} {
		if rt, ok := match(path); !ok || rt != want {
			t.Errorf("%s: %+v, %v", path, rt, ok)
		}
		if !Serves(path) {
			t.Errorf("%s is not served", path)
		}
	}
	for _, path := range []string{
		"", "/", "//", "v1/track", "/v1", "/v1/", "/v2/track", "/v1/Track", "/v1/v1/track", "/v1/track/x", "/api/sql", "/metrics", "/healthz",
		"/v1/projects/settings", "/v1/projects//settings", "/v1/projects/a/b/settings", "/v1/pixel/a/b", "/analytics.js/v1/k", "/x", "/v1/webhook",
	} {
		if Serves(path) {
			t.Errorf("%q is served", path)
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("/v1/projects/k/settings")
	f.Add("/v1/track/")
	f.Fuzz(func(t *testing.T, path string) {
		rt, ok := match(path)
		if ok && (rt.kind == kindSettings || rt.kind == kindBundle) && (rt.param == "" || strings.Contains(rt.param, "/")) {
			t.Errorf("%q: %+v", path, rt)
		}
	})
}
