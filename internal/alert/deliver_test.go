package alert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"firth/internal/disk"
	"firth/internal/state"
	"firth/internal/warehouse"
)

// A webhook that is down is told of by the state, and gets the newest state of each alert when it is back.
func TestWebhookDown(t *testing.T) {
	e := newEnv(t)
	asked := 0
	e.hook.set(func(w http.ResponseWriter, _ *http.Request) bool {
		asked++
		w.WriteHeader(http.StatusBadGateway)
		return false
	})
	e.run(warehouse.RunFailure)
	e.Sources(map[string]time.Time{"production": start.Add(-25 * time.Hour)})
	e.after(0)
	s := e.State()
	if s.State != state.Degraded || s.Error != "the webhook of alerts answered 502 Bad Gateway" || s.Hint == "" {
		t.Errorf("the state is %+v", s)
	}
	for range 3 * 60 * 60 {
		e.after(time.Second)
	}
	if asked > 50 || asked < 20 {
		t.Errorf("in three hours it was asked %d times", asked)
	}
	if s := e.State(); s.State != state.Degraded {
		t.Errorf("between two tries the state is %+v", s)
	}
	e.run(warehouse.RunSuccess) // which is well again before anybody heard of it
	e.after(time.Hour)
	e.hook.set(nil)
	e.after(longestPause)
	e.want("run_failed main resolved", "source_quiet production firing")
	if s := e.State(); s.State != state.OK || s.Error != "" {
		t.Errorf("the state is %+v", s)
	}
	// Resolved and begun anew while it was down: it knows that already.
	e.hook.set(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(500); return false })
	e.Sources(map[string]time.Time{"production": e.clock()})
	e.after(2 * time.Hour)
	e.Sources(map[string]time.Time{"production": e.clock().Add(-25 * time.Hour)})
	e.after(time.Hour)
	e.hook.set(nil)
	e.after(longestPause)
	e.want()
}

func TestWebhookAsksToWait(t *testing.T) {
	e := newEnv(t)
	e.hook.set(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "90")
		w.WriteHeader(http.StatusTooManyRequests)
		return false
	})
	e.run(warehouse.RunFailure)
	e.after(0)
	e.hook.set(nil)
	e.after(89 * time.Second)
	e.want()
	e.after(time.Second)
	e.want("run_failed main firing")
}

// A message that is refused does not stand in the way of the others.
func TestOneMessageRefused(t *testing.T) {
	e := newEnv(t)
	refuse := true
	e.hook.set(func(w http.ResponseWriter, _ *http.Request) bool {
		if refuse {
			refuse = false
			w.WriteHeader(http.StatusBadRequest)
			return false
		}
		return true
	})
	e.run(warehouse.RunFailure)
	e.after(time.Millisecond)
	e.Sources(map[string]time.Time{"production": start.Add(-25 * time.Hour)})
	e.after(firstPause)
	e.want("source_quiet production firing", "run_failed main firing")
}

// Whatever goes wrong, nothing of the address is in what people and logs are told, and no other server is asked.
func TestTheAddressIsSecret(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/moved"):
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		case strings.HasPrefix(r.URL.Path, "/cut"):
			panic(http.ErrAbortHandler)
		default:
			http.Error(w, "no such hook: "+r.URL.String(), http.StatusNotFound)
		}
	}))
	defer plain.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ url, want string }{
		"refused":       {"http://quentin:s3cr3t@" + address + "/s3cr3t", "refuses the connection"},
		"no such host":  {"http://s3cr3t.invalid/s3cr3t?key=s3cr3t", "has a host name that cannot be resolved"},
		"not found":     {plain.URL + "/s3cr3t", "answered 404 Not Found"},
		"moved":         {plain.URL + "/moved/s3cr3t", "answered 307 Temporary Redirect"},
		"cut":           {plain.URL + "/cut/s3cr3t", "closed the connection without an answer"},
		"not trusted":   {secure.URL + "/s3cr3t", "has a certificate of an authority that is not trusted"},
		"no TLS":        {strings.Replace(plain.URL, "http:", "https:", 1) + "/s3cr3t", "does not speak TLS"},
		"no address":    {"http://s3cr3t\x7f/", "has no address that can be read"},
		"other scheme":  {"s3cr3t://host/", "could not be told"},
		"broken escape": {"http://host/%zs3cr3t", "has no address that can be read"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.o.Webhook = tt.url
			e.restart()
			e.run(warehouse.RunFailure)
			e.after(0)
			s := e.State()
			if s.State != state.Degraded || s.Error != "the webhook of alerts "+tt.want {
				t.Errorf("%+v, want %s", s, tt.want)
			}
			if e.log.Len() == 0 {
				t.Error("nothing is logged")
			}
			all := fmt.Sprintf("%+v %s", s, e.log)
			for _, secret := range []string{"s3cr3t", address, strings.TrimPrefix(plain.URL, "http://"), "quentin"} {
				if strings.Contains(all, secret) {
					t.Errorf("%q is told: %s", secret, all)
				}
			}
		})
	}
	if elsewhere > 0 {
		t.Errorf("a redirect was followed %d times", elsewhere)
	}
}

