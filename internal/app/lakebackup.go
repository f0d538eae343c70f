package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"firth/internal/disk"
	"firth/internal/lake"
)

// backup first brings into the lake what was acknowledged before it was asked for.
func (t *lakeTools) backup(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
	if err := t.settle(ctx, show); err != nil {
		return nil, err
	}
	r, err := t.lake.Backup(ctx, o.Dir, showBackup("back up", show))
	return backupReport{r}, lakeHint(err)
}

func (t *lakeTools) restore(ctx context.Context, o lakeOrder, show func(progress)) (any, error) {
	r, err := t.lake.Restore(ctx, o.Dir, showBackup("restore", show))
	return backupReport{r}, lakeHint(err)
}

func showBackup(what string, show func(progress)) func(lake.BackupProgress) {
	return func(p lake.BackupProgress) {
		show(progress{Stage: strings.TrimSpace(what + " " + p.Table), Done: p.Bytes, Total: p.BytesTotal, Unit: "bytes"})
	}
}

// lakeHint gives an error of the lake what a person can do about it, where the error does not say it itself.
func lakeHint(err error) error {
	switch {
	case err == nil || hintOf(err) != "":
		return err
	case errors.Is(err, lake.ErrNoBackup):
		return hint(err, "name the folder of a backup that was brought to its end: firth lake backup DIR makes one")
	case disk.IsFull(err):
		return hint(err, "make room on the disk, and try again: nothing is lost by it")
	case errors.Is(err, lake.ErrDamaged):
		return hint(err, "the file does not hold what was written to it; look at its disk, and use another backup if there is one")
	}
	return err
}

// backupReport is the outcome of firth lake backup and restore.
type backupReport struct{ lake.BackupReport }

func (r backupReport) text() string {
	var b strings.Builder
	table := columns{header: []string{"table", "state", ">rows", ">bytes", ">files", ">copied", ">removed"}}
	var rows, bytes, files, copied, removed int64
	for _, t := range r.Tables {
		table.add(t.Table, t.State, countText(t.Rows), sizeText(t.Bytes), countText(int64(t.Files)), countText(int64(t.Copied)), countText(int64(t.Removed)))
		rows, bytes, files, copied, removed = rows+t.Rows, bytes+t.Bytes, files+int64(t.Files), copied+int64(t.Copied), removed+int64(t.Removed)
	}
	table.add("all", "", countText(rows), sizeText(bytes), countText(files), countText(copied), countText(removed))
	table.print(&b)
	fmt.Fprintf(&b, "\n%s, in %s\n", r.Dir, spanText(r.Took))
	return b.String()
}
