package warehouse

import (
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

// newLoad is a load that several senders send, now and then a batch twice; in the short form with pauses, since what they send has to be
// loaded before a test can end.
func newLoad(s *rig.Server, seed uint64) *rig.Load {
	l := rig.NewLoad(s, "production", "k", 3, seed)
	l.Resend, l.Pause, l.Batch = 0.1, 50*time.Millisecond, 20
	if os.Getenv("FIRTH_CRASH_ROUNDS") != "" {
		l.Pause = 10 * time.Millisecond
	}
	return l
}

// TestKillWhileLoading kills the server, its child or both at random moments while PostgreSQL, MariaDB and the embedded warehouse are
// loaded: in the end each has every event that was acknowledged once, at no moment a reader sees one twice or out of order, and no
// staging table is left.
func TestKillWhileLoading(t *testing.T) {
	t.Parallel()
	targets := []*target{postgres(t, "15"), mariaDB(t, "11.4")}
	s := serve(t, targets[0].warehouse("analytics", targets[0].url, "every: 1s"), targets[1].warehouse("shop", targets[1].url, "every: 1s"))
	seed := rig.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	l := newLoad(s, seed)
	l.Start()
	for range rig.Rounds(4) {
		time.Sleep(time.Duration(200+random.IntN(2500)) * time.Millisecond)
		switch random.IntN(4) {
		case 0:
			s.Kill()
			s.Start()
		case 1: // both at once
			killChild(t, s)
			s.Kill()
			s.Start()
		default:
			killChild(t, s)
		}
		for _, d := range targets {
			d.look()
		}
		if t.Failed() {
			break
		}
	}
	l.Stop()
	t.Logf("%d events acknowledged, %d sent twice", l.Acked(), l.Resent.Load())
	for _, d := range targets {
		d.settle(s, l)
	}
	l.Settle(patience)
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, d := range targets {
		d.leavesNothing()
	}
}

func killChild(t *testing.T, s *rig.Server) {
	t.Helper()
	if pid := s.ChildPID(); pid > 0 {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

// TestConnectionCut cuts the connection to the database after so many bytes of a load, for many such numbers from the first to the last
// byte: the load fails or not, and the next one brings what is missing, and nothing twice.
func TestConnectionCut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *target) {
		proxy := server.Fault(t, d.addr)
		s := serve(t, d.warehouse("analytics", d.via(proxy)))
		l := rig.NewLoad(s, "production", "k", 1, 0)
		l.Batch = 30
		l.Send(1)
		flushed(s, l)
		if _, err := load(t, s, "analytics"); err != nil {
			t.Fatal(err)
		}
		before := proxy.Sent()
		l.Send(1)
		flushed(s, l)
		if _, err := load(t, s, "analytics"); err != nil {
			t.Fatal(err)
		}
		bytes := proxy.Sent() - before
		many := rig.Rounds(5)
		failed := 0
		for i := range many {
			l.Send(1)
			flushed(s, l)
			proxy.CutAfter(bytes * int64(i) / int64(many-1))
			r, err := load(t, s, "analytics")
			if err != nil {
				failed++
			}
			proxy.CutAfter(-1)
			if again, err := load(t, s, "analytics"); err != nil || again.State != "success" {
				t.Fatalf("after a cut in byte %d of %d (%+v), the next load: %+v, %v", bytes*int64(i)/int64(many-1), bytes, r, again, err)
			}
			if _, err := d.settled(l, rig.Tracks); err != nil {
				t.Fatal(err)
			}
			if _, err := d.settled(l, rig.Events); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d cuts in %d loads of %d bytes, %d loads failed", proxy.Cuts(), many, bytes, failed)
		if proxy.Cuts() < int64(many/2) || failed < max(1, many/4) {
			t.Error("the cuts did not meet the loads")
		}
		s.Stop()
		d.leavesNothing()
	})
}

// TestFirstLoadCut is TestConnectionCut for the load that makes the bookkeeping and the tables, each time in an empty database, and each
// time by a process of its own.
func TestFirstLoadCut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *target) {
		proxy := server.Fault(t, d.addr)
		s := serve(t, d.warehouse("analytics", d.via(proxy)))
		l := rig.NewLoad(s, "production", "k", 1, 0)
		l.Send(3)
		flushed(s, l)
		s.Stop()
		bytes, many, failed := int64(0), max(4, rig.Rounds(4)/2), 0
		for i := range many {
			cut := bytes * int64(i) / int64(many)
			if i > 0 { // the first one is whole, and shows how many bytes a load takes
				d.emptied()
				proxy.CutAfter(cut)
				if _, err := load(t, s, "analytics"); err != nil {
					failed++
				}
				proxy.CutAfter(-1)
			}
			before := proxy.Sent()
			if r, err := load(t, s, "analytics"); err != nil || r.State != "success" {
				t.Fatalf("after a cut in byte %d of %d, the next load: %+v, %v", cut, bytes, r, err)
			}
			if i == 0 {
				bytes = proxy.Sent() - before
			}
			for _, relation := range []string{rig.Tracks, rig.Events} {
				if _, err := d.settled(l, relation); err != nil {
					t.Fatal(err)
				}
			}
			d.leavesNothing()
		}
		t.Logf("%d cuts in %d loads of %d bytes, %d loads failed", proxy.Cuts(), many-1, bytes, failed)
		if failed < many/2 {
			t.Error("the cuts did not meet the loads")
		}
	})
}

// emptied drops what is loaded, and the bookkeeping.
func (d *target) emptied() {
	d.t.Helper()
	for _, schema := range []string{"production", "_firth"} {
		if d.kind == "mysql" {
			d.exec("DROP DATABASE IF EXISTS " + schema)
		} else {
			d.exec("DROP SCHEMA IF EXISTS " + schema + " CASCADE")
		}
	}
}

// TestDatabaseRestarts crashes the databases' servers in the middle of loads, one after the other, lets each be away for a while, and
// starts it again.
func TestDatabaseRestarts(t *testing.T) {
	t.Parallel()
	targets := []*target{onPostgres(t, server.OwnPostgres(t, "15")), mariaDB(t, "11.4")}
	s := serve(t, targets[0].warehouse("analytics", targets[0].url, "every: 1s"), targets[1].warehouse("shop", targets[1].url, "every: 1s"))
	seed := rig.Seed(t)
	random := rand.New(rand.NewPCG(seed, 0))
	l := newLoad(s, seed)
	l.Start()
	for _, d := range targets {
		s.Eventually(patience, "the first rows", func() error { return d.some(rig.Tracks) })
	}
	for range max(2, rig.Rounds(2)/10) {
		for _, d := range targets {
			time.Sleep(time.Duration(random.IntN(1500)) * time.Millisecond)
			d.stop()
			time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
			if err := s.Accepts(); err != nil {
				t.Errorf("while the database is down: %v", err)
			}
			d.start()
			d.look()
		}
	}
	l.Stop()
	for _, d := range targets {
		d.settle(s, l)
	}
	s.Stop()
	for _, d := range targets {
		d.leavesNothing()
	}
}

// some returns nil when a relation has rows.
func (d *target) some(relation string) error {
	seen, err := d.see(relation)
	if err == nil && len(seen) == 0 {
		err = errors.New("no rows")
	}
	return err
}