// Beside a webhook that does not answer its callers go on, and the end of Run is not held up.
func TestCallersDoNotWait(t *testing.T) {
	e := newEnv(t)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	defer close(release)
	e.hook.set(func(_ http.ResponseWriter, r *http.Request) bool {
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-release:
		}
		return false
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	e.run(warehouse.RunFailure)
	<-asked
	began := time.Now()
	for i := range 10_000 {
		e.RunEnded(warehouse.Run{Kind: "load", Name: fmt.Sprint("warehouse ", i%100), State: warehouse.RunFailure})
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("10,000 calls took %s", took)
	}
	e.Alerter.mu.Lock()
	n := len(e.alerts)
	e.Alerter.mu.Unlock()
	if n != 101 {
		t.Errorf("%d alerts wait, want one of each warehouse", n)
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Run goes on after its end")
	}
}

// Run delivers by itself, by the real clock.
func TestRunDelivers(t *testing.T) {
	e := newEnv(t)
	e.o.Now, e.o.tick = nil, time.Millisecond
	e.restart()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	e.run(warehouse.RunFailure)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if told := e.hook.told(t); len(told) > 0 {
			if told[0] != "run_failed main firing" {
				t.Errorf("told %v", told)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is delivered")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A message that has arrived when Run is told to end is remembered: the next process does not tell it again.
func TestEndWhileAMessageIsOnItsWay(t *testing.T) {
	e := newEnv(t)
	e.o.Now, e.o.tick = nil, time.Millisecond
	e.restart()
	ctx, cancel := context.WithCancel(t.Context())
	e.hook.set(func(http.ResponseWriter, *http.Request) bool {
		cancel()
		time.Sleep(50 * time.Millisecond)
		return true
	})
	e.run(warehouse.RunFailure)
	if err := e.Run(ctx); err != nil {
		t.Fatal(err)
	}
	e.want("run_failed main firing")
	e.restart()
	e.round(t.Context())
	e.want()
}

// fullDisk takes no new file while it is full.
type fullDisk struct {
	disk.FS
	full bool
}

func (f *fullDisk) OpenFile(name string, flag int, perm os.FileMode) (disk.File, error) {
	if f.full && flag&os.O_CREATE != 0 {
		return nil, errors.New("no space left on device")
	}
	return f.FS.OpenFile(name, flag, perm)
}

// Alerts are told although what was told cannot be remembered, and it is remembered as soon as it can be.
func TestStateFileThatCannotBeWritten(t *testing.T) {
	e := newEnv(t)
	full := &fullDisk{FS: disk.OS{}, full: true}
	e.o.FS = full
	e.restart()
	e.run(warehouse.RunFailure)
	e.after(0)
	e.want("run_failed main firing")
	if s := e.State(); s.State != state.Degraded || !strings.Contains(s.Error, "no space left") {
		t.Errorf("the state is %+v", s)
	}
	full.full = false
	e.after(time.Second)
	if s := e.State(); s.State != state.OK {
		t.Errorf("the state is %+v", s)
	}
	e.restart()
	e.run(warehouse.RunFailure)
	e.after(0)
	e.want()
}
