package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"firth/internal/lake"
)

// verifyReport is the outcome of firth lake verify.
type verifyReport struct {
	Files   int          `json:"files"`
	Bytes   int64        `json:"bytes"`
	Skipped int          `json:"skipped"` // merged or dropped while they were waiting for their turn
	Damaged []damageLine `json:"damaged"`
}

type damageLine struct {
	Table  string `json:"table"`
	Path   string `json:"path"`
	Day    string `json:"day"`
	Rows   int64  `json:"rows"`
	Reason string `json:"reason"`
}

// LakeVerify reads every file of the lake's present snapshots, and names those that do not hold what was written to them. It only
// reads. Damage is an error.
func LakeVerify(ctx context.Context, o LakeOptions) error {
	if err := o.checkOutput(); err != nil {
		return err
	}
	reader, err := o.openReader(ctx)
	if err != nil {
		return err
	}
	show := newProgressShow(o.Stderr)
	report, err := o.verify(ctx, reader, show)
	show.end()
	if err = errors.Join(err, reader.Close()); err != nil {
		return err
	}
	if o.Output == "json" {
		if err := json.NewEncoder(o.Stdout).Encode(report); err != nil {
			return err
		}
	} else {
		for _, d := range report.Damaged {
			fmt.Fprintf(o.Stdout, "damaged: %s (table %s, day %s, %s rows): %s\n", d.Path, d.Table, d.Day, countText(d.Rows), d.Reason)
		}
		fmt.Fprintf(o.Stdout, "%s, %s read; %d damaged\n", countOf(int64(report.Files), "file"), sizeText(report.Bytes), len(report.Damaged))
	}
	if n := len(report.Damaged); n > 0 {
		return hint(fmt.Errorf("%d of %d files are damaged: no query reads them", n, report.Files),
			"bring their rows back from a backup: firth lake restore DIR; and look at the disk (dmesg, smartctl)")
	}
	return nil
}

func (o *LakeOptions) verify(ctx context.Context, reader *lake.Reader, show *progressShow) (*verifyReport, error) {
	names, err := o.tables(ctx, reader)
	if err != nil {
		return nil, err
	}
	report := &verifyReport{Damaged: []damageLine{}}
	for _, name := range names {
		snap, err := reader.Snapshot(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("list files of %s: %w", name, err)
		}
		done := int64(0)
		for _, f := range snap.Files {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			show.show(progress{Stage: "verify " + name, Done: done, Total: snap.Bytes, Unit: "bytes"})
			reason, skip, err := verifyFile(ctx, reader, name, f)
			if err != nil {
				return nil, err
			}
			done += f.Bytes
			if skip {
				report.Skipped++
				continue
			}
			report.Files, report.Bytes = report.Files+1, report.Bytes+f.Bytes
			if reason != "" {
				report.Damaged = append(report.Damaged, damageLine{name, f.Path, f.Day.Format(time.DateOnly), f.Rows, reason})
			}
		}
	}
	return report, nil
}

// verifyFile says what is wrong with a file, or that it has gone its way meanwhile: a server goes on beside the command.
func verifyFile(ctx context.Context, reader *lake.Reader, table string, f *lake.File) (reason string, gone bool, err error) {
	err = reader.VerifyFile(f)
	var damage lake.Damage
	switch {
	case err == nil:
		return "", false, nil
	case errors.As(err, &damage):
		return damage.Reason, false, nil
	case transient(err):
		return "", false, lakeHint(err) // of an object store, which says nothing about the file
	case !errors.Is(err, lake.ErrFileGone):
		return err.Error(), false, nil // a file that cannot be read is no better than a damaged one
	}
	snap, err := reader.Snapshot(ctx, table)
	if err != nil {
		return "", false, fmt.Errorf("list files of %s: %w", table, err)
	}
	for _, now := range snap.Files {
		if now.Path == f.Path {
			return "the file is missing", false, nil
		}
	}
	return "", true, nil
}
