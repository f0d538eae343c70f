package parts

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"firth/internal/bench"
	"firth/internal/lake"
	"firth/internal/warehouse/duckdb"
)

// openEngine opens an empty engine with the settings that a server's has, which may read the lake of a data folder.
func openEngine(ctx context.Context, data, dir string, memory int64, threads int) (*duckdb.DB, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	return duckdb.Open(ctx, filepath.Join(dir, "bare.duckdb"), duckdb.Options{
		Memory: memory, Threads: threads, LakeDir: filepath.Join(data, "lake"), TempDir: filepath.Join(dir, "tmp"), TempBytes: 100 << 30,
	})
}

// readParquet names the files of a snapshot as a table.
func readParquet(snap *lake.Snapshot) string {
	var b strings.Builder
	b.WriteString("read_parquet([")
	for i, f := range snap.Files {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("'" + strings.ReplaceAll(f.Path, "'", "''") + "'")
	}
	b.WriteString("])")
	return b.String()
}

// ask answers questions until there are no more.
func ask(ctx context.Context, in *json.Decoder, out *json.Encoder) (err error) {
	var job bench.AskJob
	if err := in.Decode(&job); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	db, err := openEngine(ctx, job.Data, job.Dir, job.Memory, job.Threads)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	snap, err := snapshot(ctx, job.Data, job.Source)
	if err != nil {
		return err
	}
	files := readParquet(snap)
	for {
		var q bench.AskQuestion
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a question: %w", err)
		}
		answer := bench.AskAnswer{Files: len(snap.Files)}
		began := time.Now()
		answer.Numbers, err = numbers(ctx, db.SQL(), strings.ReplaceAll(q.SQL, "%FILES%", files))
		answer.Took = time.Since(began)
		if err != nil {
			answer.Error = err.Error()
		}
		if err := out.Encode(answer); err != nil {
			return err
		}
	}
}

// numbers runs a statement and returns the second column of its rows.
func numbers(ctx context.Context, db *sql.DB, statement string) (out []int64, err error) {
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	if len(columns) < 2 {
		return nil, fmt.Errorf("%s: %d columns, at least two are needed", statement, len(columns))
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(any)
	}
	var n int64
	values[1] = &n
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		out = append(out, n)
	}
	return out, rows.Err()
}
