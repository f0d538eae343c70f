package warehouse

import (
	"database/sql"
	"fmt"
	"testing"

	"firth/test/rig"
	"firth/test/server"
)

// TestDatabaseDiskFull fills the disk of a database in the middle of a load: the run says that the disk is full and what to do, and when
// there is room every row is there once. The other warehouse has everything all the while.
func TestDatabaseDiskFull(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	name, disk := pg.SmallDatabase(48)
	user, password := pg.Role(name, "", "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE "+name+" TO %s")
	db, err := sql.Open("pgx", pg.URL("postgres", adminOf(t, pg.Admin), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() }) // the server may be gone
	d := &target{kind: "postgres", url: pg.URL(user, password, name), addr: pg.Addr(), db: db, t: t}
	s := serve(t, d.warehouse("analytics", d.url))
	l := rig.NewLoad(s, "production", "k", 1, 0)
	l.Send(2)
	flushed(s, l)
	if r, err := load(t, s, "analytics"); err != nil || r.State != "success" {
		t.Fatalf("with room: %+v, %v", r, err)
	}
	l.Batch, l.Pad = 10, 20_000 // 4 MB, in the events' tables, which a disk with 1 MB has no room for
	l.Send(20)
	flushed(s, l)
	disk.Fill(1000)
	for range 2 {
		r, err := load(t, s, "analytics")
		if err == nil || r.State == "success" || !says(r, "No space left on device") || !says(r, "make room") {
			t.Errorf("on a full disk: %+v, %v", r, err)
		}
		d.look()
	}
	s.Eventually(patience, "the runs in firth.runs", func() error {
		n, err := s.Count(`SELECT count(*) FROM firth.runs WHERE name = 'analytics' AND state IN ('failure', 'partial') AND error LIKE '%No space left%' AND hint LIKE '%make room%'`)
		if err == nil && n != 2 {
			err = fmt.Errorf("%d runs", n)
		}
		return err
	})
	l.Settle(patience)
	disk.Free()
	if r, err := load(t, s, "analytics"); err != nil || r.State != "success" {
		t.Errorf("with room again: %+v, %v", r, err)
	}
	d.settle(s, l)
	s.Stop()
	d.leavesNothing()
}
