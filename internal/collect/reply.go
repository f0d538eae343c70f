package collect

import (
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"firth/internal/event"
)

// Header values that every reply shares; nobody changes them.
type headers struct {
	json, yes, origin, any, expose []string
}

// reply is an answer that was put together beforehand.
type reply struct {
	status int
	code   string
	body   []byte
	length []string
	retry  []string      // Retry-After, in seconds
	count  *atomic.Int64 // of the requests answered so
}

// replies are the answers of one handler.
type replies struct {
	headers headers

	ok, notFound, noBundle, methodNotAllowed, unknownSettings *reply

	malformed, notObject, missingBatch, bodyTooLarge, badEncoding, eventTooLarge *reply
	missingKey, unknownKey                                                       *reply
	bodyTimeout, bodyIncomplete                                                  *reply
	rateLimited                                                                  *reply
	full, failed, closing, internal                                              *reply
	badPixel                                                                     *reply // counted only: the answer is an image
}

func newReplies(m *Metrics, o *Options) *replies {
	bad := func(code, message string) *reply { return refusal(m, http.StatusBadRequest, code, message) }
	later := func(code, message, seconds string) *reply {
		r := refusal(m, http.StatusServiceUnavailable, code, message)
		r.retry = []string{seconds}
		return r
	}
	key := "send it as the user of Basic authorization, or as writeKey in the body"
	rs := &replies{
		headers: headers{
			json: []string{"application/json"}, yes: []string{"true"}, origin: []string{"Origin"}, any: []string{"*"},
			expose: []string{"retry-after, x-ratelimit-reset"},
		},
		ok:               success(m),
		notFound:         refusal(m, http.StatusNotFound, "not_found", "there is no such route here; calls go to /v1/track, identify, page, screen, group, alias, batch or import"),
		noBundle:         refusal(m, http.StatusNotFound, "no_bundle", "analytics.min.js is not served here; take @segment/analytics-next from npm and set cdnURL and apiHost to this host"),
		unknownSettings:  refusal(m, http.StatusNotFound, "unknown_settings", "no source has this write key"),
		methodNotAllowed: refusal(m, http.StatusMethodNotAllowed, "method_not_allowed", "this route does not take this method; see the Allow header"),
		malformed:        bad(event.ReasonMalformedJSON, "the body is not valid JSON"),
		notObject:        bad(event.ReasonNotObject, "the body must be a JSON object"),
		missingBatch:     bad(event.ReasonMissingBatch, "the body needs an array called batch"),
		bodyTooLarge:     bad(event.ReasonBodyTooLarge, fmt.Sprintf("a body may have %d bytes, also after decompression", o.MaxBody)),
		badEncoding:      bad(event.ReasonBadEncoding, "the body cannot be decompressed; Content-Encoding may be gzip or deflate"),
		eventTooLarge:    bad(event.ReasonEventTooLarge, fmt.Sprintf("an event may have %d bytes", o.MaxEvent)),
		missingKey:       refusal(m, http.StatusUnauthorized, event.ReasonMissingWriteKey, "the call has no write key; "+key),
		unknownKey:       refusal(m, http.StatusUnauthorized, event.ReasonUnknownWriteKey, "no source has this write key; "+key),
		bodyTimeout:      refusal(m, http.StatusRequestTimeout, event.ReasonBodyTimeout, "the body did not arrive in time; send it again"),
		bodyIncomplete:   refusal(m, http.StatusRequestTimeout, event.ReasonBodyIncomplete, "the connection ended before the body did; send it again"),
		rateLimited:      refusal(m, http.StatusTooManyRequests, event.ReasonRateLimited, "the source has sent more than its limit; send again after Retry-After seconds"),
		badPixel:         bad(event.ReasonBadPixel, "the pixel's data cannot be read"),
		full:             later("journal_full", "the disk is full; nothing was stored, send again later", "5"),
		failed:           later("journal_failed", "the disk has failed; nothing was stored, send again later", "30"),
		closing:          later("shutting_down", "the server is shutting down; nothing was stored, send again", "2"),
		internal:         later("internal", "the server is in trouble; send again later", "5"),
	}
	return rs
}

// body gives the reply to a body that cannot be taken.
func (rs *replies) body(e *event.BodyError) *reply {
	switch e.Reason {
	case event.ReasonNotObject:
		return rs.notObject
	case event.ReasonMissingBatch:
		return rs.missingBatch
	}
	return rs.malformed.with("the body is not valid JSON: " + e.Detail)
}

func success(m *Metrics) *reply {
	r := &reply{status: http.StatusOK, code: "ok", body: []byte(`{"success":true}`), count: m.outcome("ok")}
	r.length = []string{strconv.Itoa(len(r.body))}
	return r
}

func refusal(m *Metrics, status int, code, message string) *reply {
	r := &reply{status: status, code: code, count: m.outcome(code)}
	return r.with(message)
}

// with gives the same reply with another message. Python reads code and message, Ruby reads error, Java reads success.
func (r *reply) with(message string) *reply {
	out := *r
	b := append([]byte(`{"success":false,"code":"`), r.code...)
	b = append(b, `","message":`...)
	at := len(b)
	b, err := jsontext.AppendQuote(b, message)
	if err != nil { // the message repeats bytes that are not UTF-8
		b = strconv.AppendQuoteToASCII(b[:at], r.code)
	}
	quoted := b[at:]
	b = append(b, `,"error":`...)
	out.body = append(append(b, quoted...), '}')
	out.length = []string{strconv.Itoa(len(out.body))}
	return &out
}

// send writes a reply with the headers that browsers need.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, p *reply) {
	p.count.Add(1)
	head := w.Header()
	h.allowOrigin(head, r)
	head["Content-Type"] = h.replies.headers.json
	head["Content-Length"] = p.length
	if p.retry != nil {
		head["Retry-After"] = p.retry
		if p.status == http.StatusTooManyRequests {
			head["X-Ratelimit-Reset"] = p.retry
		}
	}
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(p.body) // the caller may be gone: nothing is left to do then
	}
}
