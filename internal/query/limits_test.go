package query_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/internal/query"
)

// runaway never ends by itself, and has no row before its end.
const runaway = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE (a.range * b.range) % 7 = 3"

func code(err error) query.Code {
	if err == nil {
		return ""
	}
	return query.AsError(err).Code
}

func TestDeadlineStopsTheEngine(t *testing.T) {
	e := newEngine(t, query.Options{Deadline: 200 * time.Millisecond, Concurrent: 1})
	begin := time.Now()
	_, err := run(e, everyone, runaway)
	if got := query.AsError(err); got.Code != query.CodeDeadline || got.Status != 408 {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	// The one place is free again, and so is the connection.
	if out, err := run(e, everyone, "SELECT 42 AS x"); err != nil || !strings.Contains(out, "[42]") {
		t.Errorf("the next query: %s, %v", out, err)
	}
}

func TestDeadlineBetweenRows(t *testing.T) {
	e := newEngine(t, query.Options{Deadline: 300 * time.Millisecond, MaxRows: -1})
	res, err := e.Query(context.Background(), everyone, query.Request{SQL: "SELECT range FROM range(1000000000000)"})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = res.Next()
	}
	if code(err) != query.CodeDeadline {
		t.Errorf("the reading ended with %v", err)
	}
	if _, err := res.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	if err := res.Close(); err != nil {
		t.Error(err)
	}
}

func TestCancelStopsTheEngine(t *testing.T) {
	e := newEngine(t, query.Options{Concurrent: 1, Queue: -1})
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error, 1)
	go func() {
		_, err := e.Query(ctx, everyone, query.Request{SQL: runaway})
		failed <- err
	}()
	for deadline := time.Now().Add(time.Minute); e.Running() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the query has not begun")
		}
	}
	time.Sleep(100 * time.Millisecond) // into the engine
	begin := time.Now()
	cancel()
	if err := <-failed; code(err) != query.CodeCanceled {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("the engine stopped after %s", took)
	}
	if _, err := run(e, everyone, "SELECT 1"); err != nil {
		t.Errorf("the next query: %v", err)
	}
}

func TestCloseStopsTheEngine(t *testing.T) {
	e := newEngine(t, query.Options{Concurrent: 1, MaxRows: -1})
	for range 3 {
		res, err := e.Query(context.Background(), everyone, query.Request{SQL: "SELECT a.range FROM range(10000000) a, range(10000000) b"})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := errors.Join(res.Close(), res.Close()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("closing took %s", took)
		}
	}
}

