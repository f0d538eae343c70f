package server

import (
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a faulty network in front of a real server. It is one of our own because cutting after exactly so many bytes of a client,
// and letting everything before that arrive, is what the tests need most; ready-made ones count in chunks. Its methods may be called
// from several goroutines.
type Proxy struct {
	Addr     string
	t        testing.TB
	upstream string

	sent  atomic.Int64 // bytes that clients sent and the server got
	got   atomic.Int64 // bytes that servers sent and the clients got
	delay atomic.Int64 // ns a chunk is held back, in both directions
	fired atomic.Int64 // how often CutAfter has cut

	mu      sync.Mutex
	changed *sync.Cond // stalled or the connections changed
	stalled bool
	cutAt   int64 // of sent; negative: never
	gotAt   int64 // of got; negative: never
	orderly bool  // clients that are cut get an end in the place of a reset
	listen  net.Listener
	open    map[*pair]bool
	closed  bool
	running sync.WaitGroup
}

// pair is a client's connection and the one to the server.
type pair struct{ client, server net.Conn }

// Fault starts a proxy in front of the server at an address, host:port. It passes everything until told otherwise.
func Fault(t testing.TB, upstream string) *Proxy {
	t.Helper()
	p := &Proxy{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(Port(t))), t: t, upstream: upstream, cutAt: -1, gotAt: -1, open: map[*pair]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.Refuse(false)
	t.Cleanup(func() {
		p.Refuse(true)
		p.mu.Lock()
		p.closed = true
		p.changed.Broadcast()
		p.mu.Unlock()
		p.running.Wait()
	})
	return p
}

// Refuse makes clients get "connection refused", and cuts those that are connected; Refuse(false) ends it.
func (p *Proxy) Refuse(refuse bool) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case refuse && p.listen != nil:
		_ = p.listen.Close() // it may be closed already
		p.listen = nil
		p.cut()
	case !refuse && p.listen == nil:
		l, err := net.Listen("tcp", p.Addr)
		if err != nil {
			p.t.Fatal(err)
		}
		p.listen = l
		p.running.Go(func() { p.accept(l) })
	}
}

// Cut cuts all connections now. What clients sent before arrives at the server; the clients' ends are reset.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut()
}

// CutAfter cuts all connections, once, when clients have sent so many bytes from now on: exactly these arrive at the server, the
// clients' ends are reset, and connections made later live. A negative number takes the order back.
func (p *Proxy) CutAfter(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAt = -1
	if bytes >= 0 {
		p.cutAt = p.sent.Load() + bytes
	}
}

// CutReceived is CutAfter for the bytes that servers send; orderly: the clients' ends are no reset but the end of what is sent.
func (p *Proxy) CutReceived(bytes int64, orderly bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gotAt, p.orderly = -1, orderly
	if bytes >= 0 {
		p.gotAt = p.got.Load() + bytes
	}
}

// Stall lets nothing through, in either direction, without ending any connection, until Stall(false).
func (p *Proxy) Stall(stall bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = stall
	p.changed.Broadcast()
}

// Delay holds back every chunk of bytes for so long, in both directions.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Sent is how many bytes clients have sent through the proxy to the server so far.
func (p *Proxy) Sent() int64 { return p.sent.Load() }

// Received is how many bytes servers have sent through the proxy to clients so far.
func (p *Proxy) Received() int64 { return p.got.Load() }

// Cuts is how often an order of CutAfter or CutReceived has been carried out.
func (p *Proxy) Cuts() int64 { return p.fired.Load() }

// Connections is how many connections there are.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open)
}

// cut ends all connections; the caller holds the lock.
func (p *Proxy) cut() {
	for c := range p.open {
		p.end(c)
	}
}

// end ends one pair; the caller holds the lock. The client is reset, while the server gets an orderly end behind what was sent.
func (p *Proxy) end(c *pair) {
	if !p.open[c] {
		return
	}
	delete(p.open, c)
	if tcp, ok := c.client.(*net.TCPConn); ok && !p.orderly {
		_ = tcp.SetLinger(0) // a reset is the point, not a duty
	}
	c.client.Close()
	c.server.Close()
	p.changed.Broadcast()
}

func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed by Refuse
		}
		server, err := net.Dial("tcp", p.upstream)
		if err != nil {
			client.Close()
			continue
		}
		c := &pair{client, server}
		p.mu.Lock()
		if p.listen != l {
			p.mu.Unlock()
			client.Close()
			server.Close()
			return
		}
		p.open[c] = true
		p.mu.Unlock()
		p.running.Go(func() { p.pass(c, client, server, true) })
		p.running.Go(func() { p.pass(c, server, client, false) })
	}
}

// pass copies one direction until either end is gone.
func (p *Proxy) pass(c *pair, from, to net.Conn, counted bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			time.Sleep(time.Duration(p.delay.Load()))
			if !p.forward(c, to, buffer[:n], counted) {
				return
			}
		}
		if err != nil {
			p.mu.Lock()
			p.end(c)
			p.mu.Unlock()
			return
		}
	}
}

// forward writes a chunk, and carries out an order to cut when it falls into it. It reports whether the pair lives.
func (p *Proxy) forward(c *pair, to net.Conn, chunk []byte, counted bool) bool {
	p.mu.Lock()
	for p.stalled && !p.closed && p.open[c] {
		p.changed.Wait()
	}
	passed, limit := &p.got, &p.gotAt
	if counted {
		passed, limit = &p.sent, &p.cutAt
	}
	cutting := *limit >= 0 && passed.Load()+int64(len(chunk)) >= *limit
	if cutting {
		chunk = chunk[:*limit-passed.Load()]
		*limit = -1
		p.fired.Add(1)
	}
	passed.Add(int64(len(chunk)))
	alive := p.open[c]
	p.mu.Unlock()
	if !alive {
		return false
	}
	_, err := to.Write(chunk)
	if err == nil && !cutting {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if cutting {
		p.cut()
	} else {
		p.end(c)
	}
	return false
}
