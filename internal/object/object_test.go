package object_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"firth/internal/object"
	"firth/test/server"
)

// as lets requests be signed with a key pair, and nothing of this machine's be found.
func as(t *testing.T, id, secret string) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", id)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", t.TempDir()+"/none")
}

func open(t *testing.T, address string) *object.Store {
	t.Helper()
	s, err := object.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t *testing.T, s *object.Store, key string, body []byte) {
	t.Helper()
	if err := s.Put(t.Context(), key, bytes.NewReader(body), int64(len(body))); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *object.Store, key string) []byte {
	t.Helper()
	r, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func list(t *testing.T, s *object.Store, prefix string) (keys []string) {
	t.Helper()
	for o, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Modified.IsZero() {
			t.Errorf("%s has no time", o.Key)
		}
		keys = append(keys, o.Key)
	}
	return keys
}

func TestObjects(t *testing.T) {
	real := server.S3(t)
	as(t, real.AccessKey, real.SecretKey)
	s := open(t, real.URL("stage/here"))
	if got := s.URL("a"); got != "s3://"+real.Bucket+"/stage/here/a" {
		t.Errorf("the address of an object is %s", got)
	}
	put(t, s, "a/1", []byte("one"))
	put(t, s, "a/2", nil)
	put(t, s, "b/odd name+%20 é", []byte("odd"))
	put(t, open(t, real.URL("stage/hereafter")), "a/3", []byte("of somebody else"))
	if got := get(t, s, "a/1"); string(got) != "one" {
		t.Errorf("a/1 holds %q", got)
	}
	if got := get(t, s, "b/odd name+%20 é"); string(got) != "odd" {
		t.Errorf("the odd one holds %q", got)
	}
	if got, want := list(t, s, ""), []string{"a/1", "a/2", "b/odd name+%20 é"}; !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	if got := list(t, s, "a/"); len(got) != 2 {
		t.Errorf("listed %q below a/", got)
	}
	if err := s.Delete(t.Context(), "a/1", "a/2", "never there", "b/odd name+%20 é"); err != nil {
		t.Error(err)
	}
	if got := list(t, s, ""); len(got) != 0 {
		t.Errorf("%q are left", got)
	}
	if got := real.Objects(); len(got) != 1 {
		t.Errorf("the bucket holds %q, want what is somebody else's", got)
	}
}

// TestLarge writes what the library divides into parts, once of a known and once of an unknown size.
func TestLarge(t *testing.T) {
	real := server.S3(t)
	as(t, real.AccessKey, real.SecretKey)
	s := open(t, real.URL(""))
	body := make([]byte, 33<<20)
	if _, err := rand.Read(body); err != nil {
		t.Fatal(err)
	}
	for key, size := range map[string]int64{"known": int64(len(body)), "unknown": -1} {
		var r io.Reader = bytes.NewReader(body)
		if size < 0 {
			r = io.MultiReader(r) // no more than a reader
		}
		if err := s.Put(t.Context(), key, r, size); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(get(t, s, key), body) {
			t.Errorf("%s came back another", key)
		}
	}
}

