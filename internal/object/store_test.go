package object_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/object"
	"firth/test/server"
)

// TestRangesAndFolders: ranges, what is known of an object, and folders.
func TestRangesAndFolders(t *testing.T) {
	real := server.S3(t)
	as(t, real.AccessKey, real.SecretKey)
	s := open(t, real.URL("lake"))
	for _, key := range []string{"a/1", "a/2", "a/b/3", "c"} {
		put(t, s, key, []byte("0123456789"))
	}
	r, err := s.GetRange(t.Context(), "a/1", 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	part, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil || string(part) != "3456" {
		t.Errorf("a part is %q, %v", part, err)
	}
	if r, err = s.GetRange(t.Context(), "a/1", 3, 0); err != nil {
		t.Errorf("an empty part: %v", err)
	} else {
		r.Close()
	}
	if _, err := s.GetRange(t.Context(), "a/1", 100, 4); err == nil {
		t.Error("a part behind the end")
	}
	body, info, err := s.Read(t.Context(), "a/1")
	if err != nil {
		t.Fatal(err)
	}
	body.Close()
	stat, err := s.Stat(t.Context(), "a/1")
	if err != nil || stat.Size != 10 || stat.ETag == "" || info.ETag != stat.ETag || info.Size != 10 || info.Key != "a/1" || stat.Modified.IsZero() {
		t.Errorf("read %+v, looked at %+v, %v", info, stat, err)
	}
	if _, err := s.Stat(t.Context(), "none"); object.KindOf(err) != object.NotFound {
		t.Errorf("looked at nothing: %v", err)
	}
	var keys []string
	for o, err := range s.ListFolder(t.Context(), "a/") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	slices.Sort(keys)
	if !slices.Equal(keys, []string{"a/1", "a/2", "a/b/"}) {
		t.Errorf("the folder has %q", keys)
	}
	st := s.Stats()
	if st.Requests["PUT"] != 4 || st.Requests["GET"] != 3 || st.Requests["HEAD"] != 2 || st.Requests["LIST"] != 1 || st.Sent < 40 || st.Received < 4 {
		t.Errorf("counted %+v", st)
	}
}

// TestPutNew writes an object once.
func TestPutNew(t *testing.T) {
	real := server.S3(t)
	as(t, real.AccessKey, real.SecretKey)
	s := open(t, real.URL("lake"))
	write := func(text string) error {
		_, err := s.PutNew(t.Context(), "k", strings.NewReader(text), int64(len(text)))
		return err
	}
	if err := write("first"); err != nil {
		t.Fatal(err)
	}
	if err := write("second"); object.KindOf(err) != object.Exists {
		t.Errorf("written twice: %v", err)
	}
	if got := get(t, s, "k"); string(got) != "first" {
		t.Errorf("it holds %q", got)
	}
	if ok, err := s.Conditional(t.Context(), "probe"); !ok || err != nil {
		t.Errorf("conditional writes: %v, %v", ok, err)
	}
}

// TestPlainStore is a store that knows no conditional writes.
func TestPlainStore(t *testing.T) {
	as(t, "id", "secret")
	var bodies []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusNotImplemented)
			fmt.Fprint(w, `<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented</Message></Error>`)
			return
		}
		bodies = append(bodies, string(b))
		w.Header().Set("ETag", `"e"`)
	}))
	t.Cleanup(srv.Close)
	s := open(t, "s3://bucket/p?path_style=true&endpoint="+srv.URL)
	for range 2 {
		if _, err := s.PutNew(t.Context(), "k", strings.NewReader("text"), 4); err != nil {
			t.Fatal(err)
		}
	}
	if len(bodies) != 2 || !strings.Contains(bodies[0], "text") {
		t.Errorf("the store got %q", bodies)
	}
	if got := s.Stats().Requests["PUT"]; got != 3 {
		t.Errorf("%d requests: the second write is to try no condition", got)
	}
	if ok, err := s.Conditional(t.Context(), "probe"); ok || err != nil {
		t.Errorf("conditional writes: %v, %v", ok, err)
	}
}

