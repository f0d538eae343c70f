package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/internal/bench"
)

// pipe copies the rows of the source's tables into empty tables of the same columns, in COPY's binary form and by nothing else. Reading
// them from their tables, into files, comes before and is not measured.
func pipe(ctx context.Context, job bench.IntoJob) (out bench.IntoResult, err error) {
	conn, err := pgx.Connect(ctx, job.URL)
	if err != nil {
		return out, fmt.Errorf("connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	names, err := tablesOf(ctx, conn, job.Source)
	if err != nil {
		return out, err
	}
	bare := pgx.Identifier{"bare"}.Sanitize()
	if _, err := conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+bare+" CASCADE; CREATE SCHEMA "+bare); err != nil {
		return out, fmt.Errorf("make the schema of the copies: %w", err)
	}
	for _, name := range names {
		n, size, took, err := copyTable(ctx, conn, pgx.Identifier{job.Source, name}.Sanitize(), pgx.Identifier{"bare", name}.Sanitize(), filepath.Join(job.Temp, "pipe"))
		if err != nil {
			return out, fmt.Errorf("table %s: %w", name, err)
		}
		out.Rows, out.Bytes, out.Took, out.Tables = out.Rows+n, out.Bytes+size, out.Took+took, out.Tables+1
		if name == "tracks" {
			out.Calls = n
		}
	}
	_, err = conn.Exec(ctx, "DROP SCHEMA "+bare+" CASCADE")
	out.CPU, out.Peak = cpuTime(), peak()
	return out, err
}

// tablesOf lists the tables of a schema that have rows.
func tablesOf(ctx context.Context, conn *pgx.Conn, schema string) ([]string, error) {
	rows, err := conn.Query(ctx, "SELECT table_name::text FROM information_schema.tables WHERE table_schema = $1 AND table_type = 'BASE TABLE' ORDER BY 1", schema)
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	var out []string
	for _, name := range names {
		var some bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+pgx.Identifier{schema, name}.Sanitize()+")").Scan(&some); err != nil {
			return nil, fmt.Errorf("look into %s: %w", name, err)
		}
		if some {
			out = append(out, name)
		}
	}
	return out, nil
}

// copyTable writes a table to a file and the file into a new table, which is what it measures.
func copyTable(ctx context.Context, conn *pgx.Conn, from, to, path string) (rows, size int64, took time.Duration, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	if _, err := conn.PgConn().CopyTo(ctx, f, "COPY "+from+" TO STDOUT (FORMAT binary)"); err != nil {
		return 0, 0, 0, fmt.Errorf("read: %w", err)
	}
	if size, err = f.Seek(0, 1); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err == nil {
		_, err = conn.Exec(ctx, "CREATE TABLE "+to+" (LIKE "+from+")")
	}
	if err != nil {
		return 0, 0, 0, err
	}
	began := time.Now()
	tag, err := conn.PgConn().CopyFrom(ctx, f, "COPY "+to+" FROM STDIN (FORMAT binary)")
	return tag.RowsAffected(), size, time.Since(began), err
}
