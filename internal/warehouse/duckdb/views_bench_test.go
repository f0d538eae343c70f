package duckdb_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"firth/internal/warehouse/duckdb"
)

// lakeFiles has the engine write 200,000 events in n files, as many flushes or one merge would.
func lakeFiles(b *testing.B, dir string, n int) []string {
	b.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	const events = 200_000
	var files []string
	for i := range n {
		path := filepath.Join(dir, fmt.Sprintf("%06d.parquet", i))
		if _, err := db.Exec(fmt.Sprintf(`COPY (SELECT 'm' || i AS message_id, 'track' AS type, 'Event ' || (i * 7919 %% 120) AS event, TIMESTAMPTZ '2026-01-01' + INTERVAL (i * 13) SECOND AS ts,
			TIMESTAMPTZ '2026-01-01' AS received_at, NULL::TIMESTAMPTZ AS sent_at, NULL::TIMESTAMPTZ AS original_timestamp, 'u' || (i * 31 %% 5000) AS user_id, 'a' || i AS anonymous_id,
			'{"plan":"pro' || (i %% 9) || '","n":' || i || '}' AS properties, '{"library":{"name":"js"}}' AS context, repeat('x', 300) || i AS og_payload, 'log' AS _firth_log, i AS _firth_offset
			FROM range(%d, %d) r(i) ORDER BY event, ts) TO '%s' (FORMAT parquet, COMPRESSION zstd)`, i*events/n, (i+1)*events/n, path)); err != nil {
			b.Fatal(err)
		}
		files = append(files, path)
	}
	return files
}

// BenchmarkLakeView asks the questions of a month over one file and over as many as an hour of flushes leaves unmerged, and
// refreshes the view. The same statements on the same files by a bare engine stand beside them.
func BenchmarkLakeView(b *testing.B) {
	questions := []struct{ name, sql string }{
		{"count", "SELECT date_trunc('day', ts) AS d, count(*) FROM %s WHERE event = 'Event 7' GROUP BY d"},
		{"users", "SELECT user_id, count(*) AS n FROM %s GROUP BY user_id ORDER BY n DESC LIMIT 10"},
		{"json", "SELECT properties ->> 'plan' AS plan, count(*) FROM %s GROUP BY plan"},
	}
	for _, n := range []int{1, 2000} {
		dir := b.TempDir()
		files := lakeFiles(b, filepath.Join(dir, "lake"), n)
		db, err := duckdb.Open(b.Context(), filepath.Join(dir, "warehouse.duckdb"), duckdb.Options{LakeDir: filepath.Join(dir, "lake")})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = db.Close() })
		if err := db.SetLakeFiles(b.Context(), "production", files); err != nil {
			b.Fatal(err)
		}
		bare, err := sql.Open("duckdb", "")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = bare.Close() })
		list := "read_parquet('" + filepath.Join(dir, "lake", "*.parquet") + "')"
		for _, q := range questions {
			for _, t := range []struct {
				name, from string
				db         *sql.DB
			}{{"view", "lake.production", db.SQL()}, {"bare", list, bare}} {
				b.Run(fmt.Sprintf("files=%d/%s/%s", n, q.name, t.name), func(b *testing.B) {
					measure(b, func() error { return ask(b.Context(), t.db, fmt.Sprintf(q.sql, t.from)) })
				})
			}
		}
		b.Run(fmt.Sprintf("files=%d/refresh", n), func(b *testing.B) {
			i := 0
			measure(b, func() error {
				i++
				return db.SetLakeFiles(b.Context(), "production", files[:len(files)-i%2])
			})
		})
	}
}

func ask(ctx context.Context, db *sql.DB, statement string) error {
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return err
	}
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("no rows")
	}
	return rows.Close()
}

func measure(b *testing.B, fn func() error) {
	b.Helper()
	var began, ended syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &began); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := fn(); err != nil {
			b.Fatal(err)
		}
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ended); err != nil {
		b.Fatal(err)
	}
	spent := time.Duration(ended.Utime.Nano() + ended.Stime.Nano() - began.Utime.Nano() - began.Stime.Nano())
	b.ReportMetric(float64(spent.Microseconds())/1000/float64(b.N), "cpu-ms/op")
}
