package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long answers are waited for when the time is over.
const grace = 10 * time.Second

// loop drives all connections of a generator from one thread.
type loop struct {
	options GenOptions
	addr    netip.AddrPort
	conns   []*conn
	patch   *patcher
	epoll   int
	timer   int // timerfd of an open loop, else -1
	started func()

	begin, end time.Time // of the measured time
	first      time.Time // of everything
	due        int64     // requests of the open loop that were due up to now
	waiting    []time.Time
	idle       []*conn
	inflight   int

	latency  histogram
	accepted int64
	failed   map[string]int
	refusal  string // the first answer other than 200
	cpu      time.Duration
	measured bool
}

// conn is one keep-alive connection with at most one request under way.
type conn struct {
	fd       int
	index    int
	requests []*request // its own: nobody else patches them
	next     int
	out      []byte // what is left to write
	in       [4096]byte
	got      int
	busy     bool
	since    time.Time // when the request was sent, or was due
}

// run sends until the measured time is over and the answers have come.
func (l *loop) run(ctx context.Context) (err error) {
	l.timer = -1
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll: %w", err)
	}
	defer func() { err = errors.Join(err, l.close()) }()
	for i, c := range l.conns {
		c.index = i
		if err := l.dial(c); err != nil {
			return err
		}
	}
	l.first = time.Now()
	l.begin = l.first.Add(l.options.Warmup)
	l.end = l.begin.Add(l.options.Duration)
	if err := l.start(); err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 256)
	for {
		now := time.Now()
		l.phase(now)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if now.After(l.end) && (l.inflight == 0 || now.After(l.end.Add(grace))) {
			l.fail("no answer", l.inflight+len(l.waiting))
			return nil
		}
		n, err := unix.EpollWait(l.epoll, events, 50)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if err := l.handle(int(e.Fd), e.Events); err != nil {
				return err
			}
		}
	}
}

// start puts the first requests on their way: one on every connection, or in an open loop by the timer.
func (l *loop) start() error {
	if l.options.Rate == 0 {
		for _, c := range l.conns {
			if err := l.send(c, time.Now()); err != nil {
				return err
			}
		}
		return nil
	}
	l.idle = append(l.idle, l.conns...)
	var err error
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC); err != nil {
		return fmt.Errorf("timer: %w", err)
	}
	every := unix.NsecToTimespec(int64(time.Second) / int64(l.options.Rate))
	if err := unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Interval: every, Value: every}, nil); err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	return l.watch(l.timer, -1, unix.EPOLLIN)
}

// phase notices the begin and the end of the measured time.
func (l *loop) phase(now time.Time) {
	if !l.measured && now.After(l.begin) {
		l.measured = true
		l.cpu = -ownCPU()
		l.started()
	}
	if l.cpu < 0 && now.After(l.end) {
		l.cpu += ownCPU()
	}
}

// handle serves one ready descriptor: index is that of a connection, or -1 for the timer.
func (l *loop) handle(index int, events uint32) error {
	if index < 0 {
		return l.tick()
	}
	c := l.conns[index]
	if len(c.out) > 0 && events&unix.EPOLLOUT != 0 {
		if err := l.write(c); err != nil {
			return err
		}
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR|unix.EPOLLRDHUP) != 0 {
		return l.read(c)
	}
	return nil
}

