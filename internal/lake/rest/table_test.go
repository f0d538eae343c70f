package rest

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
)

const production = Root + "/v1/firth/namespaces/lake/tables/production"

// load loads a table as a client does.
func load(t *testing.T, h http.Handler, header ...string) (body string, config map[string]string) {
	t.Helper()
	r := ask(h, http.MethodGet, production, "", "", header...)
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v", r.Status, err)
	}
	var out struct {
		Config map[string]string `json:"config"`
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return string(text), out.Config
}

// What a reader is told of the store, and that it gets keys only where keys for reading are configured, whatever it asks for.
func TestStoreOfATable(t *testing.T) {
	s := newStand(t)
	place := map[string]string{"s3.endpoint": "http://127.0.0.1:9000", "s3.region": "eu-west-1", "client.region": "eu-west-1", "s3.path-style-access": "true"}
	keys := maps.Clone(place)
	keys["s3.access-key-id"], keys["s3.secret-access-key"] = "reader", "reader-secret"
	for name, c := range map[string]struct {
		store Store
		want  map[string]string
	}{
		"local disk":    {Store{}, map[string]string{}},
		"no keys":       {Store{Endpoint: "http://127.0.0.1:9000", Region: "eu-west-1", PathStyle: true}, place},
		"half of a key": {Store{Endpoint: "http://127.0.0.1:9000", Region: "eu-west-1", PathStyle: true, AccessKey: "reader"}, place},
		"keys":          {Store{Endpoint: "http://127.0.0.1:9000", Region: "eu-west-1", PathStyle: true, AccessKey: "reader", SecretKey: "reader-secret"}, keys},
		"AWS, a session": {Store{Region: "us-east-1", AccessKey: "a", SecretKey: "b", SessionToken: "c"}, map[string]string{
			"s3.region": "us-east-1", "client.region": "us-east-1", "s3.path-style-access": "false",
			"s3.access-key-id": "a", "s3.secret-access-key": "b", "s3.session-token": "c",
		}},
	} {
		for _, asked := range []string{"", "vended-credentials", "remote-signing", "vended-credentials,remote-signing"} {
			h := s.handler(func(o *Options) { o.Store = c.store })
			if _, got := load(t, h, "X-Iceberg-Access-Delegation", asked); !maps.Equal(got, c.want) {
				t.Errorf("%s, asked for %q: %v, want %v", name, asked, got, c.want)
			}
		}
	}
}

// The keys open the whole lake.
func TestAUserOfAPartGetsNoKeys(t *testing.T) {
	h := newStand(t).handler(func(o *Options) {
		users(o)
		o.Store = Store{Region: "r", AccessKey: "reader", SecretKey: "reader-secret"}
	})
	for auth, want := range map[string]bool{basic("ana", "secret-a"): true, basic("bob", "secret-b"): false} {
		r := ask(h, http.MethodGet, production, auth, "")
		text, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK || !strings.Contains(string(text), `"s3.region":"r"`) {
			t.Fatalf("%s, %v: %s", r.Status, err, text)
		}
		if got := strings.Contains(string(text), "reader"); got != want {
			t.Errorf("keys: %v, want %v: %s", got, want, text)
		}
	}
}

func TestETag(t *testing.T) {
	s := newStand(t)
	h := s.handler(nil)
	tag := ask(h, http.MethodGet, production, "", "").Header.Get("ETag")
	status := func(h http.Handler, path, tag string) int {
		return ask(h, http.MethodGet, path, "", "", "If-None-Match", tag).StatusCode
	}
	for _, same := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if got := status(h, production, same); got != http.StatusNotModified {
			t.Errorf("%s: %d", same, got)
		}
	}
	if got := status(h, production+"?snapshots=refs", tag); got != http.StatusOK {
		t.Errorf("the other snapshots: %d", got)
	}
	keyed := s.handler(func(o *Options) { o.Store = Store{Region: "r", AccessKey: "a", SecretKey: "b"} })
	if got := status(keyed, production, tag); got != http.StatusOK {
		t.Errorf("other keys: %d", got)
	}
	tbl, err := s.catalog.Load(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	tx := s.catalog.Begin(tbl)
	if err := tx.SetProperties(map[string]string{"changed": "yes"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := status(h, production, tag); got != http.StatusOK {
		t.Errorf("after a commit: %d", got)
	}
	if body, _ := load(t, h); !strings.Contains(body, `"changed":"yes"`) {
		t.Errorf("after a commit: %s", body)
	}
}

func TestShown(t *testing.T) {
	for _, c := range []struct {
		in   string
		refs bool
		want string
	}{
		{`{}`, false, `{"properties":{"gc.enabled":"false"}}`},
		{`{"properties":null}`, true, `{"properties":{"gc.enabled":"false"}}`},
		{`{"properties":{"a":"b","gc.enabled":"true"}}`, false, `{"properties":{"a":"b","gc.enabled":"false"}}`},
		{`{"refs":{"main":{"snapshot-id":9007199254740993,"type":"branch"}},"snapshots":[{"snapshot-id":9007199254740992},{"snapshot-id":9007199254740993,"x":1.50}]}`, true,
			`{"properties":{"gc.enabled":"false"},"refs":{"main":{"snapshot-id":9007199254740993,"type":"branch"}},"snapshots":[{"snapshot-id":9007199254740993,"x":1.50}]}`},
		{`{"snapshots":[{"snapshot-id":1}]}`, true, `{"properties":{"gc.enabled":"false"},"snapshots":[]}`},
		{`{"snapshots":[{"snapshot-id":1}]}`, false, `{"properties":{"gc.enabled":"false"},"snapshots":[{"snapshot-id":1}]}`},
	} {
		got, err := shown([]byte(c.in), c.refs)
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v", c.in, got, err)
		}
	}
}
