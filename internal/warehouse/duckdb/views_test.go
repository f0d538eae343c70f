package duckdb_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// writeEvents has DuckDB write a Parquet file of n events with the columns of the lake.
func writeEvents(t *testing.T, path string, n int) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(`SET TimeZone = 'UTC'; COPY (SELECT 'm' || i AS message_id, 'track' AS type, 'Clicked' AS event, TIMESTAMPTZ '2026-01-01' AS ts,
		TIMESTAMPTZ '2026-01-01' AS received_at, NULL::TIMESTAMPTZ AS sent_at, NULL::TIMESTAMPTZ AS original_timestamp, 'ann' AS user_id, NULL::VARCHAR AS anonymous_id,
		'{}' AS properties, '{}' AS context, '{}' AS og_payload, 'log' AS _firth_log, i AS _firth_offset, 'more' AS of_a_later_version FROM range(` + itoa(n) + `) r(i))
		TO '` + strings.ReplaceAll(path, "'", "''") + `' (FORMAT parquet)`); err != nil {
		t.Fatal(err)
	}
}

func itoa(n int) string { return string(rune('0' + n)) }

func scan[T any](t *testing.T, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}, statement string) T {
	t.Helper()
	var v T
	if err := db.QueryRowContext(t.Context(), statement).Scan(&v); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return v
}

func TestNamesResolveInOneStatement(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "warehouse.duckdb"))
	b := &warehouse.Batch{Source: "production", Schema: "production", Log: "log", To: 2, Tables: []*table.Batch{{
		Name: "tracks", Columns: []table.Column{{Name: "id", Type: table.String}}, Rows: []table.Row{{Cells: []table.Cell{{Value: table.Text("m1")}}}},
	}}}
	if _, err := db.Load(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	// The day folders of a partitioned table look like columns to an engine that guesses.
	first, second := filepath.Join(dir, "lake", "ts_day=2026-01-01", "it's.parquet"), filepath.Join(dir, "lake", "ts_day=2026-01-02", "b.parquet")
	writeEvents(t, first, 2)
	writeEvents(t, second, 3)
	all := `SELECT count(*) FROM production.tracks t JOIN lake.production l ON l.message_id = t.id
		LEFT JOIN firth.dead_letters d ON d.source = 'none' LEFT JOIN firth.runs r ON r.id = 'none' LEFT JOIN firth.freshness f ON f.source = 'none'
		LEFT JOIN firth.files p ON p.path = 'none' LEFT JOIN firth.schemas s ON s.source = 'none'`
	if err := db.SetLakeFiles(t.Context(), "production", nil); err != nil {
		t.Fatal(err)
	}
	if n := scan[int](t, db.SQL(), all); n != 0 {
		t.Errorf("%d rows before there are files, want 0", n)
	}
	types := `SELECT string_agg(column_name || ' ' || column_type, ', ') FROM (DESCRIBE lake.production)`
	empty := scan[string](t, db.SQL(), types)
	if err := db.SetLakeFiles(t.Context(), "production", []string{first, second}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(empty, scan[string](t, db.SQL(), types)); diff != "" {
		t.Errorf("the view's columns changed with the first file (-before +after):\n%s", diff)
	}

	conn, err := db.SQL().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(t.Context(), "BEGIN TRANSACTION READ ONLY"); err != nil {
		t.Fatal(err)
	}
	if n := scan[int](t, conn, all); n != 2 {
		t.Errorf("%d rows, want 2: m1 is in both files", n)
	}
	// A transaction that has begun keeps what it saw, whatever is refreshed and loaded beside it.
	if err := db.SetLakeFiles(t.Context(), "production", []string{second}); err != nil {
		t.Fatal(err)
	}
	b.From, b.To = 2, 3
	b.Tables[0].Columns = append(b.Tables[0].Columns, table.Column{Name: "more", Type: table.String})
	if _, err := db.Load(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if n := scan[int](t, conn, all); n != 2 {
		t.Errorf("%d rows within the transaction, want 2 still", n)
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if n := scan[int](t, db.SQL(), all); n != 2 {
		t.Errorf("%d rows afterwards, want 2: two tracks, one file", n)
	}
}

func TestLockedDown(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "warehouse.duckdb"))
	if got := scan[string](t, db.SQL(), "SELECT current_setting('TimeZone')"); got != "UTC" {
		t.Errorf("time zone %s", got)
	}
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("a,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"SELECT * FROM read_csv('" + secret + "')", "SELECT * FROM read_text('/etc/passwd')", "SELECT * FROM glob('/etc/*')", "ATTACH '" + secret + "' AS other",
		"COPY (SELECT 1) TO '" + secret + "'", "INSTALL httpfs", "LOAD httpfs", "SET memory_limit = '100GB'", "SET enable_external_access = true",
		"SET lock_configuration = false", "SET TimeZone = 'Asia/Tokyo'", "SET allowed_directories = ['/']", "SET threads = 64",
	} {
		if _, err := db.SQL().Exec(statement); err == nil {
			t.Errorf("%s: allowed", statement)
		}
	}
}

func TestFreshnessAndFiles(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "warehouse.duckdb"))
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rows := []warehouse.Freshness{
		{Source: "a", Warehouse: "local", ReceivedThrough: at.UnixMicro(), LoadedThrough: at.Add(-90 * time.Second).UnixMicro(), LoadedAt: at, PendingRows: 7},
		{Source: "b", Warehouse: "local", ReceivedThrough: at.UnixMicro(), LoadedThrough: event.NoTime, PendingRows: 3},
		{Source: "c", Warehouse: "local", ReceivedThrough: at.UnixMicro(), LoadedThrough: at.UnixMicro(), LoadedAt: at},
	}
	files := []warehouse.LakeFile{{Table: "a", Path: "/lake/x", Day: at, Rows: 5, Bytes: 6, MinTS: at.UnixMicro(), MaxTS: at.UnixMicro(), MinReceived: at.UnixMicro(), MaxReceived: event.NoTime, MaxOffset: 9}}
	for range 3 {
		if err := db.SetFreshness(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
		if err := db.SetFiles(t.Context(), files); err != nil {
			t.Fatal(err)
		}
	}
	got := scan[string](t, db.SQL(), "SELECT string_agg(source || ' ' || coalesce(lag_seconds::VARCHAR, '-') || ' ' || pending_rows, ', ' ORDER BY source) FROM firth.freshness")
	if want := "a 90.0 7, b - 3, c 0.0 0"; got != want {
		t.Errorf("freshness %q, want %q", got, want)
	}
	got = scan[string](t, db.SQL(), "SELECT table_name || ' ' || path || ' ' || day || ' ' || rows || ' ' || (max_received IS NULL) FROM firth.files")
	if want := "a /lake/x 2026-01-02 5 true"; got != want {
		t.Errorf("files %q, want %q", got, want)
	}
}