// tick sends what has become due in an open loop. A request for which no connection is free waits, and its latency with it.
func (l *loop) tick() error {
	var buf [8]byte
	if _, err := unix.Read(l.timer, buf[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("read timer: %w", err)
	}
	now := time.Now()
	every := time.Second / time.Duration(l.options.Rate)
	for {
		at := l.first.Add(time.Duration(l.due+1) * every)
		if at.After(now) || at.After(l.end) {
			return nil
		}
		l.due++
		if len(l.idle) == 0 {
			l.waiting = append(l.waiting, at)
			continue
		}
		c := l.idle[len(l.idle)-1]
		l.idle = l.idle[:len(l.idle)-1]
		if err := l.send(c, at); err != nil {
			return err
		}
	}
}

// send patches the connection's next request and writes as much of it as the socket takes.
func (l *loop) send(c *conn, since time.Time) error {
	r := c.requests[c.next]
	c.next = (c.next + 1) % len(c.requests)
	now := since
	if l.options.Rate > 0 {
		now = time.Now()
	}
	l.patch.patch(r, now)
	c.out, c.got, c.since, c.busy = r.bytes, 0, since, true
	l.inflight++
	return l.write(c)
}

func (l *loop) write(c *conn) error {
	for len(c.out) > 0 {
		n, err := rawWrite(c.fd, c.out)
		switch err {
		case 0:
			c.out = c.out[n:]
		case unix.EAGAIN:
			return nil
		case unix.EINTR:
		default:
			return l.broken(c, err)
		}
	}
	return nil
}

// read takes what came; one read is enough for the answers expected here, and the next edge tells of more.
func (l *loop) read(c *conn) error {
	n, err := rawRead(c.fd, c.in[c.got:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != 0:
		return l.broken(c, err)
	case n == 0 && !c.busy:
		return l.redial(c) // servers close connections that nobody uses: that is no failure
	case n == 0:
		return l.broken(c, errors.New("closed by the server"))
	}
	c.got += n
	status, length, closing := parseReply(c.in[:c.got])
	if length == 0 {
		if c.got == len(c.in) {
			return l.broken(c, errors.New("answer too long"))
		}
		return nil
	}
	if length < 0 || length > len(c.in) {
		return l.broken(c, errors.New("answer not understood"))
	}
	if c.got < length {
		return nil
	}
	return l.answered(c, status, length, closing || len(c.out) > 0)
}

// answered books a whole reply and sends the next request.
func (l *loop) answered(c *conn, status, length int, closing bool) error {
	now := time.Now()
	c.busy, c.got = false, 0
	l.inflight--
	if status == 200 {
		l.accepted++
		if now.After(l.begin) && now.Before(l.end) {
			l.latency.record(now.Sub(c.since))
		}
	} else {
		l.fail("status "+strconv.Itoa(status), 1)
		if l.refusal == "" {
			l.refusal = string(c.in[:length])
		}
	}
	if closing {
		if err := l.redial(c); err != nil {
			return err
		}
	}
	return l.proceed(c, now)
}

// proceed gives a free connection its next request.
func (l *loop) proceed(c *conn, now time.Time) error {
	switch {
	case now.After(l.end):
		return nil
	case l.options.Rate == 0:
		return l.send(c, now)
	case len(l.waiting) > 0:
		at := l.waiting[0]
		l.waiting = l.waiting[1:]
		return l.send(c, at)
	}
	l.idle = append(l.idle, c)
	return nil
}

// broken counts a connection that failed and opens it anew.
func (l *loop) broken(c *conn, cause error) error {
	l.fail(cause.Error(), 1)
	if c.busy {
		c.busy = false
		l.inflight--
	}
	if err := l.redial(c); err != nil {
		return err
	}
	return l.proceed(c, time.Now())
}

func (l *loop) fail(what string, n int) {
	if n > 0 {
		l.failed[what] += n
	}
}

func (l *loop) redial(c *conn) error {
	if err := unix.Close(c.fd); err != nil {
		return fmt.Errorf("close connection: %w", err)
	}
	return l.dial(c)
}

// dial opens the connection and watches it for both directions, by edges: it is registered once for its whole life.
func (l *loop) dial(c *conn) error {
	c.out, c.got = nil, 0
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(l.addr.Port()), Addr: l.addr.Addr().As16()})
	if l.addr.Addr().Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(l.addr.Port()), Addr: l.addr.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	c.fd = fd
	if err := unix.Connect(fd, to); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("set no delay: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("set non-blocking: %w", err)
	}
	return l.watch(fd, c.index, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET)
}

func (l *loop) watch(fd, index int, events uint32) error {
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(index)}); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	return nil
}

func (l *loop) close() error {
	err := unix.Close(l.epoll)
	if l.timer >= 0 {
		err = errors.Join(err, unix.Close(l.timer))
	}
	for _, c := range l.conns {
		if c.fd > 0 {
			err = errors.Join(err, unix.Close(c.fd))
		}
	}
	return err
}
