// Package disk fills the disk of the real server to the last byte, on a small file system made for the test, frees it, and counts.
package disk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"firth/test/audit"
	"firth/test/rig"
)

// The journal's budget is larger than the disk, so that the disk is what ends.
const config = `
sources:
  disk: { write_key: disk-key }
journal: { max_bytes: 10GB }
` + rig.Tending

// patience is how long healing may take: the slowest to try again is the loader, every 30 s at most.
const patience = 90 * time.Second

func newServer(t *testing.T, v *volume) (*rig.Server, *rig.Load) {
	t.Helper()
	s := rig.NewAt(t, filepath.Join(v.dir, "data"), config)
	s.Start()
	l := rig.NewLoad(s, "disk", "disk-key", 4, rig.Seed(t))
	l.Batch, l.Resend, l.Pad, l.Pause = 50, 0.05, 400, 5*time.Millisecond
	return s, l
}

// rounds is a tenth of FIRTH_CRASH_ROUNDS, or the short form.
func rounds(short int) int {
	if n, err := strconv.Atoi(os.Getenv("FIRTH_CRASH_ROUNDS")); err == nil && n/10 > short {
		return n / 10
	}
	return short
}

// refuses waits until the server refuses writes, and checks that it says so as it should.
func refuses(t *testing.T, s *rig.Server, l *rig.Load, logged int) {
	t.Helper()
	before := l.Refused.Load()
	s.Eventually(patience, "writes to be refused with 503", func() error {
		if n := l.Refused.Load(); n == before {
			return fmt.Errorf("%d refused", n-before)
		}
		return nil
	})
	s.SaysInReady(time.Minute, "free", "room on the disk")
	if status, components, err := s.Ready(); err != nil || status != http.StatusServiceUnavailable {
		t.Errorf("/readyz while writes are refused: %d %+v %v", status, components, err)
	}
	s.Eventually(time.Minute, "the log to say that the disk is full", func() error {
		for line := range strings.Lines(s.Log(logged)) {
			if strings.Contains(line, "room on the disk") {
				return nil
			}
		}
		return fmt.Errorf("%s", s.Log(logged))
	})
}

// heals waits until writes are taken again.
func heals(s *rig.Server, l *rig.Load) {
	before := l.Acked()
	s.Eventually(patience, "the server to accept writes again", func() error {
		if err := s.Accepts(); err != nil {
			return err
		}
		if l.Acked() == before {
			return fmt.Errorf("nothing more was acknowledged: %d", before)
		}
		return nil
	})
}

// end stops the load, and the server; all is there, also after another start.
func end(t *testing.T, s *rig.Server, l *rig.Load) {
	t.Helper()
	l.Stop()
	l.Settle(patience)
	t.Logf("%d events acknowledged, %d batches refused, %d sent twice", l.Acked(), l.Refused.Load(), l.Resent.Load())
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.Start()
	l.Settle(patience)
}

// TestFullUnderLoad fills the disk at random moments, whatever the server is at: a flush, a load, a merge, a sweep.
func TestFullUnderLoad(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 400)
	s, l := newServer(t, v)
	random := rand.New(rand.NewPCG(rig.Seed(t), 0))
	l.Start()
	for range rounds(2) {
		time.Sleep(time.Duration(500+random.IntN(1500)) * time.Millisecond)
		logged := len(s.Log(0))
		v.fill()
		refuses(t, s, l, logged)
		time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
		v.empty()
		heals(s, l)
	}
	s.Eventually(patience, "a merge", func() error {
		n, err := s.Metric("firth_merges_total")
		if err == nil && n == 0 {
			err = errors.New("none")
		}
		return err
	})
	end(t, s, l)
	s.Eventually(patience, "the sweeper to remove what the full disk left", func() error {
		found, err := audit.Read(t.Context(), s.Data)
		if err == nil && len(found.Orphans)+len(found.Missing) > 0 {
			err = fmt.Errorf("%s; orphans %v, missing %v", found, found.Orphans, found.Missing)
		}
		return err
	})
}

// TestGrownDisk: no filler, the events themselves fill the disk; then it grows.
func TestGrownDisk(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 100)
	s, l := newServer(t, v)
	l.Pad = 4000
	logged := len(s.Log(0))
	l.Start()
	refuses(t, s, l, logged)
	// What is kept free is for the lake: all that was acknowledged reaches it although no more is accepted.
	s.Eventually(patience, "the lake to have what was acknowledged", func() error {
		n, err := s.Count(`SELECT count(*) FROM lake.disk`)
		if err == nil && n < l.Acked() {
			err = fmt.Errorf("%d of %d", n, l.Acked())
		}
		return err
	})
	v.grow(600)
	heals(s, l)
	end(t, s, l)
}

// TestFullWhileLoading: the last byte goes while the answering half has a backlog to load. Collecting has its own reserve, and
// is refused as well, since the disk is one; the answering half says so and goes on by itself.
func TestFullWhileLoading(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 400)
	s, l := newServer(t, v)
	l.Start()
	s.Eventually(patience, "a child", func() error {
		_, err := s.Count(`SELECT count(*) FROM disk.tracks`)
		return err
	})
	child := s.ChildPID()
	if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	v.fill()
	if err := syscall.Kill(child, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	loaderSays(s)
	v.empty()
	heals(s, l)
	end(t, s, l)
}

// loaderSays waits until the answering half says that the disk is full.
func loaderSays(s *rig.Server) {
	s.Eventually(patience, "the answering half to say that the disk is full", func() error {
		_, components, err := s.Ready()
		if err != nil {
			return err
		}
		for _, c := range components {
			if (strings.HasPrefix(c.Name, "load") || c.Name == "warehouse") && c.State == "failed" && strings.Contains(c.Hint, "room on the disk") {
				return nil
			}
		}
		return fmt.Errorf("%+v", components)
	})
}

// TestStartOnAFullDisk: a server that is started while not a byte is left waits or ends with an error in words; with room,
// it runs, and has everything.
func TestStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 400)
	s, l := newServer(t, v)
	l.Start()
	time.Sleep(2 * time.Second)
	s.Kill()
	v.fill()
	logged := len(s.Log(0))
	s.Launch()
	if code, ended := s.Wait(5 * time.Second); ended {
		saysWhy(t, code, s.Log(logged))
		v.empty()
		s.Start()
	} else {
		refuses(t, s, l, logged)
		v.empty()
	}
	heals(s, l)
	end(t, s, l)
}

// saysWhy checks the last words of a server that a full disk kept from starting; whoever started it starts it again.
func saysWhy(t *testing.T, code int, text string) {
	t.Helper()
	t.Logf("it ended with exit code %d: %s", code, text)
	if code != 1 || !strings.Contains(text, "no space left") && !strings.Contains(text, "disk is full") || !strings.Contains(text, "room") {
		t.Error("it did not say that the disk is full and what to do")
	}
}

// TestKilledOnAFullDisk: both halves are killed while the disk is full, and started again on it.
func TestKilledOnAFullDisk(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 400)
	s, l := newServer(t, v)
	l.Start()
	time.Sleep(2 * time.Second)
	v.fill()
	if pid := s.ChildPID(); pid > 0 {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
	}
	time.Sleep(time.Second)
	s.Kill()
	v.fill() // what the two held open is free now
	logged := len(s.Log(0))
	s.Launch()
	code, ended := s.Wait(3 * time.Second)
	if ended {
		saysWhy(t, code, s.Log(logged))
	}
	v.empty()
	if ended {
		s.Start()
	}
	heals(s, l)
	end(t, s, l)
}
