// Package move moves, copies, backs up and restores the data folder of the real server, and counts.
package move

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"firth/test/audit"
	"firth/test/rig"
)

const source = `
sources:
  move: { write_key: move-key }
`

const patience = time.Minute

func newServer(t *testing.T, dir string) (*rig.Server, *rig.Load) {
	t.Helper()
	s := rig.NewAt(t, filepath.Join(dir, "data"), source+rig.Tending)
	s.Start()
	l := rig.NewLoad(s, "move", "move-key", 4, 1)
	// Many are sent a second time, long after the first and after whatever happened to the folder in between.
	l.Resend, l.Pause = 0.3, 5*time.Millisecond
	return s, l
}

// sendFor runs the load for some time.
func sendFor(l *rig.Load, d time.Duration) {
	l.Start()
	time.Sleep(d)
	l.Stop()
}

// sound checks that every file that the tables name is there, and lies in the folder of the tables.
func sound(t *testing.T, s *rig.Server) {
	t.Helper()
	var found *audit.Lake
	s.Eventually(patience, "the lake to name what is there", func() (err error) {
		if found, err = audit.Read(t.Context(), s.Data); err == nil && len(found.Missing) > 0 {
			err = fmt.Errorf("%s: %v", found, found.Missing)
		}
		return err
	})
	t.Log(found)
}

// TestMovedFolder: stopped, moved, started. Also where the server was killed, so that journal and window hold more than the lake.
func TestMovedFolder(t *testing.T) {
	for _, how := range []string{"stopped", "killed"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			s, l := newServer(t, t.TempDir())
			sendFor(l, 2*time.Second)
			if how == "stopped" {
				l.Settle(patience)
				s.Stop()
			} else {
				s.Kill()
			}
			to := filepath.Join(t.TempDir(), "another place", "data")
			if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(s.Data, to); err != nil {
				t.Fatal(err)
			}
			s.Configure(to, source+rig.Tending)
			s.Start()
			l.Settle(patience)
			sendFor(l, 2*time.Second)
			l.Settle(patience)
			if l.Resent.Load() == 0 {
				t.Error("nothing was sent twice")
			}
			s.Stop()
			sound(t, s)
			s.Start()
			l.Settle(patience)
		})
	}
}

// TestCopiedFolder: the copy and the original go on side by side, each on its own files; neither sweeps or reads the other's.
func TestCopiedFolder(t *testing.T) {
	for _, original := range []string{"goes on", "is deleted"} {
		t.Run(original, func(t *testing.T) {
			t.Parallel()
			s, l := newServer(t, t.TempDir())
			sendFor(l, 2*time.Second)
			s.Stop()
			to := filepath.Join(t.TempDir(), "copy")
			if out, err := exec.Command("cp", "-a", s.Data, to).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			other := rig.NewAt(t, to, source+rig.Tending)
			fork := l.Fork(other)
			if original == "is deleted" {
				if err := os.RemoveAll(s.Data); err != nil {
					t.Fatal(err)
				}
			} else {
				s.Start()
				sendFor(l, 2*time.Second)
			}
			other.Start()
			fork.Settle(patience)
			sendFor(fork, 3*time.Second)
			fork.Settle(patience)
			other.Stop()
			sound(t, other)
			if original == "goes on" {
				l.Settle(patience)
				s.Stop()
				sound(t, s)
			}
		})
	}
}
