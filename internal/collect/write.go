package collect

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	"github.com/klauspost/compress/gzip"

	"firth/internal/event"
	"firth/internal/journal"
)

// call is what one request needs while it is answered; it is used again by others.
type call struct {
	scanner event.Scanner
	request event.Request
	raw     []byte // the body as it came
	plain   []byte // the body decompressed
	payload []byte // for the journal
	packed  bytes.Reader
	gzip    *gzip.Reader
}

// keepMost is the largest buffer that is kept for the next request.
const keepMost = 1 << 20

// release makes the call ready for the next request.
func (h *Handler) release(c *call) {
	c.request = event.Request{}
	c.packed.Reset(nil)
	if cap(c.raw) > keepMost || cap(c.plain) > keepMost || cap(c.payload) > keepMost {
		return
	}
	h.calls.Put(c)
}

// write answers the routes for calls.
func (h *Handler) write(w http.ResponseWriter, r *http.Request, rt route) {
	start := h.o.Now()
	c := h.calls.Get().(*call)
	h.send(w, r, h.take(w, r, rt, c))
	h.release(c)
	h.metrics.took(h.o.Now().Sub(start))
}

// take reads the call, checks it and journals it.
func (h *Handler) take(w http.ResponseWriter, r *http.Request, rt route, c *call) *reply {
	if h.closing.Load() {
		return h.replies.closing
	}
	body, refused := h.read(w, r, c)
	if refused != nil {
		if refused.status == http.StatusBadRequest {
			src, _ := h.sourceOfHeader(r)
			h.recordRefusal(r.Context(), c, refused.code, src, body)
		}
		return refused
	}
	return h.store(r, rt, c, body)
}

// store checks a body that has arrived, and journals it.
func (h *Handler) store(r *http.Request, rt route, c *call, body []byte) *reply {
	env, err := c.scanner.Scan(body, rt.kind == kindBatch)
	if err != nil {
		src, _ := h.sourceOfHeader(r)
		e, ok := errors.AsType[*event.BodyError](err)
		if !ok {
			e = &event.BodyError{Reason: event.ReasonMalformedJSON}
		}
		h.recordRefusal(r.Context(), c, e.Reason, src, body)
		return h.replies.body(e)
	}
	src, found := h.sourceOf(r, c, &env)
	if src == nil {
		return h.noSource(r.Context(), c, found, body)
	}
	if rt.kind == kindSingle && env.Size > h.o.MaxEvent {
		h.recordRefusal(r.Context(), c, event.ReasonEventTooLarge, src, body)
		return h.replies.eventTooLarge
	}
	events := min(env.Count, h.o.MaxBatch)
	if events == 0 {
		return h.replies.ok
	}
	if seconds, ok := src.limit.take(h.o.Now(), events); !ok {
		limited := *h.replies.rateLimited
		limited.retry = []string{seconds}
		return &limited
	}
	h.fill(r, rt, c, src, body)
	offsets := events
	if surplus := env.Count - events; surplus > 0 {
		offsets++ // the surplus is one dead letter
		h.metrics.surplus.Add(int64(surplus))
	}
	c.payload = c.request.AppendTo(c.payload[:0])
	if _, err := h.journal.Append(r.Context(), c.payload, offsets); err != nil {
		return h.trouble(err)
	}
	src.events.Add(int64(events))
	h.metrics.events.Add(int64(events))
	h.metrics.bytes.Add(int64(len(body)))
	return h.replies.ok
}

// fill makes the request that is journaled.
func (h *Handler) fill(r *http.Request, rt route, c *call, src *source, body []byte) {
	q := &c.request
	*q = event.Request{
		Source: src.Name, Type: rt.typ, IPPolicy: h.o.IPPolicy, TrustTimestamp: src.TrustTimestamp,
		Client: rt.client || len(r.Header["Origin"]) > 0, Body: body, MaxEvent: h.o.MaxEvent, MaxBatch: h.o.MaxBatch,
	}
	if h.o.IPPolicy != event.IPDrop {
		q.IP = event.ApplyIPPolicy(h.o.IPPolicy, h.peer(r))
	}
}

// noSource answers a call whose write key is missing or unknown.
func (h *Handler) noSource(ctx context.Context, c *call, found bool, body []byte) *reply {
	refused := h.replies.missingKey
	if found {
		refused = h.replies.unknownKey
	}
	h.recordRefusal(ctx, c, refused.code, nil, body)
	if h.o.Silent {
		silent := *h.replies.ok
		silent.count = refused.count
		return &silent
	}
	return refused
}

// trouble answers for the journal: never with 4xx, upon which SDKs would drop the call.
func (h *Handler) trouble(err error) *reply {
	switch {
	case errors.Is(err, journal.ErrFull):
		return h.replies.full
	case errors.Is(err, journal.ErrFailed):
		return h.replies.failed
	case errors.Is(err, journal.ErrClosed):
		return h.replies.closing
	case !errors.Is(err, context.Canceled):
		h.o.Log.Error("a call could not be journaled", "error", err)
	}
	return h.replies.internal
}
