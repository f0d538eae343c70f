package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"firth/internal/bench"
)

// copySorted lets DuckDB write the table's files as one file in the order that the lake keeps.
func copySorted(ctx context.Context, job bench.CopyJob) (out bench.MergeResult, err error) {
	snap, err := snapshot(ctx, job.Data, job.Source)
	if err != nil {
		return out, err
	}
	db, err := openEngine(ctx, job.Data, job.Out+".engine", job.Memory, job.Threads)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, db.Close(), os.RemoveAll(job.Out+".engine")) }()
	// The only folder besides the lake's that the engine may write to is that of its spill.
	to := job.Out + ".engine/tmp/out.parquet"
	began, cpu := time.Now(), cpuTime()
	_, err = db.SQL().ExecContext(ctx, fmt.Sprintf("COPY (SELECT * FROM %s ORDER BY event, ts) TO '%s' (FORMAT parquet, COMPRESSION zstd)",
		readParquet(snap), strings.ReplaceAll(to, "'", "''")))
	if err != nil {
		return out, fmt.Errorf("copy: %w", err)
	}
	out.Took, out.CPU = time.Since(began), cpuTime()-cpu
	info, err := os.Stat(to)
	if err != nil {
		return out, err
	}
	rows, err := numbers(ctx, db.SQL(), "SELECT 'rows', count(*) FROM '"+strings.ReplaceAll(to, "'", "''")+"'")
	if err != nil {
		return out, err
	}
	out.Rows, out.RowsOut, out.FilesIn, out.FilesOut, out.Merges = snap.Rows, rows[0], len(snap.Files), 1, 1
	out.BytesIn, out.BytesOut, out.Written, out.Peak = snap.Bytes, info.Size(), info.Size(), peak()
	return out, nil
}
