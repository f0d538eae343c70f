package warehouse

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// segments are tables in the layout of Segment's warehouses, with a view of their owner's.
var segments = []string{
	"CREATE SCHEMA production",
	`CREATE TABLE production.tracks (id varchar(1024), received_at timestamptz, uuid bigint, uuid_ts timestamptz, anonymous_id varchar(1024), context_library_name varchar(1024),
		context_library_version varchar(1024), event varchar(1024), event_text varchar(1024), original_timestamp timestamptz, sent_at timestamptz, "timestamp" timestamptz, user_id varchar(1024))`,
	`CREATE TABLE production.order_completed (id varchar(1024), received_at timestamptz, uuid bigint, uuid_ts timestamptz, event varchar(1024), event_text varchar(1024),
		items integer, original_timestamp timestamptz, paid boolean, placed timestamp, sent_at timestamptz, "timestamp" timestamptz, total numeric(12,2), user_id varchar(1024), voucher varchar(8))`,
	"CREATE TABLE production.users (id varchar(1024), received_at timestamptz, uuid bigint, uuid_ts timestamptz, plan varchar(1024), seats integer)",
	"CREATE VIEW production.revenue AS SELECT user_id, total FROM production.order_completed",
}

// TestTakeover loads into tables that Segment made and filled until a while ago, from a lake that has some of the same calls: each is there
// once, also after a load of everything again, what only Segment had stays, and so do the types and the view.
func TestTakeover(t *testing.T) {
	t.Parallel()
	d := postgres(t, "15")
	s := serve(t, d.warehouse("analytics", d.url))
	order := func(id string) string {
		return fmt.Sprintf(`{"type":"track","event":"Order Completed","messageId":%q,"userId":"ada","properties":{"items":2,"paid":true,"placed":"2026-03-01T10:00:00Z","total":19.99,"voucher":"SPRING"}}`, id)
	}
	lake := func(calls int) {
		t.Helper()
		s.Eventually(patience, "the lake", func() error {
			n, err := s.Count("SELECT count(*) FROM lake.production")
			if err == nil && n != calls {
				err = fmt.Errorf("%d calls", n)
			}
			return err
		})
	}
	send(t, s, order("both1"), order("both2"), order("missed"), `{"type":"identify","messageId":"i1","userId":"ada","traits":{"plan":"team","seats":5}}`)
	lake(4)
	time.Sleep(10 * time.Millisecond) // so that all of these were received before the last row of Segment's
	loader := d.must("SELECT rolname FROM pg_roles WHERE has_database_privilege(rolname, current_database(), 'CREATE') AND NOT rolsuper ORDER BY 1")[0][0]
	for _, statement := range segments {
		d.exec(statement)
	}
	for _, id := range []string{"old", "both1", "both2"} {
		d.exec("INSERT INTO production.tracks (id, received_at, event, event_text, user_id) VALUES ('" + id + "', now(), 'order_completed', 'Order Completed', 'ada')")
		d.exec("INSERT INTO production.order_completed (id, received_at, event, event_text, items, paid, placed, total, user_id) VALUES ('" + id +
			"', now(), 'order_completed', 'Order Completed', 2, true, '2026-03-01 10:00:00', 19.99, 'ada')")
	}
	d.exec("INSERT INTO production.users (id, received_at, plan, seats) VALUES ('ada', now() - interval '1 day', 'free', 1), ('bob', now() - interval '1 day', 'free', 1)")
	for _, statement := range []string{"GRANT USAGE, CREATE ON SCHEMA production TO ", "GRANT ALL PRIVILEGES ON ALL TABLES IN SCHEMA production TO ", "GRANT postgres TO "} {
		d.exec(statement + loader)
	}
	before := d.types()
	send(t, s, order("new"))
	lake(5)
	r, err := load(t, s, "analytics")
	if err != nil || r.State != "success" {
		t.Fatalf("%+v, %v", r, err)
	}
	if says := "order_completed was there already and was taken over"; !speaks(r, says) && !strings.Contains(s.Log(0), says) {
		t.Errorf("nothing says that %s: %+v", says, r)
	}
	for range 2 {
		for _, name := range []string{"tracks", "order_completed"} {
			d.arrives(s, "SELECT id FROM production."+name+" ORDER BY 1", []string{"both1"}, []string{"both2"}, []string{"missed"}, []string{"new"}, []string{"old"})
		}
		d.arrives(s, "SELECT id, items, paid, placed::text, total, voucher FROM production.order_completed WHERE id IN ('missed', 'old') ORDER BY 1",
			[]string{"missed", "2", "true", "2026-03-01 10:00:00", "19.99", "SPRING"}, []string{"old", "2", "true", "2026-03-01 10:00:00", "19.99", "NULL"})
		d.arrives(s, "SELECT id, plan, seats FROM production.users ORDER BY 1", []string{"ada", "team", "5"}, []string{"bob", "free", "1"})
		d.arrives(s, "SELECT count(*), sum(total) FROM production.revenue", []string{"5", "99.95"})
		after := d.types()
		for column, kind := range before {
			if after[column] != kind {
				t.Errorf("the column %s was %s and is %q", column, kind, after[column])
			}
		}
		if r, err := load(t, s, "analytics", "--from", "1h"); err != nil || r.Tables["production.tracks"] != 0 {
			t.Errorf("everything again: %+v, %v", r, err)
		}
	}
}

// types are the types of all columns of the source's tables.
func (d *target) types() map[string]string {
	d.t.Helper()
	out := map[string]string{}
	for _, row := range d.must(`SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE c.relnamespace = 'production'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r'`) {
		out[row[0]] = row[1]
	}
	return out
}
