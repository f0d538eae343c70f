package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"runtime/debug"
	"time"
)

// GenOptions say what load to put on a server.
type GenOptions struct {
	Addr        string        // host:port, a numeric address
	Key         string        // write key, sent as Authorization: Basic
	Connections int           // open at the same time
	Batch       int           // events a request; 1 is POST /v1/track
	Rate        int           // requests a second of an open loop; 0: a closed loop, as fast as the server answers
	Warmup      time.Duration // not measured
	Duration    time.Duration // measured
	Salt        uint64        // differs between runs against one server; it makes the message ids differ
}

// Result is what a load generator saw. Rates count what was answered 200 within the measured time; latency runs from the
// sending of the request, or in an open loop from the moment when it was due, to the last byte of the answer.
type Result struct {
	Seconds  float64        `json:"seconds"`  // measured
	Requests int64          `json:"requests"` // answered 200 while measuring
	Events   int64          `json:"events"`   // in them
	Accepted int64          `json:"accepted"` // events answered 200 from first to last, warm-up included
	Failed   map[string]int `json:"failed,omitempty"`
	Refusal  string         `json:"refusal,omitempty"` // the first answer other than 200, word for word
	P50      time.Duration  `json:"p50_ns"`
	P90      time.Duration  `json:"p90_ns"`
	P99      time.Duration  `json:"p99_ns"`
	Max      time.Duration  `json:"max_ns"`
	Body     float64        `json:"body_bytes"`    // mean size of a request's body
	CPU      time.Duration  `json:"generator_cpu"` // of the generator while measuring
}

// Generate puts the load on the server until the time is over or ctx ends; then it waits a few seconds for the answers that
// are due. started is called when the warm-up is over. Replies other than 200 and broken connections are counted in
// Result.Failed; they are no error.
//
// One thread drives all connections through epoll: a request costs one read and one write, and hardly anything else. The
// process should do nothing but this: garbage collection is off while it runs.
func Generate(ctx context.Context, o GenOptions, started func()) (Result, error) {
	addr, err := netip.ParseAddrPort(o.Addr)
	if err != nil {
		return Result{}, fmt.Errorf("generate: address of the server: %w", err)
	}
	if o.Batch < 1 || o.Connections < 1 {
		return Result{}, fmt.Errorf("generate: %d connections with %d events a request: both must be at least 1", o.Connections, o.Batch)
	}
	requests := buildRequests(net.JoinHostPort(addr.Addr().String(), fmt.Sprint(addr.Port())), o.Key, o.Batch, 2*o.Connections)
	l := &loop{
		options: o, addr: addr, started: started,
		patch: newPatcher(mix(o.Salt + 1)), failed: map[string]int{},
	}
	share := len(requests) / o.Connections
	for i := range o.Connections {
		l.conns = append(l.conns, &conn{requests: requests[i*share : (i+1)*share]})
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if err := l.run(ctx); err != nil {
		return Result{}, fmt.Errorf("generate load on %s: %w", o.Addr, err)
	}
	return l.result(requests), nil
}

// result sums up a finished loop.
func (l *loop) result(requests []*request) Result {
	var bytes int
	for _, r := range requests {
		bytes += len(r.bytes)
	}
	head := headLength(requests[0].bytes)
	return Result{
		Seconds:  l.end.Sub(l.begin).Seconds(),
		Requests: l.latency.total,
		Events:   l.latency.total * int64(l.options.Batch),
		Accepted: l.accepted * int64(l.options.Batch),
		Failed:   l.failed,
		Refusal:  l.refusal,
		P50:      l.latency.quantile(0.50),
		P90:      l.latency.quantile(0.90),
		P99:      l.latency.quantile(0.99),
		Max:      time.Duration(l.latency.max),
		Body:     float64(bytes)/float64(len(requests)) - float64(head),
		CPU:      l.cpu,
	}
}