func TestErrors(t *testing.T) {
	real := server.S3(t)
	as(t, real.AccessKey, real.SecretKey)
	good := real.URL("stage")
	const secret = "wrong-secret-of-the-test"
	for _, c := range []struct {
		name, id, secret, address string
		want                      object.Kind
		hint                      string
	}{
		{"no bucket", real.AccessKey, real.SecretKey, strings.Replace(good, real.Bucket, "another-bucket", 1), object.NoBucket, "aws s3 mb s3://another-bucket"},
		{"unknown key", "nobody", secret, good, object.Denied, "AWS_ACCESS_KEY_ID"},
		{"wrong secret", real.AccessKey, secret, good, object.BadSignature, "AWS_SECRET_ACCESS_KEY"},
		{"nobody there", real.AccessKey, secret, strings.Replace(good, real.Endpoint, "http://127.0.0.1:1", 1), object.Unreachable, "127.0.0.1:1"},
		{"no such host", real.AccessKey, secret, strings.Replace(good, real.Endpoint, "http://no-such-host.invalid:9000", 1), object.Unreachable, "no-such-host.invalid"},
	} {
		t.Run(c.name, func(t *testing.T) {
			as(t, c.id, c.secret)
			s := open(t, c.address)
			failed := map[string]error{"write": s.Put(t.Context(), "k", strings.NewReader("x"), 1)}
			if c.want != object.Unreachable { // which is tried again for seconds
				failed["remove"] = s.Delete(t.Context(), "k")
			}
			if c.want != object.Unreachable {
				if _, err := s.Get(t.Context(), "k"); err == nil {
					t.Error("it could be read")
				}
			}
			for _, err := range s.List(t.Context(), "") {
				failed["list"] = err
			}
			for op, err := range failed {
				var e *object.Error
				if !errors.As(err, &e) || e.Kind != c.want || e.Op != op || !strings.Contains(e.Hint, c.hint) {
					t.Errorf("%s: %v (kind %s, hint %q), want kind %s and a hint with %q", op, err, object.KindOf(err), hint(err), c.want, c.hint)
				}
				if strings.Contains(err.Error()+hint(err), secret) {
					t.Errorf("%s shows the secret: %v", op, err)
				}
			}
		})
	}
	s := open(t, good)
	if _, err := s.Get(t.Context(), "missing"); object.KindOf(err) != object.NotFound {
		t.Errorf("a missing object: %v, kind %s", err, object.KindOf(err))
	}
}

func hint(err error) string {
	var e *object.Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}

// TestTroubleIsTriedAgain puts a proxy before the store that fails at first, and then one that fails for good.
func TestTroubleIsTriedAgain(t *testing.T) {
	real := server.S3(t)
	as(t, real.AccessKey, real.SecretKey)
	to, err := url.Parse(real.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	var failures atomic.Int64
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host }}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if failures.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	s := open(t, strings.Replace(real.URL("p"), real.Endpoint, proxy.URL, 1))
	failures.Store(2)
	put(t, s, "k", []byte("at last"))
	if got := get(t, s, "k"); string(got) != "at last" {
		t.Errorf("it holds %q", got)
	}
	failures.Store(1 << 30)
	if err := s.Put(t.Context(), "k", strings.NewReader("x"), 1); object.KindOf(err) != object.Trouble {
		t.Errorf("%v, kind %s", err, object.KindOf(err))
	}
	failures.Store(0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, "k", strings.NewReader("x"), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("written under a context that had ended: %v", err)
	}
	for _, err := range s.List(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("listed under a context that had ended: %v", err)
		}
	}
}

func TestAddresses(t *testing.T) {
	as(t, "id", "secret")
	t.Setenv("AWS_REGION", "eu-west-1")
	s := open(t, "s3://bucket/a/b/?region=eu-central-1")
	if s.Bucket() != "bucket" || s.Prefix() != "a/b/" || s.Region() != "eu-central-1" || s.String() != "s3://bucket/a/b/" {
		t.Errorf("read as %s, %s, %s", s.Bucket(), s.Prefix(), s.Region())
	}
	if s = open(t, "s3://bucket"); s.Prefix() != "" || s.Region() != "eu-west-1" {
		t.Errorf("read as %q in %s", s.Prefix(), s.Region())
	}
	if k, err := s.Keys(); err != nil || k != (object.Keys{ID: "id", Secret: "secret"}) {
		t.Errorf("keys of %s, %v", k.ID, err)
	}
	for address, want := range map[string]string{
		"http://x/y":                         "no address of an object store",
		"s3:///prefix":                       "no address of an object store",
		"s3://id:hidden-secret@bucket":       "no user or key",
		"s3://bucket?endpoint=127.0.0.1:90":  "want http://host:port",
		"s3://bucket?path_style=perhaps":     "want true or false",
		"s3://bucket?regoin=eu-central-1":    `unknown parameter "regoin"`,
		"s3://bucket?endpoint=http://h:1/pa": "want http://host:port",
	} {
		if _, err := object.Open(t.Context(), address); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hidden-secret") {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}
