package duckdb_test

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// TestTendWaitsForOthers: while somebody is in a transaction the engine makes no checkpoint, which is nobody's fault: it is tried again, and
// told when it goes on.
func TestTendWaitsForOthers(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	db, err := duckdb.Open(ctx, path, duckdb.Options{Now: func() time.Time { now = now.Add(time.Millisecond); return now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.RecordRun(ctx, &warehouse.Run{ID: "r", Kind: "load", Name: "local", State: warehouse.RunSuccess, StartedAt: now, FinishedAt: now}); err != nil {
		t.Fatal(err)
	}
	other, err := db.SQL().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"BEGIN", "CREATE TABLE beside AS SELECT 1 AS one"} {
		if _, err := other.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	before := db.CheckpointTime()
	quiet := 0
	for ; quiet < 100 && err == nil; quiet++ {
		err = db.Tend(ctx)
		now = now.Add(2 * time.Second)
	}
	if err == nil || quiet < 5 {
		t.Errorf("%v was told after %d attempts", err, quiet)
	}
	if db.CheckpointTime() != before {
		t.Fatal("there was a checkpoint all the same: the test tests nothing")
	}
	if _, err := other.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Minute)
	if err := db.Tend(ctx); err != nil || db.CheckpointTime() == before {
		t.Errorf("no checkpoint once nobody is in a transaction: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestCancelledTransactions: a transaction whose context ends at any moment, also while it begins, is over, and the next one is as ever.
func TestCancelledTransactions(t *testing.T) {
	db, err := duckdb.Open(t.Context(), filepath.Join(t.TempDir(), "warehouse.duckdb"), duckdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	record := func(ctx context.Context, id string) error {
		return db.RecordRun(ctx, &warehouse.Run{ID: id, Kind: "load", Name: "local", State: warehouse.RunSuccess, StartedAt: time.Now()})
	}
	cut := 0
	for i := range 60 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(120))*time.Microsecond)
		if record(ctx, "cut") != nil {
			cut++
		}
		cancel()
		if err := record(t.Context(), strconv.Itoa(i)); err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
	}
	if cut < 10 {
		t.Errorf("%d of 60 were cut", cut)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
