// Package crash kills the real server and its child at random moments under load, and counts.
package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"firth/test/audit"
	"firth/test/rig"
)

const source = `
sources:
  crash: { write_key: crash-key }
`

const config = source + `
lake:
  flush: { every: 200ms }
`

// patience is how long lake and tables may take to have what was acknowledged.
const patience = time.Minute

// TestKillUnderLoad: every event that was answered 200 is in the lake and in the typed tables exactly once, whoever was killed, at
// every moment that a reader looks, while mergers and sweeper are at work. In the end there is no file that nothing names.
func TestKillUnderLoad(t *testing.T) {
	s := rig.New(t, source+rig.Tending)
	s.Start()
	seed := rig.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	l := rig.NewLoad(s, "crash", "crash-key", 4, seed)
	l.Resend, l.Pause = 0.1, 10*time.Millisecond
	l.Start()
	looks := 0
	for round := range rig.Rounds(10) {
		if random.IntN(2) == 0 { // let both halves come to work before the next kill
			waitForLook(t, s, l)
			looks++
		}
		time.Sleep(time.Duration(100+random.IntN(1200)) * time.Millisecond)
		switch random.IntN(5) {
		case 0, 1:
			s.Kill()
			s.Start()
		case 2: // both at once
			killChild(t, s)
			s.Kill()
			s.Start()
		default:
			killChild(t, s)
		}
		if look(t, s, l) {
			looks++
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	l.Stop()
	t.Logf("%d events acknowledged, %d requests without an answer, %d batches refused, %d sent twice; %d looks between the kills",
		l.Acked(), l.Unanswered.Load(), l.Refused.Load(), l.Resent.Load(), looks)
	l.Settle(patience)
	if code := s.Stop(); code != 0 {
		t.Errorf("the last stop ended with exit code %d", code)
	}
	s.Start()
	l.Settle(patience)
	noOrphans(t, s, l)
}

func killChild(t *testing.T, s *rig.Server) {
	t.Helper()
	if pid := s.ChildPID(); pid > 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

// look asks once, where somebody answers; what is answered must be right.
func look(t *testing.T, s *rig.Server, l *rig.Load) bool {
	t.Helper()
	answered := false
	for _, relation := range []string{rig.Lake, rig.Tracks} {
		_, err := l.See(relation)
		if wrong := (*rig.WrongError)(nil); errors.As(err, &wrong) {
			t.Error(err)
		}
		answered = answered || err == nil
	}
	return answered
}

func waitForLook(t *testing.T, s *rig.Server, l *rig.Load) {
	t.Helper()
	s.Eventually(patience, "an answer between two kills", func() error {
		if !look(t, s, l) {
			return errors.New("no answer")
		}
		return nil
	})
}

// noOrphans waits until no file is left in the lake that no table names.
func noOrphans(t *testing.T, s *rig.Server, l *rig.Load) {
	t.Helper()
	var last *audit.Lake
	s.Eventually(patience, "the sweeper to remove what nothing names", func() error {
		found, err := audit.Read(t.Context(), s.Data)
		if err != nil {
			return err // the server goes on merging and expiring while this reads
		}
		last = found
		if len(found.Orphans)+len(found.Missing) > 0 {
			return fmt.Errorf("%s; orphans: %v; missing: %v", found, found.Orphans, found.Missing)
		}
		return nil
	})
	t.Log(last)
	if got := last.Rows["crash"]; got != int64(l.Acked()) {
		t.Errorf("the manifests tell of %d rows, want %d", got, l.Acked())
	}
}
