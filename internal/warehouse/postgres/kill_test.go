package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/postgres"
	"firth/test/server"
)

// again loads a batch until it is in, through whatever is wrong, and returns how often it failed.
func again(t *testing.T, db *postgres.DB, b *warehouse.Batch) int {
	t.Helper()
	failed := 0
	var err error
	for deadline := time.Now().Add(testWithin); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err = db.Load(t.Context(), b); err == nil {
			return failed
		}
		failed++
		if k := warehouse.KindOf(err); k != warehouse.Down && k != warehouse.Timeout && k != warehouse.Busy {
			t.Errorf("kind %s: %v", k, err)
		}
	}
	t.Fatalf("it is not loaded: %v", err)
	return 0
}

// wantWhole looks for every row once, the position, and nothing left behind.
func wantWhole(t *testing.T, conn *pgx.Conn, rows uint64) {
	t.Helper()
	var n, ids, users, position, temporary int64
	err := conn.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM production.clicks), (SELECT count(DISTINCT id) FROM production.clicks), (SELECT count(*) FROM production.users), "+
		"(SELECT position FROM _firth.positions), (SELECT count(*) FROM pg_class WHERE relpersistence = 't')").Scan(&n, &ids, &users, &position, &temporary)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(rows) || ids != n || users != 1 || position != n || temporary != 0 {
		t.Errorf("%d rows of %d ids, %d users, position %d, %d temporary tables; want %d rows", n, ids, users, position, temporary, rows)
	}
}

// TestCutAnywhere cuts the connection after every so many bytes of a load, of which some make tables and columns.
func TestCutAnywhere(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	proxy := server.Fault(t, pg.Addr())
	db := open(t, server.Via(url, proxy.Addr), postgres.Options{})
	const rows, points = 400, 40
	before := proxy.Sent()
	next := uint64(0)
	load := func(i int) int {
		var columns []table.Column
		for c := range i / 4 {
			columns = append(columns, table.Column{Name: fmt.Sprintf("c%02d", c), Type: table.Integer})
		}
		failed := again(t, db, batch(next, rows, columns...))
		next += rows
		return failed
	}
	load(0)
	whole := proxy.Sent() - before
	failed := 0
	for i := range points {
		proxy.CutAfter(whole * int64(i) / (points - 8))
		failed += load(i)
	}
	proxy.CutAfter(-1)
	if failed < points/2 {
		t.Errorf("%d of %d loads failed: the cuts are beside them", failed, points)
	}
	wantWhole(t, pg.Connect(database), next)
}

// TestEndedInTheMiddle ends the server's process of a load, as an administrator may, while rows are on their way; readers see whole loads
// all the while.
func TestEndedInTheMiddle(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	db := open(t, url, postgres.Options{})
	const rows, loads = 20_000, 6
	again(t, db, batch(0, rows))
	ctx, cancel := context.WithCancel(t.Context())
	var beside sync.WaitGroup
	watch, end := pg.Connect(database), pg.Connect(database)
	beside.Go(func() {
		for ctx.Err() == nil {
			var n int64
			if err := watch.QueryRow(ctx, "SELECT count(*) FROM production.clicks").Scan(&n); err != nil {
				if ctx.Err() == nil {
					t.Error(err)
				}
				return
			}
			if n%rows != 0 {
				t.Errorf("a reader saw %d rows", n)
			}
		}
	})
	ends := 0
	beside.Go(func() {
		for ctx.Err() == nil && ends < 5 {
			tag, err := end.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'firth' AND query LIKE 'COPY%' AND state = 'active'")
			if err == nil && tag.RowsAffected() > 0 {
				ends++
			}
		}
	})
	failed := 0
	for i := range loads {
		failed += again(t, db, batch(uint64(i+1)*rows, rows))
	}
	cancel()
	beside.Wait()
	if ends == 0 || failed == 0 {
		t.Errorf("%d processes were ended, %d loads failed", ends, failed)
	}
	wantWhole(t, pg.Connect(database), (loads+1)*rows)
}

// TestServerRestarts stops the server while rows are on their way.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	pg := server.OwnPostgres(t, "15")
	url, database := pg.Loader()
	proxy := server.Fault(t, pg.Addr())
	db := open(t, server.Via(url, proxy.Addr), postgres.Options{})
	again(t, db, batch(0, 1))
	const rows = 20_000
	done := make(chan error, 1)
	from := proxy.Sent()
	go func() {
		_, err := db.Load(context.Background(), batch(1, rows))
		done <- err
	}()
	waitFor(t, func() bool { return proxy.Sent() > from+100_000 })
	pg.Stop()
	if err := <-done; warehouse.KindOf(err) != warehouse.Down {
		t.Errorf("the load beside the stop: kind %s, %v", warehouse.KindOf(err), err)
	}
	if _, err := db.Load(t.Context(), batch(1, rows)); warehouse.KindOf(err) != warehouse.Down {
		t.Errorf("a load while the server is down: kind %s, %v", warehouse.KindOf(err), err)
	}
	pg.Start()
	again(t, db, batch(1, rows))
	wantWhole(t, pg.Connect(database), rows+1)
}

// TestNoAnswerEnds gives up a load that nobody answers when its context ends, and goes on afterwards.
func TestNoAnswerEnds(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	proxy := server.Fault(t, pg.Addr())
	db := open(t, server.Via(url, proxy.Addr), postgres.Options{})
	again(t, db, batch(0, 1))
	proxy.Stall(true)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := db.Load(ctx, batch(1, 1)); warehouse.KindOf(err) != warehouse.Timeout && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("kind %s: %v", warehouse.KindOf(err), err)
	}
	if took := time.Since(began); took > 45*time.Second {
		t.Errorf("it took %v to give up", took)
	}
	proxy.Stall(false)
	again(t, db, batch(1, 1))
	wantWhole(t, pg.Connect(database), 2)
}
