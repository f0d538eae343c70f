// Package peer is a scripted server for tests that speaks as much of MongoDB's wire protocol as a driver needs to read collections:
// the documents are bytes that the test has put in, every type of BSON among them, and the faults are the test's, too. It is no
// database. It answers find, aggregate, getMore, count and listCollections over documents that it sorts and matches by _id as MongoDB's
// documentation says; it does not project, so that a test sees in [Peer.Commands] what was asked for.
package peer

import (
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Fault is what happens to a command instead of an answer, or besides it.
type Fault struct {
	Code    int32 // of the error that is answered; 0: none
	Message string
	// Cut ends all connections before anything is answered; Within, if more than none, after so many bytes of the answer.
	Cut    bool
	Within int
	// Forget drops all cursors before the command is looked at.
	Forget bool
	// Do is called first, for whatever else is to change then.
	Do func()
}

// Peer is one server. Its methods may be called from several goroutines.
type Peer struct {
	// FirstBatch is how many documents a first batch has where none were asked for, 101 as with MongoDB, and BatchLimit the most in any
	// batch; 0: as many as are asked for.
	FirstBatch, BatchLimit int

	t       testing.TB
	listen  net.Listener
	running sync.WaitGroup

	mu          sync.Mutex
	collections map[string]*collection
	cursors     map[int64]*cursor
	next        int64
	fault       func(command string, n int) *Fault
	counts      map[string]int
	commands    []bson.Raw
	open        map[net.Conn]bool
	closed      bool
}

type collection struct {
	kind string
	docs []bson.Raw
}

type cursor struct {
	namespace string
	docs      []bson.Raw
}

// Start starts a peer on a free port of the loopback interface, until the test ends.
func Start(t testing.TB) *Peer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Peer{
		FirstBatch: 101, t: t, listen: l, collections: map[string]*collection{}, cursors: map[int64]*cursor{}, counts: map[string]int{}, open: map[net.Conn]bool{},
	}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		_ = l.Close() // nobody comes any more
		p.Cut()
		p.running.Wait()
	})
	return p
}

// URL is the address of a database; user may be empty. Every user is refused by the code 18.
func (p *Peer) URL(database string, user *url.Userinfo) string {
	u := url.URL{Scheme: "mongodb", User: user, Host: p.listen.Addr().String(), Path: "/" + database}
	return u.String()
}

// Put makes a collection of these documents, in their order. The kind is collection, view or timeseries.
func (p *Peer) Put(name, kind string, docs ...bson.Raw) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.collections[name] = &collection{kind: kind, docs: docs}
}

// Script sets what is asked before each command but hello: the name of the command, and how many of that name there have been since
// Script was called, this one included. It answers nil where nothing is to happen.
func (p *Peer) Script(fault func(command string, n int) *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.counts, p.commands = fault, map[string]int{}, nil
}

// Commands are those that have come since Script was last called, of the names given.
func (p *Peer) Commands(names ...string) (out []bson.Raw) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.commands {
		for _, name := range names {
			if commandName(c) == name {
				out = append(out, c)
			}
		}
	}
	return out
}

// Cut ends all connections.
func (p *Peer) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.Close()
		delete(p.open, c)
	}
}

func (p *Peer) accept() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return // the test is over
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			c.Close()
			return
		}
		p.open[c] = true
		p.mu.Unlock()
		p.running.Go(func() {
			defer c.Close()
			if err := p.serve(c); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.open[c] && !p.closed {
					p.t.Logf("peer: %v", err)
				}
			}
		})
	}
}

// serve answers one connection.
func (p *Peer) serve(c net.Conn) error {
	for {
		m, err := readMessage(c)
		if err != nil {
			return err
		}
		reply, fault := p.answer(m.command)
		if fault != nil && fault.Cut {
			b := m.reply(reply)
			if fault.Within > 0 {
				_, _ = c.Write(b[:min(fault.Within, len(b)-1)]) // the client sees what it sees
			}
			p.Cut()
			return nil
		}
		if _, err := c.Write(m.reply(reply)); err != nil {
			return err
		}
	}
}

// answer carries out a command.
func (p *Peer) answer(command bson.Raw) (bson.D, *Fault) {
	name := commandName(command)
	switch name {
	case "hello", "isMaster", "ismaster":
		return ok(bson.D{
			{Key: "ismaster", Value: true}, {Key: "isWritablePrimary", Value: true}, {Key: "helloOk", Value: true}, {Key: "maxBsonObjectSize", Value: 16 << 20},
			{Key: "maxMessageSizeBytes", Value: 48000000}, {Key: "maxWriteBatchSize", Value: 100000}, {Key: "localTime", Value: bson.NewDateTimeFromTime(time.Now())},
			{Key: "minWireVersion", Value: 0}, {Key: "maxWireVersion", Value: 21}, {Key: "readOnly", Value: false},
		}), nil
	case "saslStart", "saslContinue":
		return failure(18, "AuthenticationFailed", "Authentication failed."), nil
	case "ping", "endSessions", "buildInfo":
		return ok(bson.D{{Key: "version", Value: "7.0.0"}}), nil
	}
	p.mu.Lock()
	p.commands = append(p.commands, append(bson.Raw{}, command...))
	p.counts[name]++
	n, script := p.counts[name], p.fault
	p.mu.Unlock()
	var fault *Fault
	if script != nil {
		fault = script(name, n)
	}
	if fault != nil {
		if fault.Do != nil {
			fault.Do()
		}
		if fault.Code != 0 {
			return failure(fault.Code, "Code"+strconv.Itoa(int(fault.Code)), fault.Message), fault
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if fault != nil && fault.Forget {
		clear(p.cursors)
	}
	return p.carryOut(name, command), fault
}

func ok(d bson.D) bson.D { return append(d, bson.E{Key: "ok", Value: 1.0}) }

func failure(code int32, name, message string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "errmsg", Value: message}, {Key: "code", Value: code}, {Key: "codeName", Value: name}}
}
