package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"firth/test/rig"
)

// saysWhileAccepting waits until some component that is not ok has every one of the words, while /readyz says 200: writes are
// accepted whatever the child does.
func saysWhileAccepting(t *testing.T, s *rig.Server, words ...string) {
	t.Helper()
	s.SaysInReady(time.Minute, words...)
	if err := s.Accepts(); err != nil {
		t.Error(err)
	}
}

func TestCollectGoesOnWhileTheChildIsStopped(t *testing.T) {
	s := rig.New(t, config)
	s.Start()
	l := rig.NewLoad(s, "crash", "crash-key", 1, 0)
	l.Send(10)
	l.Settle(patience)
	child := s.ChildPID()
	if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.Send(10)
	saysWhileAccepting(t, s, "does not answer")
	l.Send(10)
	if err := syscall.Kill(child, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l.Settle(patience)
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
	l := rig.NewLoad(s, "crash", "crash-key", 1, 0)
	l.Send(10)
	s.Eventually(time.Minute, "a child", func() error {
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
	l.Settle(patience)
}

func TestLockedWarehouse(t *testing.T) {
	s := rig.New(t, config)
	path := filepath.Join(s.Data, "warehouse.duckdb")
	s.Start()
	l := rig.NewLoad(s, "crash", "crash-key", 1, 0)
	l.Send(10)
	l.Settle(patience)
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
	l.Send(10)
	saysWhileAccepting(t, s, "warehouse.duckdb", "lock", "process")
	if _, err := s.SQL("SELECT 1"); err == nil {
		t.Error("SQL was answered although the warehouse is locked")
	}
	f.Close()
	l.Settle(patience)
}

func TestCorruptWarehouse(t *testing.T) {
	s := rig.New(t, config)
	path := filepath.Join(s.Data, "warehouse.duckdb")
	s.Start()
	l := rig.NewLoad(s, "crash", "crash-key", 1, 0)
	l.Send(10)
	l.Settle(patience)
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
	l.Send(10)
	saysWhileAccepting(t, s, "warehouse.duckdb", "move the file away")
	// What the hint says, done while the server runs.
	if err := os.Rename(path, path+".broken"); err != nil {
		t.Fatal(err)
	}
	l.Settle(patience)
}
