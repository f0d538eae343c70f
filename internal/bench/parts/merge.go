package parts

import (
	"context"
	"errors"
	"os"
	"time"

	"firth/internal/bench"
	"firth/internal/lake"
)

// merge lets the lake's mergers do all that is left to do on the table.
func merge(ctx context.Context, job bench.MergeJob) (out bench.MergeResult, err error) {
	before, err := snapshot(ctx, job.Data, job.Source)
	if err != nil {
		return out, err
	}
	if err := os.MkdirAll(job.Temp, 0o750); err != nil {
		return out, err
	}
	l, err := lake.Open(ctx, lakeOptions(job.Data))
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	began, cpu := time.Now(), cpuTime()
	m := l.Merger(lake.MergeOptions{LargeBytes: job.LargeBytes, Memory: job.Memory, Temp: job.Temp})
	report, err := m.Merge(ctx, lake.MergeAll, job.Source, nil)
	if err != nil {
		return out, err
	}
	out.Took, out.CPU = time.Since(began), cpuTime()-cpu
	after, err := snapshot(ctx, job.Data, job.Source)
	if err != nil {
		return out, err
	}
	out.Rows, out.FilesIn, out.BytesIn = before.Rows, len(before.Files), before.Bytes
	out.RowsOut, out.FilesOut, out.BytesOut = after.Rows, len(after.Files), after.Bytes
	out.Merges, out.Written, out.Peak = report.Merges, report.BytesOut, peak()
	return out, nil
}
