// Package collect is the tracking API: Segment's routes, answered once the call is in the journal.
//
// The rules are those of https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/, mended by what the SDKs were
// seen to send. A call is answered with 200 when it is durable, with 4xx when the caller has to change something, and with 429 or 503
// and Retry-After when it should try again: SDKs drop what was answered with another 4xx.
package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"firth/internal/event"
	"firth/internal/journal"
)

// Journal is where calls go before they are answered.
type Journal interface {
	// Append returns when the payload is durable. It is called from many goroutines; the payload is used again after it has returned.
	// journal.ErrFull heals by itself, journal.ErrFailed does not, journal.ErrClosed says that the program is ending.
	Append(ctx context.Context, payload []byte, count int) (journal.Entry, error)
}

// Source is one sender of events.
type Source struct {
	Name  string
	Keys  []string // any of them is accepted
	Limit float64  // events a second above which the answer is 429; 0: no limit
	// TrustTimestamp keeps a readable timestamp as it came, as RudderStack does, instead of correcting it by the client's clock.
	TrustTimestamp bool
}

// What Options stand for when they are left at zero.
const (
	DefaultMaxEvent    = 32 << 10
	DefaultMaxBody     = 512_000
	DefaultMaxBatch    = 2500
	DefaultBodyTimeout = 30 * time.Second
)

// maxBody is the largest limit of a body that can be configured.
const maxBody = 32 << 20

// Options say who may send what.
type Options struct {
	Sources  []Source
	MaxEvent int // bytes of one event
	MaxBody  int // bytes of a body, after decompression
	MaxBatch int // items of a batch
	// Silent answers a write key that nobody has with 200, as Segment does, instead of 401.
	Silent bool
	// Proxies are the networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
	Proxies []netip.Prefix
	// IPPolicy is one of event.IPKeep, event.IPTruncate, event.IPDrop.
	IPPolicy uint8
	// BodyTimeout is how long a body may take to arrive.
	BodyTimeout time.Duration
	// Host is what the settings document tells browsers to send to, without scheme; empty: the host that they asked.
	Host string
	Now  func() time.Time
	Log  *slog.Logger
}

// Handler answers the tracking routes, and every other path with 404 in JSON. It is safe for use by many goroutines.
type Handler struct {
	o       Options
	journal Journal
	keys    map[string]*source // by write key
	basic   map[string]*source // by the usual Authorization header
	redact  [][]byte           // the write keys, longest first
	replies *replies
	metrics *Metrics
	refusal *refusals
	calls   sync.Pool // of *call
	closing atomic.Bool
}

// source is a Source at work.
type source struct {
	Source
	limit  *limiter
	events atomic.Int64
}

// New makes a handler. The error names the option at fault.
func New(j Journal, o Options) (*Handler, error) {
	o.MaxEvent = orDefault(o.MaxEvent, DefaultMaxEvent)
	o.MaxBody = orDefault(o.MaxBody, DefaultMaxBody)
	o.MaxBatch = orDefault(o.MaxBatch, DefaultMaxBatch)
	o.BodyTimeout = orDefault(o.BodyTimeout, DefaultBodyTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.MaxEvent < 0 || o.MaxBody < 0 || o.MaxBatch < 0 || o.BodyTimeout < 0:
		return nil, errors.New("a limit of the tracking API is negative")
	case o.MaxBody > maxBody:
		return nil, fmt.Errorf("the limit of a body is %d bytes; at most %d can be journaled", o.MaxBody, maxBody)
	case o.IPPolicy > event.IPDrop:
		return nil, fmt.Errorf("IP policy %d is not known", o.IPPolicy)
	}
	m := newMetrics()
	h := &Handler{
		o: o, journal: j, metrics: m, replies: newReplies(m, &o), refusal: newRefusals(),
		keys: make(map[string]*source), basic: make(map[string]*source),
	}
	h.calls.New = func() any { return new(call) }
	for _, s := range o.Sources {
		if err := h.addSource(s); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(h.redact, func(a, b []byte) int { return len(b) - len(a) })
	return h, nil
}

func (h *Handler) addSource(s Source) error {
	if s.Name == "" || len(s.Keys) == 0 {
		return fmt.Errorf("source %q needs a name and at least one write key", s.Name)
	}
	src := &source{Source: s, limit: newLimiter(s.Limit, h.o.MaxBatch)}
	h.metrics.sources = append(h.metrics.sources, src)
	for _, key := range s.Keys {
		if key == "" {
			return fmt.Errorf("source %q has an empty write key", s.Name)
		}
		if other, ok := h.keys[key]; ok {
			return fmt.Errorf("sources %q and %q have the same write key", other.Name, s.Name)
		}
		h.keys[key] = src
		h.basic[basicHeader(key)] = src
		h.redact = append(h.redact, []byte(key))
	}
	return nil
}

func orDefault[T int | time.Duration](v, otherwise T) T {
	if v == 0 {
		return otherwise
	}
	return v
}

// Shutdown makes the handler answer new calls with 503 and Retry-After; calls in progress end as usual.
func (h *Handler) Shutdown() { h.closing.Store(true) }

// Metrics returns the counters, which go on counting.
func (h *Handler) Metrics() *Metrics { return h.metrics }

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer h.recovered(w, r)
	rt, ok := match(r.URL.Path)
	if !ok {
		h.send(w, r, h.replies.notFound)
		return
	}
	if r.Method == http.MethodOptions {
		h.preflight(w, r)
		return
	}
	if !rt.allows(r.Method) {
		w.Header()["Allow"] = rt.allow()
		h.send(w, r, h.replies.methodNotAllowed)
		return
	}
	switch rt.kind {
	case kindSingle, kindBatch:
		h.write(w, r, rt)
	case kindMetrics:
		h.send(w, r, h.replies.ok)
	case kindSettings:
		h.settings(w, r, rt.param)
	case kindPixel:
		h.pixel(w, r, rt.param)
	case kindBundle:
		h.send(w, r, h.replies.noBundle)
	}
}

// recovered turns a panic into 503: the caller tries again and nothing of its is lost.
func (h *Handler) recovered(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	h.o.Log.Error("a tracking call made the program panic", "path", r.URL.Path, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	h.send(w, r, h.replies.internal)
}
