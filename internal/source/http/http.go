// Package http reads what a web service answers: rows as JSON, one a line or in an array.
//
// A list, or a copy, is a GET of the address, and of the next pages where the answer names them. A get is a POST of {"ids": [...]}, which
// answers with one object a row.
package http

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"firth/internal/source"
	"firth/internal/source/dial"
	"firth/internal/source/feed"
	"firth/internal/vector"
)

// CursorParameter is the query parameter that holds, for append and upsert with a cursor, the least value of it that is wanted. A service may
// ignore it: what lies before is left out anyway.
const CursorParameter = "firth_cursor"

// Limits of one request: connecting, and until the answer begins. The answer itself may take as long as it goes on.
const (
	connectPatience = 10 * time.Second
	answerPatience  = 60 * time.Second
	quietPatience   = 60 * time.Second // between two pieces of an answer
	mostPages       = 1_000_000
)

// Table is a web service that answers with rows. It is safe for use by several goroutines.
type Table struct {
	spec   source.Spec
	o      source.Options
	pick   *source.Pick
	base   *url.URL
	client *http.Client
}

// Open makes a source of the service; nothing is asked yet. address is not used: the spec has it.
func Open(_ context.Context, _ string, spec source.Spec, o source.Options) (*Table, error) {
	t := &Table{spec: spec, o: o, pick: source.NewPick(spec.Columns, spec.Exclude, spec.ID, spec.Key, spec.Cursor)}
	base, err := url.Parse(spec.URL)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, &source.Error{Op: "ask", Name: "the address of the web service", Err: errors.New("it is no http or https address"), Advice: "write url: https://host/path"}
	}
	t.base = base
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute,
		TLSHandshakeTimeout: connectPatience, ResponseHeaderTimeout: answerPatience,
		DialContext: (&net.Dialer{Timeout: connectPatience}).DialContext,
	}
	if o.Dial != nil {
		transport.DialContext = o.Dial
	}
	if o.CA != "" {
		if transport.TLSClientConfig, err = dial.TLS(dial.VerifyFull, o.CA, base.Hostname()); err != nil {
			return nil, t.fail(err, "give the path of a PEM file in ca")
		}
	}
	t.client = &http.Client{Transport: transport, CheckRedirect: sameHost}
	return t, nil
}

// errElsewhere is a redirect that is not followed.
var errElsewhere = errors.New("it redirects to another place")

// sameHost follows redirects, at most ten, that stay at the same place: headers of the configuration may hold a secret that is meant for it alone.
func sameHost(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= 10:
		return errors.New("it redirects again and again")
	case r.URL.Host != via[0].URL.Host || via[0].URL.Scheme == "https" && r.URL.Scheme != "https":
		return fmt.Errorf("%w, %s", errElsewhere, r.URL.Host)
	}
	return nil
}

// place is the address without what may be a secret.
func (t *Table) place() string {
	u := *t.base
	u.User, u.RawQuery = nil, ""
	return u.String()
}

func (t *Table) fail(err error, advice string) *source.Error {
	return &source.Error{Op: "ask", Name: t.place(), Err: err, Advice: advice}
}

// Describe knows nothing before the service is asked.
func (t *Table) Describe(context.Context) (*source.Info, error) {
	return &source.Info{Rows: -1, Bytes: -1}, nil
}

// Begin does nothing: a web service has no snapshots.
func (t *Table) Begin(context.Context) error { return nil }

// End does nothing.
func (t *Table) End() error { return nil }

// Close drops idle connections.
func (t *Table) Close() error {
	t.client.CloseIdleConnections()
	return nil
}

// Ranges is one: pages follow each other.
func (t *Table) Ranges(context.Context, int) ([]source.Range, error) { return []source.Range{{}}, nil }

