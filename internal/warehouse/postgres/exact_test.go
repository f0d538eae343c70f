package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/postgres"
	"firth/test/server"
)

// texts is a batch of one row of clicks with a text in each of the columns.
func texts(from uint64, cells ...string) *warehouse.Batch {
	t := &table.Batch{Name: "clicks", Columns: []table.Column{{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}}}
	row := table.Row{Offset: from, Cells: []table.Cell{
		{Col: 0, Value: table.Text("id-" + table.Int(int64(from)).String())}, {Col: 1, Value: table.Time(1_700_000_000_000_000 + int64(from))},
	}}
	for i := 0; i < len(cells); i += 2 {
		t.Columns = append(t.Columns, table.Column{Name: cells[i], Type: table.String, Path: "properties." + cells[i]})
		row.Cells = append(row.Cells, table.Cell{Col: int32(2 + i/2), Value: table.Text(cells[i+1])})
	}
	t.Rows = []table.Row{row}
	return &warehouse.Batch{Source: "production", Schema: "production", Log: "log", From: from, To: from + 1, ReceivedThrough: event.NoTime, Tables: []*table.Batch{t}}
}

// TestNothingIsCutSilently loads into types whose casts cut, pad or round without an error: what would change is listed.
func TestNothingIsCutSilently(t *testing.T) {
	t.Parallel()
	url, _ := server.Postgres(t, "15").Loader()
	db := open(t, url, postgres.Options{})
	own := connect(t, url)
	run(t, own, "CREATE SCHEMA production", "CREATE DOMAIN production.code AS varchar(3)", "CREATE DOMAIN production.price AS numeric(6,2)",
		"CREATE TABLE production.clicks (id text, received_at timestamptz, code production.code, price production.price, bits bit(3), word name, one \"char\", cash money, at time, day date, host inet)")
	columns := func(code, price, bits, word, one, cash, at, day, host string) []string {
		return []string{"code", code, "price", price, "bits", bits, "word", word, "one", one, "cash", cash, "at", at, "day", day, "host", host}
	}
	long := "a name of more than sixty-three bytes, which the server would cut without a word"
	load(t, db, texts(0, columns("abc", "1.5", "101", "short", "x", "12.5", "10:00", "2024-02-29T00:00:00Z", "10.0.0.1")...))
	load(t, db, texts(1, columns("abcd", "1.255", "1010", long, "xy", "12.555", "2024-02-29T10:00:00Z", "2024-02-29T00:00:00+05:00", "host")...))
	load(t, db, texts(2, columns("", "1.50", "1", "é", "é", "$12.50", "10:00+02", "2024-02-29", "::1")...))
	want(t, ask(t, own, "SELECT id, code, price, bits, word, one, cash::numeric, at, day, host FROM production.clicks ORDER BY id"),
		"(id-0,abc,1.50,101,short,x,12.50,10:00:00,2024-02-29,10.0.0.1)", "(id-1,,,,,,,,,)", `(id-2,"",1.50,,é,,,,2024-02-29,::1)`)
	want(t, ask(t, own, "SELECT row_id, string_agg(column_name || '=' || value, ' ' ORDER BY column_name) FROM production.firth_discards GROUP BY 1 ORDER BY 1"),
		`(id-1,"at=2024-02-29T10:00:00Z bits=1010 cash=12.555 code=abcd day=2024-02-29T00:00:00+05:00 host=host one=xy price=1.255 word=`+long+`")`,
		`(id-2,"at=10:00+02 bits=1 cash=$12.50 one=é")`)
}

// TestDefaultsOfTheRole sets what would change values or end loads for every session of the role.
func TestDefaultsOfTheRole(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"12", "18"} {
		pg := server.Postgres(t, version)
		url, database := pg.Loader()
		admin := pg.Connect(database)
		for _, s := range []string{"client_encoding = 'LATIN1'", "extra_float_digits = -10", "lock_timeout = 1", "DateStyle = 'SQL, DMY'", "default_transaction_isolation = 'serializable'"} {
			run(t, admin, "ALTER DATABASE "+database+" SET "+s)
		}
		db := open(t, url, postgres.Options{})
		load(t, db, texts(0, "s", "Zürich – 東京 🌊"))
		want(t, ask(t, connect(t, url+"&client_encoding=UTF8"), "SELECT id, s FROM production.clicks"), `(id-0,"Zürich – 東京 🌊")`)
	}
}

// TestPositionHeld loads while somebody holds the position: the load is not for ever in the way of others, and says who is in its.
func TestPositionHeld(t *testing.T) {
	t.Parallel()
	url, _ := server.Postgres(t, "15").Loader()
	db := open(t, url, postgres.Options{})
	load(t, db, texts(0, "s", "x"))
	other := connect(t, url)
	run(t, other, "BEGIN", "SELECT FROM _firth.positions FOR UPDATE")
	_, err := db.Load(t.Context(), texts(1, "s", "x"))
	var e *warehouse.Error
	if !errors.As(err, &e) || e.Kind != warehouse.Busy || e.PID != int(other.PgConn().PID()) {
		t.Fatalf("%v, of kind %s, hint %q", err, warehouse.KindOf(err), warehouse.HintOf(err))
	}
	run(t, other, "ROLLBACK")
	load(t, db, texts(1, "s", "x"))
}

