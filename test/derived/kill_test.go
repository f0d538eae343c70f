package derived

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"firth/test/audit"
	"firth/test/rig"
)

// made is how often tables were made, as far as that is known: a kill takes the history of the last minute with it.
func made(s *rig.Server) (int, error) {
	return s.Count("SELECT count(*) FROM firth.runs WHERE kind = 'derive' AND state = 'success'")
}

// strike kills the server or its answering half, at any moment. A server that was killed is started when beside has ended: a command that
// finds no server takes the folder for itself.
func strike(t *testing.T, s *rig.Server, random *rand.Rand, beside <-chan struct{}) {
	t.Helper()
	time.Sleep(time.Duration(random.IntN(2500)) * time.Millisecond)
	if random.IntN(2) == 0 {
		s.Kill()
		<-beside
		s.Start()
	} else if pid := s.ChildPID(); pid > 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

// forget takes a person out, with a kill meanwhile, and returns how many events the person had.
func forget(t *testing.T, s *rig.Server, random *rand.Rand) int {
	t.Helper()
	n, err := s.Count("SELECT count(*) FROM lake.production WHERE user_id = 'user-3'")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = s.Run("lake", "purge", "--user", "user-3", "--grace", "0s") // the server goes away under it
	}()
	strike(t, s, random, ended)
	<-ended
	if out, err := s.Run("lake", "purge", "--user", "user-3", "--grace", "0s"); err != nil {
		t.Fatalf("purge: %v\n%s", err, out)
	}
	return n
}

// TestKillsWhileTablesAreMade kills both halves at random while tables are merged every second and a person is taken out: whenever somebody
// answers the tables are what their statements give over all events, and no file is left that nothing names.
func TestKillsWhileTablesAreMade(t *testing.T) {
	config := strings.ReplaceAll(example(t), "      every: 10m\n", "")
	s := rig.New(t, strings.ReplaceAll(config, "      from: production\n", "      from: production\n      every: 1s\n"))
	s.Start()
	random := rand.New(rand.NewPCG(rig.Seed(t), 0))
	const batch = 40
	sent, gone, most := 0, 0, 0 // events, of which some were taken out; tables that were made
	nothing := make(chan struct{})
	close(nothing)
	answers := func(at string) {
		t.Helper()
		s.Eventually(patience, "the tables with what came, "+at, func() error {
			n, err := s.Count("SELECT count(*) FROM lake.production")
			if err == nil && n != sent-gone {
				err = fmt.Errorf("%d events, want %d", n, sent-gone)
			}
			if err != nil {
				return err
			}
			return same(s)
		})
	}
	for round := 0; round < rig.Rounds(3) || most == 0 && round < 4*rig.Rounds(3); round++ {
		send(t, s, sent, batch)
		sent += batch
		strike(t, s, random, nothing)
		answers(fmt.Sprintf("round %d", round))
		n, err := made(s)
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, n)
	}
	if most == 0 {
		t.Error("no table was made between the kills")
	}
	gone = forget(t, s, random)
	answers("after the purge")
	for name := range plain {
		if n, err := s.Count("SELECT count(*) FROM lake." + name + " WHERE user_id = 'user-3'"); err != nil || n != 0 {
			t.Errorf("%s has %d rows of the person, %v", name, n, err)
		}
	}
	s.Eventually(patience, "the sweeper to remove what nothing names", func() error {
		found, err := audit.Read(t.Context(), s.Data)
		if err == nil && len(found.Orphans)+len(found.Missing) > 0 {
			err = fmt.Errorf("%s; orphans %v, missing %v", found, found.Orphans, found.Missing)
		}
		return err
	})
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