func TestRuns(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "warehouse.duckdb"))
	began := time.Now().Add(-time.Hour)
	run := &warehouse.Run{ID: "1", Kind: "load", Name: "local/production", State: warehouse.RunRunning, StartedAt: began, Rows: 5, Tables: map[string]int64{"tracks": 5}}
	left := &warehouse.Run{ID: "2", Kind: "load", Name: "local/production", State: warehouse.RunRunning, StartedAt: began}
	old := &warehouse.Run{ID: "3", Kind: "load", Name: "local/production", State: warehouse.RunSuccess, StartedAt: began.AddDate(0, -3, 0), FinishedAt: began.AddDate(0, -3, 0)}
	other := &warehouse.Run{ID: "4", Kind: "load", Name: "local/staging", State: warehouse.RunRunning, StartedAt: began}
	for _, r := range []*warehouse.Run{run, left, old, other} {
		if err := db.RecordRun(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	run.State, run.FinishedAt, run.Notices = warehouse.RunPartial, began.Add(time.Minute), []string{"a notice"}
	if err := db.RecordRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if err := db.EndRuns(t.Context(), "load", "local/production", "it ended", "do nothing", time.Now().AddDate(0, -1, 0)); err != nil {
		t.Fatal(err)
	}
	got := scan[string](t, db.SQL(), `SELECT string_agg(id || ' ' || state || ' ' || (finished_at IS NULL) || ' ' || tables || ' ' || notices || ' ' || coalesce(error, '-') || ' ' || coalesce(hint, '-'), '; ' ORDER BY id) FROM firth.runs`)
	if want := `1 partial false {"tracks":5} ["a notice"] - -; 2 failure false {} [] it ended do nothing; 4 running true {} [] - -`; got != want {
		t.Errorf("runs\n%s\nwant\n%s", got, want)
	}
}

func TestClosed(t *testing.T) {
	db, err := duckdb.Open(t.Context(), filepath.Join(t.TempDir(), "warehouse.duckdb"), duckdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Load(t.Context(), &warehouse.Batch{Source: "x", Schema: "x", Log: "log", To: 1}); err == nil {
		t.Error("loaded into a closed warehouse")
	}
	if err := db.SetLakeFiles(t.Context(), "x", nil); err == nil {
		t.Error("refreshed a view of a closed warehouse")
	}
	if err := db.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestADamagedLakeIsNeverAnsweredFrom(t *testing.T) {
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "warehouse.duckdb"))
	file := filepath.Join(dir, "lake", "a.parquet")
	writeEvents(t, file, 3)
	if err := db.SetLakeFiles(t.Context(), "production", []string{file}); err != nil {
		t.Fatal(err)
	}
	const text = "lake file /lake/it's.parquet is damaged: bytes 4-90"
	if err := db.SetLakeDamage(t.Context(), "production", text); err != nil {
		t.Fatal(err)
	}
	if err := db.SetDeadLetterDamage(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"SELECT count(*) FROM lake.production", "SELECT message_id FROM lake.production WHERE type = 'track'", "SELECT 1 FROM lake.production LIMIT 1",
		"SELECT count(*) FROM firth.dead_letters", "SELECT count(*) FROM range(3) LEFT JOIN lake.production ON true", "SELECT max(ts) FROM lake.production WHERE ts > '2030-01-01'",
	} {
		var v any
		if err := db.SQL().QueryRow(statement).Scan(&v); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, %v", statement, v, err)
		}
	}
	if err := db.SetLakeFiles(t.Context(), "production", []string{file}); err != nil {
		t.Fatal(err)
	}
	if n := scan[int](t, db.SQL(), "SELECT count(*) FROM lake.production"); n != 3 {
		t.Errorf("%d rows after the file was mended, want 3", n)
	}
}
