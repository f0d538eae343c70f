package warehouse

import (
	"fmt"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

// TestOneDown refuses connections to two warehouses while another and the embedded one go on and events are accepted; back, they catch up
// in order, without anybody's doing.
func TestOneDown(t *testing.T) {
	t.Parallel()
	well := postgres(t, "18")
	down := map[string]*target{"bad": postgres(t, "15"), "worse": mariaDB(t, "11.4")}
	warehouses := []string{well.warehouse("good", well.url, "every: 1s")}
	var proxies []*server.Proxy
	for name, d := range down {
		proxy := server.Fault(t, d.addr)
		proxies = append(proxies, proxy)
		warehouses = append(warehouses, d.warehouse(name, d.via(proxy), "every: 1s"))
	}
	refuse := func(refuse bool) {
		for _, p := range proxies {
			p.Refuse(refuse)
		}
	}
	s := serve(t, warehouses...)
	l := newLoad(s, 1)
	l.Start()
	for _, d := range down {
		s.Eventually(patience, "the first rows", func() error { return d.some(rig.Events) })
	}
	refuse(true)
	for name := range down {
		s.Eventually(patience, "a failed run in firth.runs that says why", func() error {
			n, err := s.Count(`SELECT count(*) FROM firth.runs WHERE name = $1 AND state = 'failure' AND error LIKE '%refused%' AND hint <> ''`, name)
			if err == nil && n == 0 {
				err = fmt.Errorf("no such run")
			}
			return err
		})
	}
	if err := s.Accepts(); err != nil {
		t.Error(err)
	}
	l.Stop()
	well.settle(s, l)
	l.Settle(patience)
	for name, d := range down {
		if _, err := d.settled(l, rig.Tracks); err == nil {
			t.Errorf("the warehouse %s, that refuses, has everything", name)
		}
	}
	refuse(false)
	for _, d := range down {
		for start := time.Now(); time.Since(start) < patience; time.Sleep(50 * time.Millisecond) {
			d.look() // what it has is a beginning of what was sent at every moment
			if _, err := d.settled(l, rig.Tracks); err == nil || t.Failed() {
				break
			}
		}
		d.settle(s, l)
	}
	s.Stop()
	for _, d := range down {
		d.leavesNothing()
	}
}

// TestSlowOne stalls the network to one warehouse: the connection lives, and nothing comes through. The other is loaded, stopping the
// server takes no longer than it may, and when the network is back everything arrives.
func TestSlowOne(t *testing.T) {
	t.Parallel()
	d, well := postgres(t, "15"), postgres(t, "18")
	proxy := server.Fault(t, d.addr)
	s := serve(t, d.warehouse("bad", d.via(proxy), "every: 1s"), well.warehouse("good", well.url, "every: 1s"))
	l := newLoad(s, 1)
	l.Start()
	s.Eventually(patience, "the first rows", func() error { return d.some(rig.Events) })
	proxy.Stall(true)
	time.Sleep(2 * time.Second) // a load is under way by then
	l.Stop()
	well.settle(s, l)
	start := time.Now()
	if code := s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("the server took %s to stop beside a warehouse that does not answer", took)
	}
	proxy.Stall(false)
	s.Start()
	d.settle(s, l)
}

// TestChangesBetweenFailureAndRetry: between a load that fails in the middle and the next one, events bring new columns and wider types,
// and the warehouse's owner adds, drops and indexes: the next load brings everything, and says what it made again.
func TestChangesBetweenFailureAndRetry(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *target) {
		proxy := server.Fault(t, d.addr)
		s := serve(t, d.warehouse("analytics", d.via(proxy)))
		l := rig.NewLoad(s, "production", "k", 1, 0)
		var bytes int64
		for range 2 { // the first load makes the tables, the second shows how many bytes a load takes
			l.Send(3)
			flushed(s, l)
			before := proxy.Sent()
			if _, err := load(t, s, "analytics"); err != nil {
				t.Fatal(err)
			}
			bytes = proxy.Sent() - before
		}
		l.Send(3)
		send(t, s, `{"type":"identify","messageId":"i1","userId":"ada","traits":{"age":36}}`)
		flushed(s, l)
		proxy.CutAfter(bytes * 2 / 3)
		r, err := load(t, s, "analytics")
		if err == nil || r.Error == "" {
			t.Fatalf("a load that was cut off: %+v, %v", r, err)
		}
		send(t, s,
			`{"type":"track","event":"Thing 0","messageId":"new1","userId":"ada","properties":{"n":1.5,"colour":"red"}}`,
			`{"type":"identify","messageId":"i2","userId":"ada","traits":{"age":36.5,"city":"Rome"}}`)
		d.exec("ALTER TABLE production.thing_0 ADD COLUMN note varchar(20) DEFAULT 'mine'")
		d.exec("CREATE INDEX mine ON production.tracks (original_timestamp)")
		d.exec("ALTER TABLE production.thing_1 DROP COLUMN ratio")
		d.exec("DROP TABLE production.thing_2")
		s.Eventually(patience, "the lake", func() error {
			n, err := s.Count("SELECT count(*) FROM lake.production WHERE message_id IN ('new1', 'i2')")
			if err == nil && n != 2 {
				err = fmt.Errorf("%d calls", n)
			}
			return err
		})
		r, err = load(t, s, "analytics")
		if err != nil || r.State != "success" {
			t.Fatalf("the load after that: %+v, %v", r, err)
		}
		for _, word := range []string{"ratio", "thing_2"} {
			if !speaks(r, word) {
				t.Errorf("no notice speaks of %s: %q", word, r.Notices)
			}
		}
		d.arrives(s, "SELECT n, colour, note FROM production.thing_0 WHERE id = 'new1'", []string{"1.5", "red", "mine"})
		d.arrives(s, "SELECT age, city FROM production.users", []string{"36.5", "Rome"})
		d.arrives(s, "SELECT count(*), count(DISTINCT id) FROM production.tracks", []string{"91", "91"})
		d.arrives(s, "SELECT count(*), count(DISTINCT id), count(ratio) > 0 FROM production.thing_1", []string{"13", "13", truth[d.kind]})
		// What was in the dropped table is in the lake, and comes back.
		if _, err := load(t, s, "analytics", "--rebuild", "--tables", "thing_1,thing_2"); err != nil {
			t.Fatal(err)
		}
		d.arrives(s, "SELECT count(*), count(DISTINCT id), count(ratio) FROM production.thing_1", []string{"13", "13", "13"})
		d.arrives(s, "SELECT count(*), count(DISTINCT id) FROM production.thing_2", []string{"13", "13"})
		s.Stop()
		d.leavesNothing()
	})
}

// truth is how a true comparison reads.
var truth = map[string]string{"postgres": "true", "mysql": "1"}

// TestFreshDatabase: a database that its owner emptied, or made anew, gets everything again.
func TestFreshDatabase(t *testing.T) {
	t.Parallel()
	d := postgres(t, "15")
	s := serve(t, d.warehouse("analytics", d.url, "every: 1s"))
	l := newLoad(s, 1)
	l.Send(10)
	d.settle(s, l)
	s.Stop()
	d.exec("DROP SCHEMA production CASCADE")
	d.exec("DROP SCHEMA _firth CASCADE")
	s.Start()
	l.Send(5)
	d.settle(s, l)
}