// TestEqualParts: all parts of a large object but the last have one size.
func TestEqualParts(t *testing.T) {
	real := server.S3(t)
	as(t, real.AccessKey, real.SecretKey)
	proxy := server.StoreFaulty(t, real)
	s := open(t, proxy.URL("lake", ""))
	body := make([]byte, 40<<20)
	if _, err := rand.Read(body); err != nil {
		t.Fatal(err)
	}
	if err := s.Put(t.Context(), "k", bytes.NewReader(body), int64(len(body))); err != nil {
		t.Fatal(err)
	}
	served, _ := proxy.Served()
	if served["PUT"] != 3 || served["POST"] != 2 {
		t.Errorf("%v requests, want 3 parts, a beginning and an end", served)
	}
	if sizes := proxy.Sizes(); len(sizes) != 3 || slices.Max(sizes) != 16<<20 || slices.Min(sizes) != 8<<20 {
		t.Errorf("the parts have %d bytes", sizes)
	}
	if !bytes.Equal(get(t, s, "k"), body) {
		t.Error("it came back another")
	}
}

// TestAbortUploads gives up what was begun and never ended.
func TestAbortUploads(t *testing.T) {
	real := server.S3(t)
	as(t, real.AccessKey, real.SecretKey)
	proxy := server.StoreFaulty(t, real)
	s := open(t, proxy.URL("lake", ""))
	proxy.Rule(func(r server.StoreRequest) server.StoreFault {
		if r.Op == "PUT" || r.Op == "DELETE" {
			return server.StoreRefuses
		}
		return ""
	})
	body := make([]byte, 20<<20)
	if err := s.Put(t.Context(), "k", bytes.NewReader(body), int64(len(body))); object.KindOf(err) != object.Denied {
		t.Fatalf("a refused part: %v", err)
	}
	proxy.Rule(nil)
	if n, err := s.AbortUploads(t.Context(), time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("%d young uploads were given up, %v", n, err)
	}
	if n, err := s.AbortUploads(t.Context(), time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("%d uploads were given up, %v", n, err)
	}
	if n, err := s.AbortUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were left, %v", n, err)
	}
}

// TestThrottled: a store that says when to come again is asked no earlier.
func TestThrottled(t *testing.T) {
	real := server.S3(t)
	as(t, real.AccessKey, real.SecretKey)
	proxy := server.StoreFaulty(t, real)
	s := open(t, proxy.URL("lake", ""))
	n := 0
	proxy.Rule(func(server.StoreRequest) server.StoreFault {
		if n++; n <= 3 {
			return server.StoreThrottle
		}
		return ""
	})
	began := time.Now()
	put(t, s, "k", []byte("x"))
	if took := time.Since(began); took < 600*time.Millisecond {
		t.Errorf("after %s, asked three times to wait 0.2 s", took)
	}
	if st := s.Stats(); st.Throttle != 3 || st.Failed != 3 {
		t.Errorf("counted %+v", st)
	}
}

// TestAnswersOfOthers are errors that the test's store does not give, as S3 documents them.
func TestAnswersOfOthers(t *testing.T) {
	const secret = "very-secret-of-the-test"
	as(t, "AKIATEST", secret)
	var status int
	var text string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(srv.Close)
	s := open(t, "s3://bucket/p?path_style=true&region=eu-west-1&endpoint="+srv.URL)
	for _, c := range []struct {
		status     int
		code, more string
		want       object.Kind
		hint       string
	}{
		{http.StatusForbidden, "RequestTimeTooSkewed", "", object.BadSignature, "clock"},
		{http.StatusMovedPermanently, "PermanentRedirect", "", object.BadRegion, "region="},
		{http.StatusBadRequest, "AuthorizationHeaderMalformed", "<Region>eu-central-1</Region>", object.BadRegion, "region=eu-central-1"},
		{http.StatusForbidden, "AccessDenied", "", object.Denied, "s3:PutObject on arn:aws:s3:::bucket/p/*"},
		{http.StatusForbidden, "InvalidAccessKeyId", "", object.Denied, "AWS_ACCESS_KEY_ID"},
		{http.StatusNotFound, "NoSuchBucket", "", object.NoBucket, "aws s3 mb s3://bucket --region eu-west-1"},
		{http.StatusBadRequest, "ExpiredTokenThing", "", object.Unexpected, ""},
	} {
		status, text = c.status, "<Error><Code>"+c.code+"</Code><Message>as documented</Message>"+c.more+"</Error>"
		err := s.Put(t.Context(), "k", strings.NewReader("x"), 1)
		var e *object.Error
		if !errors.As(err, &e) || e.Kind != c.want || !strings.Contains(e.Advice(), c.hint) {
			t.Errorf("%s: %v (kind %s, hint %q)", c.code, err, object.KindOf(err), hint(err))
		}
		if shown := err.Error() + hint(err); strings.Contains(shown, secret) || strings.Contains(shown, "AKIATEST") {
			t.Errorf("%s shows keys: %s", c.code, shown)
		}
	}
}
