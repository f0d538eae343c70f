package crash

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firth/internal/state"
	"firth/test/rig"
)

// collectGoesOn sends ten batches, each of which must be answered 200 in good time.
func collectGoesOn(t *testing.T, s *rig.Server, l *load) {
	t.Helper()
	for range 10 {
		_, body := l.batch()
		began := time.Now()
		status, text, err := s.Post(t.Context(), "/v1/batch", "crash-key", body)
		if err != nil || status != 200 {
			t.Fatalf("collect answered %d %s %v", status, text, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("collect took %s", took)
		}
		l.acked += 10
	}
}

// readyNames returns /readyz: 200 is a must, because writes are accepted whatever the child does.
func ready(t *testing.T, s *rig.Server) []state.Component {
	t.Helper()
	r, err := http.Get(s.URL + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var body struct {
		Ready      bool
		Components []state.Component
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		t.Fatal(err)
	}
	if r.StatusCode != 200 || !body.Ready {
		t.Fatalf("/readyz: %s, ready %v while writes are accepted", r.Status, body.Ready)
	}
	return body.Components
}

// saysInReady waits until some component that is not ok has every one of the words in its error or hint.
func saysInReady(t *testing.T, s *rig.Server, words ...string) {
	t.Helper()
	s.Eventually(20*time.Second, "/readyz to say what is wrong", func() error {
		components := ready(t, s)
		for _, c := range components {
			text, missing := c.Error+" "+c.Hint, false
			for _, w := range words {
				missing = missing || !strings.Contains(text, w)
			}
			if c.State != state.OK && !missing {
				return nil
			}
		}
		return fmt.Errorf("%+v", components)
	})
}

func TestCollectGoesOnWhileTheChildIsStopped(t *testing.T) {
	s := rig.New(t, config)
	s.Start()
	l := &load{}
	collectGoesOn(t, s, l)
	settle(t, s, l)
	child := s.ChildPID()
	if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	collectGoesOn(t, s, l)
	saysInReady(t, s, "does not answer")
	collectGoesOn(t, s, l)
	if err := syscall.Kill(child, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	settle(t, s, l)
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if err := syscall.Kill(child, 0); err == nil {
		t.Error("the child outlived the server")
	}
}

func TestStopWhileTheChildIsStopped(t *testing.T) {
	s := rig.New(t, config)
	s.Start()
	l := &load{}
	collectGoesOn(t, s, l)
	s.Eventually(20*time.Second, "a child", func() error {
		if s.ChildPID() == 0 {
			return fmt.Errorf("no child")
		}
		return nil
	})
	child := s.ChildPID()
	if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if err := syscall.Kill(child, 0); err == nil {
		t.Error("the child outlived the server")
	}
	s.Start()
	settle(t, s, l)
}

func TestLockedWarehouse(t *testing.T) {
	s := rig.New(t, config)
	path := filepath.Join(s.Dir, "data", "warehouse.duckdb")
	s.Start()
	l := &load{}
	collectGoesOn(t, s, l)
	settle(t, s, l)
	s.Stop()

	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	s.Start()
	collectGoesOn(t, s, l)
	saysInReady(t, s, "warehouse.duckdb", "lock", "process")
	if _, err := s.SQL("SELECT 1"); err == nil {
		t.Error("SQL was answered although the warehouse is locked")
	}
	f.Close()
	settle(t, s, l)
}

func TestCorruptWarehouse(t *testing.T) {
	s := rig.New(t, config)
	path := filepath.Join(s.Dir, "data", "warehouse.duckdb")
	s.Start()
	l := &load{}
	collectGoesOn(t, s, l)
	settle(t, s, l)
	s.Stop()

	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range min(len(b), 64<<10) {
		b[i] ^= 0x5a
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s.Start()
	collectGoesOn(t, s, l)
	saysInReady(t, s, "warehouse.duckdb", "move the file away")
	// What the hint says, done while the server runs.
	if err := os.Rename(path, path+".broken"); err != nil {
		t.Fatal(err)
	}
	settle(t, s, l)
}
