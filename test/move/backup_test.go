package move

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"firth/test/rig"
)

// backUp lets a server back itself up twice under load, and returns the folder and a load that has what was acknowledged
// before the second backup began.
func backUp(t *testing.T, fork func(*rig.Load) *rig.Load) (dir string, at *rig.Load) {
	t.Helper()
	s, l := newServer(t, t.TempDir())
	dir = filepath.Join(t.TempDir(), "backup")
	for range 2 {
		sendFor(l, 1500*time.Millisecond)
		at = fork(l)
		l.Start()
		time.Sleep(200 * time.Millisecond)
		out, err := s.Run("lake", "backup", dir)
		l.Stop()
		if err != nil {
			t.Fatal(err)
		}
		t.Log(out)
	}
	l.Settle(patience) // the backup has not disturbed what it was taken from
	s.Stop()
	sound(t, s)
	return dir, at
}

// holds waits until a relation has at least what a load was acknowledged; whatever it has must be a beginning, each event once.
func holds(t *testing.T, s *rig.Server, l *rig.Load, relations ...string) {
	t.Helper()
	for _, relation := range relations {
		s.Eventually(patience, relation+" to have what the backup had", func() error {
			seen, err := l.See(relation)
			if err != nil {
				return err
			}
			for name, want := range l.AckedBy() {
				if seen[name].Rows < want {
					return fmt.Errorf("%d rows of %s, and %d were acknowledged before the backup", seen[name].Rows, name, want)
				}
			}
			return nil
		})
	}
}

// goOn lets senders go on from what was acknowledged before the backup. What that has beyond comes a second time, all of it, and something new.
func goOn(t *testing.T, l *rig.Load) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		seen, err := l.See(rig.Lake)
		if err != nil {
			t.Fatal(err)
		}
		sendFor(l, time.Second)
		behind := ""
		for name, n := range l.AckedBy() {
			if n <= seen[name].Rows {
				behind = fmt.Sprintf("sender %s has sent %d events, the backup had %d of it", name, n, seen[name].Rows)
			}
		}
		if behind == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(behind)
		}
	}
}

// TestRestoreIntoAFreshFolder restores where nothing runs and starts then.
func TestRestoreIntoAFreshFolder(t *testing.T) {
	t.Parallel()
	s := rig.NewAt(t, filepath.Join(t.TempDir(), "fresh"), source+rig.Tending)
	dir, l := backUp(t, func(l *rig.Load) *rig.Load { return l.Fork(s) })
	for range 2 { // a second time changes nothing
		out, err := s.Run("lake", "restore", dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(out)
	}
	s.Start()
	holds(t, s, l, rig.Lake, rig.Tracks, rig.Events)
	goOn(t, l)
	l.Settle(patience)
	s.Stop()
	sound(t, s)
	s.Start()
	l.Settle(patience)
}

// TestRestoreOntoItself restores into the server that the backup is of, which has merged and swept since: it has everything
// already, if in other files.
func TestRestoreOntoItself(t *testing.T) {
	t.Parallel()
	s, l := newServer(t, t.TempDir())
	sendFor(l, 2*time.Second)
	dir := filepath.Join(t.TempDir(), "backup")
	if _, err := s.Run("lake", "backup", dir); err != nil {
		t.Fatal(err)
	}
	l.Start()
	for range 2 {
		if _, err := s.Run("lake", "merge"); err != nil {
			t.Fatal(err)
		}
		out, err := s.Run("lake", "restore", dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(out)
		if _, err := l.See(rig.Lake); err != nil {
			t.Error(err)
		}
	}
	l.Stop()
	l.Settle(patience)
	s.Stop()
	sound(t, s)
}

// TestRestoreBesideAServer restores into a server that runs and takes other events meanwhile.
func TestRestoreBesideAServer(t *testing.T) {
	t.Parallel()
	s := rig.NewAt(t, filepath.Join(t.TempDir(), "running"), source+rig.Tending)
	dir, l := backUp(t, func(l *rig.Load) *rig.Load { return l.Fork(s) })
	s.Start()
	other := rig.NewNamedLoad(s, "other", "move", "move-key", 2, 3)
	other.Resend = 0.1
	other.Start()
	time.Sleep(time.Second)
	for range 2 {
		out, err := s.Run("lake", "restore", dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(out)
	}
	holds(t, s, l, rig.Lake)
	goOn(t, l)
	other.Stop()
	l.Settle(patience)
	other.Settle(patience)
	s.Stop()
	sound(t, s)
}
