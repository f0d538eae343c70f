package stream_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"math/big"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"firth/internal/query"
	"firth/internal/warehouse/duckdb/stream"
)

func connect(t *testing.T) *sql.Conn {
	t.Helper()
	db, err := sql.Open("duckdb", "?threads=2")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func all(t *testing.T, rows query.Rows) (out [][]any) {
	t.Helper()
	for {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, append([]any{}, row...))
	}
	if err := errors.Join(rows.Close(), rows.Close()); err != nil {
		t.Error(err)
	}
	return out
}

// The connection that is taken out of the driver's is the one that the driver uses: it sees the open
// transaction, and the driver goes on with it afterwards.
func TestStreamSharesTheConnection(t *testing.T) {
	conn := connect(t)
	for _, text := range []string{"BEGIN", "CREATE TEMP TABLE mine AS SELECT 1 AS a, 'x' AS b"} {
		if _, err := conn.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		rows, err := stream.Stream(t.Context(), conn, "SELECT *, $1 AS c FROM mine WHERE a < $2", []any{nil, new(big.Int).Lsh(big.NewInt(1), 100)})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([][]any{{int64(1), "x", nil}}, all(t, rows)); diff != "" {
			t.Error(diff)
		}
	}
	if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
		t.Error(err)
	}
}

func TestStreamTakesOneSelect(t *testing.T) {
	conn := connect(t)
	for text, want := range map[string]string{
		"":                       "0 statements",
		"SELECT 1; SELECT 2":     "2 statements",
		"SELEC 1":                "syntax error",
		"CREATE TABLE t (a INT)": "Cannot execute statement of type",
		"SET threads = 1":        "Cannot execute statement of type",
		"SELECT $1":              "Values were not provided",
		"SELECT $name":           "Values were not provided",
		"SELECT error('no')":     "no",
		"FROM nope":              "Table with name nope does not exist",
	} {
		rows, err := stream.Stream(t.Context(), conn, text, nil)
		if err == nil {
			_, err = rows.Next()
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestStreamEndsWithItsContext(t *testing.T) {
	conn := connect(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := stream.Stream(gone, conn, "SELECT 1", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rows, err := stream.Stream(ctx, conn, "SELECT range FROM range(1000000000000)", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rows.Next(); err != nil {
		t.Fatal(err)
	}
	cancel()
	for err == nil {
		_, err = rows.Next()
	}
	if errors.Is(err, io.EOF) {
		t.Error("it came to its end")
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	rows, err = stream.Stream(t.Context(), conn, "SELECT 42", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := all(t, rows); len(got) != 1 {
		t.Errorf("the next statement: %v", got)
	}
}

// More rows than one chunk has, with NULLs at every place of a validity word, and strings short and long.
func TestChunks(t *testing.T) {
	conn := connect(t)
	rows, err := stream.Stream(t.Context(), conn, "SELECT i, CASE WHEN i % 3 > 0 THEN repeat('é', i % 20) END, [i, NULL, i + 1], CASE WHEN i % 2 = 0 THEN {'a': i, 'b': [i]} END FROM range(10000) t(i)", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range all(t, rows) {
		n := int64(i)
		want := []any{n, nil, []any{n, nil, n + 1}, nil}
		if i%3 > 0 {
			want[1] = strings.Repeat("é", i%20)
		}
		if i%2 == 0 {
			want[3] = []any{n, []any{n}}
		}
		if diff := cmp.Diff(want, row); diff != "" {
			t.Fatalf("row %d:\n%s", i, diff)
		}
	}
}
