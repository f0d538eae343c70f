package server

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// StoreFault is what goes wrong with one request to a store.
type StoreFault string

// The faults.
const (
	StoreFails    StoreFault = "500"           // an answer of the store's own trouble; nothing was done
	StoreThrottle StoreFault = "slow down"     // 503 SlowDown, with Retry-After
	StoreCutIn    StoreFault = "cut request"   // the connection ends in the midst of the request's body; nothing was done
	StoreCutOut   StoreFault = "cut answer"    // it was done; the connection ends in the midst of the answer's body
	StoreLost     StoreFault = "lost answer"   // it was done; the connection ends before the answer
	StoreSlow     StoreFault = "slow"          // it is done after a while
	StoreSilent   StoreFault = "silent"        // nothing is done, and no answer comes
	StoreRefuses  StoreFault = "access denied" // 403, which no second try heals
)

// StoreFaults are those that pass when a request is sent again.
var StoreFaults = []StoreFault{StoreFails, StoreThrottle, StoreCutIn, StoreCutOut, StoreLost, StoreSlow} //nolint:gochecknoglobals // a constant list

// StoreRequest is a request as a rule of a [StoreProxy] sees it.
type StoreRequest struct {
	Op  string // GET, HEAD, PUT, POST, DELETE, LIST
	Key string // of the object, or the prefix that is listed
}

// StoreProxy stands in front of a [Store] and spoils requests. Its methods may be called from several goroutines.
type StoreProxy struct {
	Endpoint string
	store    *Store
	server   *httptest.Server
	client   *http.Client
	ended    chan struct{}

	mu     sync.Mutex
	rule   func(StoreRequest) StoreFault // empty: none
	served map[string]int                // by operation
	spoilt map[StoreFault]int
	sizes  []int64 // of the objects and parts that were put, as the store is told them
}

// StoreFaulty starts a proxy in front of a store. It passes everything until it gets a rule, and ends with the test.
func StoreFaulty(t testing.TB, store *Store) *StoreProxy {
	t.Helper()
	p := &StoreProxy{
		store: store, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true}}, ended: make(chan struct{}),
		served: map[string]int{}, spoilt: map[StoreFault]int{},
	}
	p.server = httptest.NewServer(p)
	p.Endpoint = p.server.URL
	t.Cleanup(func() {
		close(p.ended)
		p.server.CloseClientConnections()
		p.server.Close()
		p.client.CloseIdleConnections()
	})
	return p
}

// URL is [Store.URL] through the proxy. A timeout is that of the client, such as 2s; empty: its own.
func (p *StoreProxy) URL(prefix, timeout string) string {
	address := strings.Replace(p.store.URL(prefix), p.store.Endpoint, p.Endpoint, 1)
	if timeout != "" {
		address += "&timeout=" + timeout
	}
	return address
}

// Rule sets what goes wrong; nil: nothing. It is asked once a request, one request at a time.
func (p *StoreProxy) Rule(rule func(StoreRequest) StoreFault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

// FailOnce makes requests go wrong at random: a share of those whose operation and object were not seen before, and none of them twice.
func (p *StoreProxy) FailOnce(seed uint64, share float64) {
	random := rand.New(rand.NewPCG(seed, 0))
	seen := map[StoreRequest]bool{}
	p.Rule(func(r StoreRequest) StoreFault {
		if r.Op == "LIST" { // which comes again and again: every other one may fail
			if seen[r] = !seen[r]; !seen[r] {
				return ""
			}
		} else if seen[r] {
			return ""
		}
		seen[r] = true
		if random.Float64() >= share {
			return ""
		}
		return StoreFaults[random.IntN(len(StoreFaults))]
	})
}

// Served is how many requests came, by operation; spoilt, how many of them went wrong, by fault.
func (p *StoreProxy) Served() (served map[string]int, spoilt map[StoreFault]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	served, spoilt = map[string]int{}, map[StoreFault]int{}
	for op, n := range p.served {
		served[op] = n
	}
	for f, n := range p.spoilt {
		spoilt[f] = n
	}
	return served, spoilt
}

// Sizes are those of the objects and parts that were put, in bytes, in the order in which they came.
func (p *StoreProxy) Sizes() []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]int64(nil), p.sizes...)
}

func (p *StoreProxy) judge(r *http.Request) StoreFault {
	q := StoreRequest{Op: r.Method, Key: strings.TrimPrefix(r.URL.Path, "/"+p.store.Bucket+"/")}
	if r.Method == http.MethodGet && r.URL.Query().Has("list-type") {
		q = StoreRequest{Op: "LIST", Key: r.URL.Query().Get("prefix")}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.served[q.Op]++
	if q.Op == http.MethodPut {
		size := r.ContentLength
		if decoded, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64); err == nil {
			size = decoded // the content is sent in signed chunks
		}
		p.sizes = append(p.sizes, size)
	}
	if p.rule == nil {
		return ""
	}
	f := p.rule(q)
	if f != "" {
		p.spoilt[f]++
	}
	return f
}

// ServeHTTP implements http.Handler.
func (p *StoreProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := p.judge(r)
	switch fault {
	case StoreFails:
		refuse(w, r, http.StatusInternalServerError, "InternalError")
		return
	case StoreThrottle:
		w.Header().Set("Retry-After", "0.2")
		refuse(w, r, http.StatusServiceUnavailable, "SlowDown")
		return
	case StoreRefuses:
		refuse(w, r, http.StatusForbidden, "AccessDenied")
		return
	case StoreSilent:
		select {
		case <-r.Context().Done():
		case <-p.ended:
		}
		cutClient()
	case StoreCutIn:
		_, _ = io.CopyN(io.Discard, r.Body, max(r.ContentLength/2, 0)) // however much came
		cutClient()
	case StoreSlow:
		time.Sleep(300 * time.Millisecond)
	}
	p.pass(w, r, fault)
}

// cutClient resets the client's connection.
func cutClient() { panic(http.ErrAbortHandler) }

func refuse(w http.ResponseWriter, r *http.Request, status int, code string) {
	_, _ = io.Copy(io.Discard, r.Body) // or the client sees a cut
	text := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>made up by a test</Message></Error>`, code)
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// pass lets the store answer, and gives back as much of the answer as the fault leaves.
func (p *StoreProxy) pass(w http.ResponseWriter, r *http.Request, fault StoreFault) {
	out := r.Clone(r.Context())
	out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", strings.TrimPrefix(p.store.Endpoint, "http://")
	answer, err := p.client.Do(out) // with the client's Host, which is signed
	if err != nil {
		cutClient()
	}
	defer answer.Body.Close()
	if fault == StoreLost {
		cutClient()
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil && !errors.Is(err, io.EOF) {
		cutClient()
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.StatusCode)
	if fault == StoreCutOut {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush() // the half is what the client is to see
		cutClient()
	}
	_, _ = w.Write(body)
}