// Scan asks for the first page and goes on to the next ones while it is read.
func (t *Table) Scan(ctx context.Context, r source.Request) (source.Rows, error) {
	a := &answer{t: t, pick: t.pick, id: orID(t.spec.ID), from: r.From}
	if r.Only != nil {
		a.pick = source.NewPick(r.Only, t.spec.Exclude)
	}
	first := *t.base
	if r.From.Kind != vector.Null {
		v := vector.New(vector.Type{Kind: r.From.Kind, Bits: r.From.Bits})
		v.AppendValue(r.From)
		q := first.Query()
		q.Set(CursorParameter, string(v.AppendText(nil, 0)))
		first.RawQuery = q.Encode()
	}
	a.next = first.String()
	if err := a.turn(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Get asks for the rows of the ids.
func (t *Table) Get(ctx context.Context, ids []vector.Value) (source.Rows, error) {
	body := []byte(`{"ids":[`)
	for i, id := range ids {
		if i > 0 {
			body = append(body, ',')
		}
		body = feed.AppendID(body, id)
	}
	body = append(body, "]}"...)
	a := &answer{t: t, pick: t.pick, id: orID(t.spec.Key)}
	if len(ids) == 0 {
		return a, nil
	}
	response, err := t.ask(ctx, http.MethodPost, t.base.String(), body) //nolint:bodyclose // Next or Close closes it
	if err != nil {
		return nil, err
	}
	a.begin(response, feed.New(watch(response.Body), a.id, a.pick))
	return a, nil
}

func orID(name string) string {
	if name == "" {
		return "id"
	}
	return name
}

// ask sends one request and returns an answer of status 200.
func (t *Table) ask(ctx context.Context, method, address string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, t.fail(errors.New("the address of the next page is no address"), "look at what the service answers")
	}
	request.Header.Set("Accept", "application/x-ndjson, application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range t.spec.Header {
		request.Header.Set(name, value)
	}
	response, err := t.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var shown *url.Error
		if errors.As(err, &shown) {
			err = shown.Err // without the address, which may hold a secret
		}
		e := t.fail(err, "look whether the service runs and can be reached from here: curl "+t.place())
		var certificate *tls.CertificateVerificationError
		switch {
		case errors.As(err, &certificate):
			e.Advice = "have its certificate authority trusted by this system"
		case errors.Is(err, errElsewhere):
			e.Advice = "write the address that it redirects to into url, where that is meant: headers are sent there, too"
		default:
			e.Retry = true
		}
		return nil, e
	}
	if response.StatusCode != http.StatusOK {
		defer response.Body.Close()
		return nil, t.refused(response)
	}
	return response, nil
}

// refused puts an answer into words that is not 200.
func (t *Table) refused(r *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(r.Body, 300)) // the status says enough
	why := r.Status
	if said := strings.TrimSpace(strings.ToValidUTF8(string(text), "�")); said != "" {
		why += ": " + said
	}
	e := t.fail(errors.New(why), "look at the address, and what the service says: curl "+t.place())
	switch {
	case r.StatusCode == http.StatusUnauthorized || r.StatusCode == http.StatusForbidden:
		e.Advice = "give it what it wants in headers: { Authorization: env:NAME }"
	case r.StatusCode == http.StatusTooManyRequests:
		e.Advice, e.Retry = "it is tried again; lower rate or concurrency", true
	case r.StatusCode >= http.StatusInternalServerError, r.StatusCode == http.StatusRequestTimeout:
		e.Advice, e.Retry = "it is tried again; look at the log of the service", true
	}
	return e
}

// Check looks whether the service can be reached; what it answers is not looked at.
func (t *Table) Check(ctx context.Context) []source.Finding {
	f := source.Finding{What: "web service " + t.place()}
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, t.base.String(), http.NoBody)
	if err == nil {
		for name, value := range t.spec.Header {
			request.Header.Set(name, value)
		}
		var response *http.Response
		if response, err = t.client.Do(request); err == nil {
			response.Body.Close()
			f.OK, f.Found = true, "it answers "+response.Status
			if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
				f.OK, f.Hint = false, "give it what it wants in headers: { Authorization: env:NAME }"
			}
			return []source.Finding{f}
		}
	}
	var shown *url.Error
	if errors.As(err, &shown) {
		err = shown.Err
	}
	f.Found, f.Hint = err.Error(), "look whether the service runs and can be reached from here: curl "+t.place()
	return []source.Finding{f}
}
