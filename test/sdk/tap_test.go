package sdk

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// tap stands between an SDK and the server: it passes the bytes of each connection on unchanged, both ways, and keeps a copy. The
// SDK speaks to the server itself, whatever its framing, encoding and reuse of connections.
type tap struct {
	URL      string
	target   string
	listener net.Listener
	copiers  sync.WaitGroup
	passed   chan struct{} // holds a token when bytes of a request were passed on since it was last taken

	mu    sync.Mutex
	conns []*conversation
}

// conversation is what went over one connection so far.
type conversation struct {
	mu       sync.Mutex
	up, down bytes.Buffer
}

// exchange is one request with its answer. Status is 0 while no complete answer has come.
type exchange struct {
	Method string
	Path   string
	Header http.Header
	Body   []byte // decompressed
	Status int
	Answer []byte
}

// newTap listens on a port of its own and passes everything on to the server at target, http://host:port.
func newTap(t *testing.T, target string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{URL: "http://" + l.Addr().String(), target: strings.TrimPrefix(target, "http://"), listener: l, passed: make(chan struct{}, 1)}
	p.copiers.Go(p.accept)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		p.copiers.Wait()
	})
	return p
}

func (p *tap) accept() {
	for {
		down, err := p.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.target)
		if err != nil { // the server is down: the SDK sees its connection end
			_ = down.Close()
			continue
		}
		c := &conversation{}
		p.mu.Lock()
		p.conns = append(p.conns, c)
		p.mu.Unlock()
		p.copiers.Go(func() { c.pass(&c.up, up, down, p.passed) })
		p.copiers.Go(func() { c.pass(&c.down, down, up, nil) })
	}
}

// pass copies from one side to the other until either ends, and then ends both.
func (c *conversation) pass(record *bytes.Buffer, to, from net.Conn, passed chan<- struct{}) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		c.mu.Lock()
		record.Write(buf[:n])
		c.mu.Unlock()
		if _, failed := to.Write(buf[:n]); err != nil || failed != nil {
			return
		}
		select {
		case passed <- struct{}{}:
		default:
		}
	}
}

// exchanges parses what went over all connections so far.
func (p *tap) exchanges(t *testing.T) []exchange {
	t.Helper()
	p.mu.Lock()
	conns := p.conns
	p.mu.Unlock()
	var all []exchange
	for _, c := range conns {
		c.mu.Lock()
		up, down := bytes.Clone(c.up.Bytes()), bytes.Clone(c.down.Bytes())
		c.mu.Unlock()
		all = append(all, parse(t, up, down)...)
	}
	return all
}

// parse reads requests and answers in turn; a request that was cut off is left out.
func parse(t *testing.T, up, down []byte) []exchange {
	t.Helper()
	requests, answers := bufio.NewReader(bytes.NewReader(up)), bufio.NewReader(bytes.NewReader(down))
	var all []exchange
	for {
		r, err := http.ReadRequest(requests)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return all
		}
		if err != nil {
			t.Fatalf("a request that is no HTTP: %v", err)
		}
		e := exchange{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header}
		if e.Body, err = io.ReadAll(r.Body); err != nil {
			return all
		}
		if r.Header.Get("Content-Encoding") == "gzip" {
			e.Body = gunzip(t, e.Body)
		}
		if answer, err := http.ReadResponse(answers, r); err == nil {
			if e.Answer, err = io.ReadAll(answer.Body); err == nil {
				e.Status = answer.StatusCode
			}
		}
		all = append(all, e)
	}
}

func gunzip(t *testing.T, body []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}
