package object

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// defaultTimeout is how long a store may be silent in the midst of a request before the request is given up, and sent again.
const defaultTimeout = 30 * time.Second

// maxRetryAfter bounds how long a store can make a request wait that it has throttled.
const maxRetryAfter = 10 * time.Second

// Stats count what was asked of a store since it was opened.
type Stats struct {
	Requests map[string]int64 // by method: GET, HEAD, PUT, POST, DELETE; a listing is LIST
	Failed   int64            // requests without an answer, and those that were answered with a failure of the store's own or with "slow down"
	Throttle int64            // of Failed: "slow down"
	Sent     int64            // bytes of bodies
	Received int64
}

// Stats returns a copy. Safe for concurrent use.
func (s *Store) Stats() Stats {
	out := Stats{Requests: map[string]int64{}, Failed: s.meter.failed.Load(), Throttle: s.meter.throttled.Load(), Sent: s.meter.sent.Load(), Received: s.meter.received.Load()}
	for i, name := range methods {
		if n := s.meter.requests[i].Load(); n > 0 {
			out.Requests[name] = n
		}
	}
	return out
}

var methods = [...]string{"GET", "HEAD", "PUT", "POST", "DELETE", "LIST"} //nolint:gochecknoglobals // a constant list

type meter struct {
	requests                          [len(methods)]atomic.Int64
	failed, throttled, sent, received atomic.Int64
}

func (m *meter) count(r *http.Request) {
	method := r.Method
	if q := r.URL.Query(); method == http.MethodGet && (q.Has("list-type") || q.Has("uploads")) {
		method = "LIST"
	}
	for i, name := range methods {
		if name == method {
			m.requests[i].Add(1)
		}
	}
	m.sent.Add(max(r.ContentLength, 0))
}

// patient counts requests, and waits as long as a store asks to that throttles before the answer is given back: then the request is
// sent again by the library.
type patient struct {
	next  http.RoundTripper
	meter *meter
}

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(r *http.Request) (*http.Response, error) {
	p.meter.count(r)
	answer, err := p.next.RoundTrip(r)
	if err != nil {
		p.meter.failed.Add(1)
		return nil, err
	}
	if answer.StatusCode < http.StatusInternalServerError && answer.StatusCode != http.StatusTooManyRequests {
		return answer, nil
	}
	p.meter.failed.Add(1)
	if answer.StatusCode != http.StatusTooManyRequests && answer.StatusCode != http.StatusServiceUnavailable {
		return answer, nil
	}
	p.meter.throttled.Add(1)
	seconds, err := strconv.ParseFloat(answer.Header.Get("Retry-After"), 64)
	if err != nil || seconds <= 0 {
		return answer, nil
	}
	timer := time.NewTimer(min(time.Duration(seconds*float64(time.Second)), maxRetryAfter))
	defer timer.Stop()
	select {
	case <-r.Context().Done():
	case <-timer.C:
	}
	return answer, nil
}

// transport gives up on a store that takes a request and is then silent for too long, before its answer or in the midst of it.
func transport(timeout time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: min(timeout, 10*time.Second), KeepAlive: 15 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &restless{Conn: c, timeout: timeout}, nil
		},
		TLSHandshakeTimeout:   min(timeout, 10*time.Second),
		ResponseHeaderTimeout: timeout,
		ExpectContinueTimeout: 5 * time.Second,
		IdleConnTimeout:       timeout,
		MaxIdleConnsPerHost:   8,
		DisableCompression:    true, // objects come as they are, also those that were packed
	}
}

// restless is a connection on which every read and write has a deadline.
type restless struct {
	net.Conn
	timeout time.Duration
}

func (c *restless) Read(b []byte) (int, error) {
	// A read waits for the answer while the request is still being sent; that is bounded by the writes' own deadlines, which push this one on.
	if err := c.SetReadDeadline(time.Now().Add(2 * c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *restless) Write(b []byte) (int, error) {
	now := time.Now()
	if err := c.SetReadDeadline(now.Add(2 * c.timeout)); err != nil {
		return 0, err
	}
	if err := c.SetWriteDeadline(now.Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}
