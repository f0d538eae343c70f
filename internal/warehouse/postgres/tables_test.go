package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/postgres"
	"firth/internal/warehouse/warehousetest"
	"firth/test/server"
)

// short are the behaviours that are tried on the oldest and the newest server; on one between all are.
var short = map[string]bool{
	"create": true, "append": true, "widen": true, "conflict is refused whole": true, "load again": true, "never half": true, "a thousand columns": true, "names": true,
	"odd values": true, "upsert new and known in one batch": true, "a table was dropped": true, "views and indexes": true, "a table of Segment's": true,
	"replay": true, "replay of users": true, "rebuild keeps what people made": true,
}

func TestOtherVersions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"12", "18"} {
		t.Run(version, func(t *testing.T) {
			pg := server.Postgres(t, version)
			warehousetest.Run(t, func(t *testing.T) *warehousetest.Target {
				if !short[t.Name()[strings.LastIndex(t.Name(), "/")+1:]] && !short[strings.ReplaceAll(t.Name()[strings.LastIndex(t.Name(), "/")+1:], "_", " ")] {
					t.Skip("tried on PostgreSQL 15")
				}
				url, database := fresh(t, pg)
				return target(t, url, reader(t, pg, database))
			})
		})
	}
}

// ask reads rows as the server writes them.
func ask(t *testing.T, conn *pgx.Conn, statement string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT q::text FROM ("+statement+") AS q", pgx.QueryExecModeExec)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return out
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
}

func load(t *testing.T, db *postgres.DB, b *warehouse.Batch) *warehouse.Result {
	t.Helper()
	r, err := db.Load(t.Context(), b)
	if err != nil {
		t.Fatalf("%v\nhint: %s", err, warehouse.HintOf(err))
	}
	return r
}

