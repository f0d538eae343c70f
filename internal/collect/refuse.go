package collect

import (
	"bytes"
	"context"

	"golang.org/x/time/rate"

	"firth/internal/event"
)

// How much of refused calls is kept. Anybody can send them, so what they may cost on disk is bounded: without a known key at most 2 KiB a
// second over time, some 170 MB a day before compression.
const (
	strangerBytes  = 2 << 10
	strangerRate   = 1 // a second
	strangerBurst  = 60
	senderBytes    = 32 << 10
	senderRate     = 10
	senderBurst    = 100
	redactedMarker = "[write key]"
)

// refusals bounds what is kept of refused calls, apart for callers who showed a known write key and for those who did not.
type refusals struct{ stranger, sender *rate.Limiter }

func newRefusals() *refusals {
	return &refusals{
		stranger: rate.NewLimiter(strangerRate, strangerBurst),
		sender:   rate.NewLimiter(senderRate, senderBurst),
	}
}

// recordRefusal journals the beginning of a refused call for the dead letters. That it fails changes nothing about the answer: the
// fault is the caller's. What is beyond the bounds is counted only.
func (h *Handler) recordRefusal(ctx context.Context, c *call, reason string, src *source, body []byte) {
	bound, most, name := h.refusal.stranger, strangerBytes, ""
	if src != nil {
		bound, most, name = h.refusal.sender, senderBytes, src.Name
	}
	if !bound.AllowN(h.o.Now(), 1) {
		h.metrics.refusalsMissed.Add(1)
		return
	}
	// Somewhat more is looked at than kept, so that no part of a key remains where it is cut.
	body = body[:min(len(body), most+256)]
	for _, key := range h.redact {
		if bytes.Contains(body, key) {
			body = bytes.ReplaceAll(body, key, []byte(redactedMarker))
		}
	}
	c.request = event.Request{Source: name, Refused: reason, Body: body[:min(len(body), most)], IPPolicy: h.o.IPPolicy}
	c.payload = c.request.AppendTo(c.payload[:0])
	if _, err := h.journal.Append(ctx, c.payload, 1); err != nil {
		h.metrics.refusalsMissed.Add(1)
		return
	}
	h.metrics.refusalsKept.Add(1)
}
