package mysql_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/test/server"
)

// TestTwoLoadersBegin loads the first batch of a journal twice at once, the second loader while the first is about to commit, on a server
// whose default would let both see nothing of each other: the rows are in once.
func TestTwoLoadersBegin(t *testing.T) {
	m := server.MariaDB(t, version())
	for _, level := range []string{"READ-UNCOMMITTED", "READ-COMMITTED", "REPEATABLE-READ"} {
		t.Run(level, func(t *testing.T) {
			m.Wipe()
			m.Exec("SET GLOBAL tx_isolation = '" + level + "'")
			defer m.Exec("SET GLOBAL tx_isolation = 'REPEATABLE-READ'")
			first, second, read := open(t, m.Admin), open(t, m.Admin), reader(t, m)
			if err := first.Prepare(t.Context(), "production", "production", append(rowsFrom(0, 0).Tables, rowsFrom(0, 0).Upserts...)); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			first.SetStep(at("commit", func() error {
				go func() {
					_, err := second.Load(context.WithoutCancel(t.Context()), rowsFrom(0, 10))
					ended <- err
				}()
				waitUntil(t, func() bool {
					var waiting bool
					err := read.QueryRowContext(t.Context(), "SELECT count(*) > 0 FROM information_schema.processlist WHERE info LIKE '/* firth */ SELECT position%FOR UPDATE'").Scan(&waiting)
					return err != nil || waiting
				})
				return nil
			}))
			if _, err := first.Load(t.Context(), rowsFrom(0, 10)); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil && warehouse.KindOf(err) != warehouse.Moved && warehouse.KindOf(err) != warehouse.Busy {
				t.Errorf("the second loader: %v", err)
			}
			if r, err := second.Load(t.Context(), rowsFrom(0, 10)); err != nil || !r.Duplicate {
				t.Errorf("loaded again: %+v, %v", r, err)
			}
			wantRows(t, read, 10)
		})
	}
}

func waitUntil(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("it does not come about")
			return
		}
	}
}

// TestGivenUpStatementEnds gives up a load in the middle of a statement: when Load returns nothing of it runs on the server.
func TestGivenUpStatementEnds(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	db, read := open(t, m.Admin), reader(t, m)
	if _, err := db.Load(t.Context(), rowsFrom(0, 1)); err != nil {
		t.Fatal(err)
	}
	m.Exec("CREATE TRIGGER production.slow BEFORE INSERT ON production.clicks FOR EACH ROW DO SLEEP(60)")
	running := func() bool {
		var any bool
		err := read.QueryRowContext(t.Context(), "SELECT count(*) > 0 FROM information_schema.processlist WHERE state = 'User sleep'").Scan(&any)
		return err == nil && any
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := db.Load(ctx, rowsFrom(1, 1))
		ended <- err
	}()
	waitUntil(t, running)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("load: %v", err)
	}
	waitUntil(t, func() bool { return !running() }) // the server looks up from its sleep
	m.Exec("DROP TRIGGER production.slow")
	if _, err := db.Load(t.Context(), rowsFrom(1, 1)); err != nil {
		t.Fatal(err)
	}
	wantRows(t, read, 2)
}

// TestNothingIsRoundedSilently widens a column of a table that was taken over and has neither id nor time of receipt: what is rounded is
// listed. A table whose rows do not say when they were received holds no row twice.
func TestNothingIsRoundedSilently(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	m.Exec("CREATE DATABASE production CHARACTER SET utf8mb4", "CREATE TABLE production.clicks (n bigint)", "INSERT INTO production.clicks VALUES (9007199254740993), (7)",
		"CREATE TABLE production.opens (id varchar(36), received_at datetime(6))", "INSERT INTO production.opens VALUES ('id-000000', NULL)")
	db, read := open(t, m.Admin), reader(t, m)
	b := rowsFrom(0, 1)
	b.Upserts = nil
	b.Tables[0].Columns[4].Type = table.Float
	opens := *rowsFrom(0, 2).Tables[0]
	opens.Name = "opens"
	b.Tables = append(b.Tables, &opens)
	r, err := db.Load(t.Context(), b)
	if err != nil {
		t.Fatalf("%v: %s", err, warehouse.HintOf(err))
	}
	var listed string
	err = read.QueryRowContext(t.Context(), "SELECT group_concat(concat_ws(' ', value, reason, coalesce(row_id, '-'))) FROM production.firth_discards").Scan(&listed)
	if err != nil || listed != "9007199254740993 "+warehouse.ReasonInexact+" -" || r.Discards != 1 {
		t.Errorf("listed %q, %v, %+v", listed, err, r)
	}
	if r.Rows["opens"] != 1 {
		t.Errorf("%d rows of opens, want 1", r.Rows["opens"])
	}
}

// TestRefusedRowsSayWhatMends provokes what somebody else's table refuses, and runs the statement of the hint.
func TestRefusedRowsSayWhatMends(t *testing.T) {
	m := server.MariaDB(t, version())
	for name, column := range map[string]string{"a column without NULL": "v varchar(20) NOT NULL", "a condition": "m int, CONSTRAINT few CHECK (n < 0)", "a condition of a column": "n bigint CHECK (n < 0)"} {
		t.Run(name, func(t *testing.T) {
			m.Wipe()
			columns := "id varchar(36), received_at datetime(6), " + column
			if !strings.HasPrefix(column, "n ") {
				columns += ", n bigint"
			}
			m.Exec("CREATE DATABASE production CHARACTER SET utf8mb4", "CREATE TABLE production.clicks ("+columns+")")
			db := open(t, m.Admin)
			_, err := db.Load(t.Context(), rowsFrom(0, 2))
			_, statement, ok := strings.Cut(warehouse.HintOf(err), ": ALTER")
			if !ok {
				t.Fatalf("%v: %q", err, warehouse.HintOf(err))
			}
			m.Exec("ALTER" + statement)
			if _, err := db.Load(t.Context(), rowsFrom(0, 2)); err != nil {
				t.Errorf("after ALTER%s: %v", statement, err)
			}
		})
	}
}