func run(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// TestViewsSurvive widens a column below views of every kind; what hangs on them is there afterwards.
func TestViewsSurvive(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	load(t, db, batch(0, 2, table.Column{Name: "n", Type: table.Integer}))
	analyst, _ := pg.Role(database, "")
	admin, own := pg.Connect(database), connect(t, url)
	run(t, own, "CREATE SCHEMA reports",
		"CREATE VIEW reports.plain WITH (security_barrier = true) AS SELECT id, n FROM production.clicks WHERE n >= 0", "COMMENT ON VIEW reports.plain IS 'it''s \\ plain'",
		"COMMENT ON COLUMN reports.plain.n IS 'a number'",
		"CREATE MATERIALIZED VIEW reports.stored AS SELECT id, n * 2 AS twice FROM reports.plain", "CREATE UNIQUE INDEX stored_id ON reports.stored (id)",
		"CREATE MATERIALIZED VIEW reports.unfilled AS SELECT n FROM production.clicks WITH NO DATA",
		`CREATE VIEW reports."On Top" AS SELECT p.id, s.twice FROM reports.plain p JOIN reports.stored s USING (id)`,
		"CREATE VIEW reports.aside AS SELECT id, s FROM production.clicks",
		"GRANT USAGE ON SCHEMA reports TO "+analyst, "GRANT SELECT ON reports.plain TO "+analyst+" WITH GRANT OPTION", `GRANT SELECT (twice) ON reports."On Top" TO `+analyst)
	run(t, admin, "CREATE INDEX by_n ON production.clicks (n) WHERE n > 0", "GRANT SELECT ON production.clicks TO "+analyst)
	facts := "SELECT c.relname, c.relkind, c.relowner::regrole, c.relacl, c.reloptions, c.relispopulated, obj_description(c.oid, 'pg_class'), col_description(c.oid, 2), " +
		"(SELECT string_agg(attacl::text, ' ') FROM pg_attribute a WHERE a.attrelid = c.oid) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('reports', 'production') AND c.relname <> 'firth_discards' ORDER BY 1"
	before := ask(t, admin, facts)
	r := load(t, db, batch(2, 1, table.Column{Name: "n", Type: table.Float}))
	if len(r.Notices) != 1 || !strings.Contains(r.Notices[0], "widened") {
		t.Errorf("notices %q", r.Notices)
	}
	want(t, ask(t, admin, facts), before...)
	want(t, ask(t, admin, "SELECT id, n FROM reports.plain ORDER BY id"), "(id-0,0)", "(id-1,1)", "(id-2,2.5)")
	want(t, ask(t, admin, `SELECT * FROM reports."On Top" ORDER BY id`), "(id-0,0)", "(id-1,2)")
	run(t, own, "REFRESH MATERIALIZED VIEW CONCURRENTLY reports.stored")
	want(t, ask(t, admin, `SELECT * FROM reports."On Top" ORDER BY id`), "(id-0,0)", "(id-1,2)", "(id-2,5)")
	want(t, ask(t, admin, "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'production.clicks'::regclass AND attname = 'n'"), "(\"double precision\")")
}

// TestViewOfAnother leaves a column as it is where a view of somebody else stands on it, and lists what does not fit.
func TestViewOfAnother(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	load(t, db, batch(0, 2, table.Column{Name: "n", Type: table.Integer}))
	admin := pg.Connect(database)
	owner, _ := pg.Role(database, "")
	run(t, admin, "CREATE VIEW public.theirs AS SELECT n FROM production.clicks", "GRANT USAGE ON SCHEMA production TO "+owner, "GRANT SELECT ON production.clicks TO "+owner, "ALTER VIEW public.theirs OWNER TO "+owner)
	r := load(t, db, batch(2, 1, table.Column{Name: "n", Type: table.Float}))
	if r.Discards != 1 || len(r.Notices) != 1 || !strings.Contains(r.Notices[0], `GRANT "`+owner+`" TO`) {
		t.Errorf("result %+v, want a discard, and a notice with what to do", r)
	}
	want(t, ask(t, admin, "SELECT id, n FROM production.clicks ORDER BY id"), "(id-0,0)", "(id-1,1)", "(id-2,)")
	want(t, ask(t, admin, "SELECT column_name, value, column_type, value_type, row_id FROM production.firth_discards"), "(n,2.5,integer,float,id-2)")
	// What the notice says mends it.
	_, grant, _ := strings.Cut(r.Notices[0], "as an administrator: ")
	run(t, admin, grant, "GRANT CREATE ON SCHEMA public TO "+owner, "GRANT CREATE ON SCHEMA public TO "+strings.Trim(grant[strings.Index(grant, " TO ")+4:], `"`))
	if r := load(t, db, batch(3, 1, table.Column{Name: "n", Type: table.Float})); r.Discards != 0 {
		t.Errorf("result %+v", r)
	}
	want(t, ask(t, admin, "SELECT n FROM public.theirs ORDER BY n NULLS FIRST"), "()", "(0)", "(1)", "(3.5)")
	want(t, ask(t, admin, "SELECT relowner::regrole FROM pg_class WHERE relname = 'theirs'"), "("+owner+")")
}

// TestIndexConcurrently adds a column while an index is being built beside: the load is told to wait, and readers are not held up.
func TestIndexConcurrently(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	load(t, db, batch(0, 100))
	// A transaction that is open keeps the building of the index from ending.
	holder := pg.Connect(database)
	run(t, holder, "CREATE TABLE public.other (n integer)", "BEGIN", "INSERT INTO production.users (id) VALUES ('held')")
	building := make(chan error, 1)
	builder := pg.Connect(database)
	go func() {
		_, err := builder.Exec(context.Background(), "CREATE INDEX CONCURRENTLY by_s ON production.users (id, received_at)")
		building <- err
	}()
	admin := pg.Connect(database)
	waitFor(t, func() bool {
		return len(ask(t, admin, "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'")) == 1
	})
	// Rows go on into the table whose index is built; a column has to wait.
	load(t, db, batch(100, 100))
	b := batch(200, 1)
	b.Upserts[0].Columns = append(b.Upserts[0].Columns, table.Column{Name: "plan", Type: table.String})
	_, err := db.Load(t.Context(), b)
	if warehouse.KindOf(err) != warehouse.Busy || !strings.Contains(warehouse.HintOf(err), "pg_terminate_backend") {
		t.Errorf("kind %s, hint %q: %v", warehouse.KindOf(err), warehouse.HintOf(err), err)
	}
	run(t, holder, "ROLLBACK")
	if err := <-building; err != nil {
		t.Fatal(err)
	}
	load(t, db, b)
	want(t, ask(t, admin, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'production.by_s'::regclass"), "(t)")
	want(t, ask(t, admin, "SELECT count(*) FROM production.clicks"), "(201)")
}

// TestColumnar uses an access method of Hydra's name that is the heap's: which tables are made by it, and what a database that makes
// columnar tables by default gets.
func TestColumnar(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	pg.Exec(database, "CREATE ACCESS METHOD columnar TYPE TABLE HANDLER heap_tableam_handler")
	pg.Exec("postgres", "ALTER DATABASE "+database+" SET default_table_access_method = columnar")
	for _, c := range []struct{ method, of string }{{postgres.Columnar, "columnar"}, {"", "heap"}} {
		db := open(t, url, postgres.Options{AccessMethod: c.method})
		b := batch(0, 1)
		b.Source, b.Schema = "of_"+c.of, "of_"+c.of
		load(t, db, b)
		b.From, b.To = 1, 2
		load(t, db, b)
		want(t, ask(t, pg.Connect(database), "SELECT c.relname, m.amname FROM pg_class c JOIN pg_am m ON m.oid = c.relam JOIN pg_namespace n ON n.oid = c.relnamespace "+
			"WHERE n.nspname IN ('"+b.Schema+"', '_firth') AND c.relkind = 'r' ORDER BY 1"),
			"(clicks,"+c.of+")", "(columns,heap)", "(firth_discards,heap)", "(format,heap)", "(positions,heap)", "(tables,heap)", "(users,heap)")
	}
}

// TestOddTypes takes over a table whose columns have types that Firth never makes.
func TestOddTypes(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, _ := pg.Loader()
	db := open(t, url, postgres.Options{})
	own := connect(t, url)
	run(t, own, "CREATE SCHEMA production", "CREATE TYPE production.plan AS ENUM ('free', 'pro')",
		"CREATE TABLE production.clicks (id varchar(20), received_at timestamp, j jsonb, amount numeric(10,2), any_amount numeric, small integer, tiny smallint, single real, day date, plan production.plan, "+
			"u uuid, short varchar(5), padded char(4), sec timestamp(0), twice integer GENERATED ALWAYS AS (small * 2) STORED, mine text DEFAULT 'mine')")
	texts := []string{"j", "day", "plan", "u", "short", "padded"}
	numbers := []string{"amount", "any_amount", "small", "tiny", "single", "twice"}
	columns := []table.Column{{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}}
	for _, c := range texts {
		columns = append(columns, table.Column{Name: c, Type: table.String, Path: "properties." + c})
	}
	for _, c := range numbers {
		columns = append(columns, table.Column{Name: c, Type: table.Float, Path: "properties." + c})
	}
	columns = append(columns, table.Column{Name: "sec", Type: table.Timestamp, Path: "properties.sec"})
	row := func(at int, texts []string, numbers []string, sec int64) table.Row {
		cells := []table.Cell{{Col: 0, Value: table.Text(fmt.Sprint("id-", at))}, {Col: 1, Value: table.Time(int64(at))}}
		for i, s := range texts {
			cells = append(cells, table.Cell{Col: int32(2 + i), Value: table.Text(s)})
		}
		for i, s := range numbers {
			if v, ok := table.Number(s).Cast(table.Float); ok {
				cells = append(cells, table.Cell{Col: int32(8 + i), Value: v})
			}
		}
		return table.Row{Cells: append(cells, table.Cell{Col: 14, Value: table.Time(sec)})}
	}
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: "log", To: 3, ReceivedThrough: event.NoTime, Tables: []*table.Batch{{Name: "clicks", Columns: columns, Rows: []table.Row{
		row(0, []string{`{"a": [1, 2.50]}`, "2024-02-29", "free", "0b0e9fe0-0000-4000-8000-000000000001", "five5", "four"}, []string{"1.25", "0.1", "7", "3", "0.5", "1"}, 0),
		row(1, []string{`no json`, "2024-02-29T10:00:00Z", "gold", "none", "sixsix", "five5"}, []string{"1.255", "1e30", "4294967296", "70000", "0.1", "1"}, 500_000),
		row(2, []string{`{"a": "\u0000"}`, "never", "pro", "", "é", "é"}, []string{"123456789.5", "2", "1.5", "-1", "1", "1"}, 1_000_000),
	}}}}
	r := load(t, db, b)
	want(t, ask(t, own, "SELECT id, j, amount, any_amount, small, tiny, single, day, plan, u, short, padded, extract(epoch FROM sec)::numeric(8,2), twice, mine FROM production.clicks ORDER BY id"),
		`(id-0,"{""a"": [1, 2.50]}",1.25,0.1,7,3,0.5,2024-02-29,free,0b0e9fe0-0000-4000-8000-000000000001,five5,four,0.00,14,mine)`,
		`(id-1,"""no json""",,1000000000000000000000000000000,,70000,0.1,,,,sixsix,five5,0.50,,mine)`,
		`(id-2,"""{\\""a\\"": \\""\\\\u0000\\""}""",,2,,-1,1,,pro,,é,é,1.00,,mine)`)
	want(t, ask(t, own, "SELECT row_id, column_name, value, reason FROM production.firth_discards ORDER BY 1, 2"),
		"(id-0,twice,1,generated_column)", "(id-1,amount,1.255,does_not_fit)", "(id-1,day,2024-02-29T10:00:00Z,does_not_fit)",
		"(id-1,plan,gold,does_not_fit)", "(id-1,small,4294967296,out_of_range)", "(id-1,twice,1,generated_column)", "(id-1,u,none,does_not_fit)",
		"(id-2,amount,123456789.5,does_not_fit)", "(id-2,day,never,does_not_fit)",
		`(id-2,small,1.5,"incompatible schema conversion from integer to float")`, "(id-2,twice,1,generated_column)", `(id-2,u,"",does_not_fit)`)
	want(t, r.Notices, "production.clicks was there already and was taken over",
		`clicks.small could not be widened to double precision, and values that do not fit are listed in firth_discards: cannot alter type of a column used by a generated column (Column "small" is used by generated column "twice".)`,
		"clicks.tiny was widened from integer to float", "clicks.short was widened to character varying", "clicks.padded was widened to character varying",
		"clicks.single was widened to double precision", "clicks.sec was widened to timestamp without time zone")
	if r.Discards != 12 || r.Rows["clicks"] != 3 {
		t.Errorf("result %+v", r)
	}
}

// TestBookkeepingLost drops the schema _firth beside an open warehouse: it asks to be opened anew, and everything that is loaded again
// is there once.
func TestBookkeepingLost(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	load(t, db, batch(0, 10))
	pg.Exec(database, "DROP SCHEMA _firth CASCADE")
	if _, err := db.Load(t.Context(), batch(10, 10)); warehouse.KindOf(err) != warehouse.Broken {
		t.Errorf("kind %s: %v", warehouse.KindOf(err), err)
	}
	db = open(t, url, postgres.Options{})
	if err := db.Prepare(t.Context(), "production", "production", nil); err != nil {
		t.Fatal(err)
	}
	if r := load(t, db, batch(0, 20)); r.Rows["clicks"] != 10 {
		t.Errorf("result %+v, want the ten rows that were missing", r)
	}
	wantWhole(t, pg.Connect(database), 20)
	tables, err := db.Catalogue(t.Context(), "production")
	if err != nil || len(tables) != 2 || tables[0].Name != "clicks" || len(tables[0].Columns) != 4 {
		t.Errorf("catalogue %+v, %v", tables, err)
	}
}