func TestRowCap(t *testing.T) {
	e := newEngine(t, query.Options{MaxRows: 5000})
	for rows, truncated := range map[int]bool{4999: false, 5000: false, 5001: true, 1_000_000_000: true} {
		res, err := e.Query(context.Background(), everyone, query.Request{SQL: "SELECT range FROM range($1)", Params: []any{int64(rows)}})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = res.Next()
		}
		if !errors.Is(err, io.EOF) || res.Truncated() != truncated || res.Count() != min(rows, 5000) {
			t.Errorf("%d rows: %d came, truncated %t, %v", rows, res.Count(), res.Truncated(), err)
		}
		if err := res.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestMemoryCap(t *testing.T) {
	e := newEngine(t, query.Options{})
	_, err := run(e, everyone, "SELECT list(range) FROM range(60000000)")
	got := query.AsError(err)
	if got.Code != query.CodeOutOfMemory || got.Status != 400 || got.Hint == "" {
		t.Errorf("got %v", err)
	}
	if _, err := run(e, everyone, "SELECT 1"); err != nil {
		t.Errorf("the next query: %v", err)
	}
}

// The rows of this result have 1.2 GB. The engine makes some thirty chunks of 2048 rows ahead, here 74 MB, and waits.
func TestLargeResultsAreNotHeldInMemory(t *testing.T) {
	e := newEngine(t, query.Options{MaxRows: -1})
	before := resident(t)
	res, err := e.Query(context.Background(), everyone, query.Request{SQL: "SELECT repeat('x', 1200) FROM range(1000000)"})
	if err != nil {
		t.Fatal(err)
	}
	var most int
	for err == nil {
		if _, err = res.Next(); res.Count()%20000 == 0 {
			most = max(most, resident(t))
		}
	}
	if !errors.Is(err, io.EOF) || res.Count() != 1_000_000 {
		t.Errorf("%d rows, %v", res.Count(), err)
	}
	t.Logf("%d MB before, at most %d MB", before>>20, most>>20)
	if most-before > 500<<20 {
		t.Errorf("the process grew from %d MB to %d MB", before>>20, most>>20)
	}
	if err := res.Close(); err != nil {
		t.Error(err)
	}
}

// resident is the size of the process in memory, in bytes.
func resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc here")
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func TestAdmission(t *testing.T) {
	e := newEngine(t, query.Options{Concurrent: 2, Queue: 1, QueueWait: 50 * time.Millisecond})
	hold := func() *query.Result {
		res, err := e.Query(context.Background(), everyone, query.Request{SQL: "SELECT 1"})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	first, second := hold(), hold()
	begin := time.Now()
	_, err := run(e, everyone, "SELECT 1")
	if got := query.AsError(err); got.Code != query.CodeTooMany || got.Status != 429 {
		t.Errorf("a third query: %v", err)
	}
	if took := time.Since(begin); took < 50*time.Millisecond {
		t.Errorf("it did not wait: %s", took)
	}
	// One that waits gets the place that becomes free; a client that goes away while it waits, does not.
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := e.Query(gone, everyone, query.Request{SQL: "SELECT 1"}); code(err) != query.CodeCanceled {
		t.Errorf("a client that is gone: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	third := hold()
	for _, res := range []*query.Result{second, third} {
		if err := res.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	e := newEngine(t, query.Options{Deadline: 100 * time.Millisecond, Concurrent: 8, Queue: 100, QueueWait: time.Minute})
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			_, _ = run(e, everyone, []string{"SELECT 1", runaway, "SELECT nope", "FROM production.tracks"}[i%4])
		})
	}
	wg.Wait()
	for deadline := time.Now().Add(time.Minute); runtime.NumGoroutine() > before+1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// What the parser would need a deep stack for, and the planner minutes, must fail in words and at once.
func TestDeepNesting(t *testing.T) {
	e := newEngine(t, query.Options{MaxSQL: 1 << 20})
	const n = 100_000
	for _, text := range []string{
		"SELECT " + strings.Repeat("(", n) + "1" + strings.Repeat(")", n),
		"SELECT " + strings.Repeat("1+", n) + "1",
		"SELECT " + strings.Repeat("NOT ", n) + "true",
		"SELECT " + strings.Repeat("[", n) + strings.Repeat("]", n),
		strings.Repeat("SELECT * FROM (", n/10) + "SELECT 1" + strings.Repeat(")", n/10),
		"SELECT 1" + strings.Repeat(" UNION ALL SELECT 1", n/10),
		"SELECT " + strings.Repeat("abs(", n) + "1" + strings.Repeat(")", n),
		"SELECT 1 WHERE " + strings.Repeat("1=1 AND ", n) + "1=1",
		"SELECT 1" + strings.Repeat(",1", n/10),
		"FROM app.companies" + strings.Repeat(" JOIN app.companies USING (id)", n/100),
		"SELECT CASE " + strings.Repeat("WHEN 1=1 THEN 1 ", n/4) + "END",
	} {
		_, err := run(e, everyone, text)
		if got := code(err); got != query.CodeSyntax && got != query.CodeFailed {
			t.Errorf("%.40s...: %.300v", text, err)
		}
	}
}

func TestLongStatementsAreRefused(t *testing.T) {
	e := newEngine(t, query.Options{})
	_, err := run(e, everyone, "SELECT '"+strings.Repeat("x", query.DefaultMaxSQL)+"'")
	if code(err) != query.CodeSyntax {
		t.Error(err)
	}
}

// TestCancelledWhileItBegins: a query whose asker goes away at any moment leaves a connection that the next one can use.
func TestCancelledWhileItBegins(t *testing.T) {
	db, _ := open(t)
	db.SetMaxOpenConns(1)
	var log bytes.Buffer
	e := query.New(database{db}, query.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	cut := 0
	for i := range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(300))*time.Microsecond)
		res, err := e.Query(ctx, everyone, query.Request{SQL: "SELECT 1"})
		cancel()
		if err != nil {
			cut++
		} else if err := res.Close(); err != nil {
			t.Fatal(err)
		}
		if got := rows(t, e, everyone, "SELECT 42"); got != "42" {
			t.Fatalf("after %d: %q", i, got)
		}
	}
	if cut < 5 || log.Len() > 0 {
		t.Errorf("%d of 30 were cut; the log has %q", cut, log.String())
	}
}
