package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// BareOptions say where the bare server listens and where it appends what it gets.
type BareOptions struct {
	Listen string // host:port
	File   string // created; an existing one is emptied
}

// Bare runs the yardstick of the ingest benchmark until ctx ends: it reads each request's body, appends it to a file, waits
// for the fdatasync that covers it, which many requests share, and answers {"success":true}. It looks at nothing in the body.
// What a collecting server does beyond it is what parsing, checking and keeping the events cost.
func Bare(ctx context.Context, o BareOptions, ready func(net.Addr)) error {
	f, err := os.OpenFile(o.File, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("bare server: %w", err)
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("bare server: %w", err), f.Close())
	}
	a := newAppender(f)
	s := &http.Server{Handler: &bareHandler{appender: a}, ReadHeaderTimeout: 10 * time.Second}
	ready(l.Addr())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(a.run)
	g.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		err := s.Close()
		a.stop()
		return err
	})
	return errors.Join(g.Wait(), f.Close())
}

// bareHandler answers every request once its body is on disk.
type bareHandler struct {
	appender *appender
	buffers  sync.Pool // of *[]byte
}

func (h *bareHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf, ok := h.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	defer h.buffers.Put(buf)
	if r.ContentLength < 0 {
		http.Error(w, "a Content-Length is needed", http.StatusLengthRequired)
		return
	}
	if int64(cap(*buf)) < r.ContentLength {
		*buf = make([]byte, r.ContentLength)
	}
	*buf = (*buf)[:r.ContentLength]
	if _, err := io.ReadFull(r.Body, *buf); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := h.appender.append(*buf); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	header := w.Header()
	header["Content-Type"] = []string{"application/json"}
	header["Content-Length"] = []string{"16"}
	if _, err := io.WriteString(w, `{"success":true}`); err != nil {
		return // the client has gone
	}
}

// appender appends to a file with group commit: what comes while one fdatasync runs is written together and shares the next.
type appender struct {
	file *os.File

	mu      sync.Mutex
	wake    sync.Cond
	next    *group
	spare   []byte // of run alone: the buffer written last
	stopped bool
}

// group is what shares one fdatasync.
type group struct {
	data []byte
	done chan struct{} // closed when err is set
	err  error
}

func newAppender(f *os.File) *appender {
	a := &appender{file: f, next: &group{done: make(chan struct{})}}
	a.wake.L = &a.mu
	return a
}

// append returns when b is on disk.
func (a *appender) append(b []byte) error {
	a.mu.Lock()
	if a.stopped {
		a.mu.Unlock()
		return errors.New("the server is stopping")
	}
	g := a.next
	if len(g.data) == 0 {
		a.wake.Signal()
	}
	g.data = append(g.data, b...)
	a.mu.Unlock()
	<-g.done
	return g.err
}

// run writes groups until stop, and what is pending then.
func (a *appender) run() error {
	for {
		a.mu.Lock()
		for len(a.next.data) == 0 && !a.stopped {
			a.wake.Wait()
		}
		g := a.next
		if len(g.data) == 0 {
			a.mu.Unlock()
			return nil
		}
		a.next = &group{data: a.spare[:0], done: make(chan struct{})}
		a.mu.Unlock()

		_, err := a.file.Write(g.data)
		if err == nil {
			err = unix.Fdatasync(int(a.file.Fd()))
		}
		g.err = err
		a.spare = g.data
		close(g.done)
	}
}

// stop lets run end; append refuses from now on.
func (a *appender) stop() {
	a.mu.Lock()
	a.stopped = true
	a.wake.Broadcast()
	a.mu.Unlock()
}