// TestGivenUpStatementEnds gives up a load in the middle of a statement: when the warehouse is closed nothing runs on the server.
func TestGivenUpStatementEnds(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	own, admin := connect(t, url), pg.Connect(database)
	load(t, db, texts(0, "s", "x"))
	run(t, own, "CREATE FUNCTION production.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'",
		"CREATE TRIGGER slow BEFORE INSERT ON production.clicks FOR EACH ROW EXECUTE FUNCTION production.slow()")
	const running = "SELECT pid FROM pg_stat_activity WHERE application_name = 'firth' AND datname = current_database() AND state = 'active'"
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := db.Load(ctx, texts(1, "s", "y"))
		ended <- err
	}()
	waitFor(t, func() bool { return len(ask(t, admin, running)) == 1 })
	begun := time.Now()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) || time.Since(begun) > 30*time.Second {
		t.Errorf("%v after %v", err, time.Since(begun))
	}
	if left := ask(t, admin, running); len(left) > 0 {
		t.Errorf("the server goes on: %v", left)
	}
}

// TestTwoBeginTogether lets loaders of two sources make the tables of one schema at the same time.
func TestTwoBeginTogether(t *testing.T) {
	t.Parallel()
	url, _ := server.Postgres(t, "15").Loader()
	const loaders = 4
	ended := make(chan error, loaders)
	for i := range loaders {
		db := open(t, url, postgres.Options{})
		go func() {
			b := texts(uint64(i), "s", "x")
			b.Source, b.From, b.To = b.Source+table.Int(int64(i)).String(), 0, 1
			_, err := db.Load(t.Context(), b)
			for warehouse.KindOf(err) == warehouse.Busy {
				_, err = db.Load(t.Context(), b)
			}
			ended <- err
		}()
	}
	for range loaders {
		if err := <-ended; err != nil {
			t.Errorf("%v: %s", err, warehouse.HintOf(err))
		}
	}
	want(t, ask(t, connect(t, url), "SELECT count(*), count(DISTINCT id) FROM production.clicks"), "(4,4)")
}

// TestRebuildKeepsWhatWasThere swaps a table that was taken over: rows of before stay, those without a time of receipt too, and a value
// that its column's new type rounds is listed.
func TestRebuildKeepsWhatWasThere(t *testing.T) {
	t.Parallel()
	url, _ := server.Postgres(t, "15").Loader()
	db := open(t, url, postgres.Options{})
	own := connect(t, url)
	run(t, own, "CREATE SCHEMA production", "CREATE TABLE production.clicks (id text, received_at timestamptz, amount numeric)",
		"INSERT INTO production.clicks VALUES ('a', '2020-01-01Z', 0.1), ('b', NULL, 0.1234567890123456789), (NULL, '2020-01-01Z', 3)")
	b := texts(0)
	b.Tables[0].Columns = append(b.Tables[0].Columns, table.Column{Name: "amount", Type: table.Float, Path: "properties.amount"})
	b.Tables[0].Rows[0].Cells = append(b.Tables[0].Rows[0].Cells, table.Cell{Col: 2, Value: table.Float64(1.5)})
	load(t, db, b)
	b.Source, b.Schema = "production#rebuild", "_firth_rebuild_production"
	load(t, db, b)
	_, err := db.Swap(t.Context(), &warehouse.Swap{Source: "production", Schema: "production", RebuildSource: b.Source, RebuildSchema: b.Schema, Tables: []string{"clicks"}})
	if err != nil {
		t.Fatalf("%v: %s", err, warehouse.HintOf(err))
	}
	want(t, ask(t, own, "SELECT id, amount, pg_typeof(amount) FROM production.clicks ORDER BY id"),
		`(a,0.1,"double precision")`, `(b,,"double precision")`, `(id-0,1.5,"double precision")`, `(,3,"double precision")`)
	want(t, ask(t, own, "SELECT table_name, column_name, value, reason, row_id FROM production.firth_discards"), "(clicks,amount,0.1234567890123456789,does_not_fit,b)")
}

// TestRowsWithoutTimeOfReceipt takes over a table whose rows do not say when they were received: none is doubled.
func TestRowsWithoutTimeOfReceipt(t *testing.T) {
	t.Parallel()
	url, _ := server.Postgres(t, "15").Loader()
	db := open(t, url, postgres.Options{})
	own := connect(t, url)
	run(t, own, "CREATE SCHEMA production", "CREATE TABLE production.clicks (id text, received_at timestamptz)", "INSERT INTO production.clicks VALUES ('id-0', NULL)")
	load(t, db, texts(0))
	load(t, db, texts(1))
	want(t, ask(t, own, "SELECT count(*), count(DISTINCT id) FROM production.clicks"), "(2,2)")
}
