package parts

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"firth/internal/bench"
	"firth/internal/lake"
)

// unchangedLooks is how often a table that does not change is looked at.
const unchangedLooks = 100

// plan lists the files of a table again and again, each time as if for the first time.
func plan(ctx context.Context, job bench.PlanJob) (out bench.PlanResult, err error) {
	for range job.Rounds {
		cpu := cpuTime()
		r, err := lake.OpenReader(ctx, catalogPath(job.Data))
		if err != nil {
			return out, err
		}
		began := time.Now()
		snap, err := r.Snapshot(ctx, job.Source)
		out.Anew, out.AnewCPU = append(out.Anew, time.Since(began)), out.AnewCPU+cpuTime()-cpu
		if err == nil {
			out.Files = len(snap.Files)
			began = time.Now()
			for range unchangedLooks {
				if _, err = r.Snapshot(ctx, job.Source); err != nil {
					break
				}
			}
			out.Unchanged = time.Since(began) / unchangedLooks
		}
		if err := errors.Join(err, r.Close()); err != nil {
			return out, err
		}
	}
	out.Metadata, err = metadataBytes(filepath.Join(job.Data, "lake", job.Source))
	return out, err
}

// metadataBytes is the size of all of a table's files that are not data.
func metadataBytes(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".parquet") {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
