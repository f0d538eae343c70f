package lake

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// freshFor is how long what was just received is left alone by retention, however old its days: loaders read it meanwhile.
const freshFor = time.Hour

// keptKey is a property of the snapshot that drops days: the first one that is kept.
const keptKey = "firth.kept-from"

// outdated picks the files of days that ended before a time and that were received before another.
func outdated(snap *Snapshot, before, received time.Time) (files []*File, days map[time.Time]bool) {
	days = map[time.Time]bool{}
	for _, f := range snap.Files {
		if f.Day.AddDate(0, 0, 1).After(before) || f.MaxReceived > received.UnixMicro() {
			continue
		}
		files = append(files, f)
		days[f.Day] = true
	}
	return files, days
}

// retain drops the days of a table that are older than is to be kept: whole files, named one by one, in one commit.
func (t *Tender) retain(ctx context.Context, name string, now time.Time, byHand bool, progress func(TendProgress), report *TendReport) error {
	if t.o.Keep <= 0 || t.clock.waits && !byHand {
		return nil
	}
	w, err := t.watch(ctx, name)
	if err != nil {
		return err
	}
	snap, err := w.s.snapshot()
	if err != nil {
		return err
	}
	before, received := now.Add(-t.o.Keep), now.Add(-freshFor)
	if byHand {
		received = time.UnixMicro(1<<63 - 1)
	}
	if files, _ := outdated(snap, before, received); len(files) == 0 {
		return nil
	}
	progress(TendProgress{Step: "retain", Table: name})
	var files []*File
	var days map[time.Time]bool
	kept := dayTime(dayOf(before.UnixMicro()))
	err = w.s.swap(ctx, "retain", swap{
		op: table.OpDelete, note: iceberg.Properties{keptKey: kept.Format(time.DateOnly)},
		pick: func(snap *Snapshot) []*File { // a merger may have been faster
			files, days = outdated(snap, before, received)
			return files
		},
	})
	if err != nil {
		return errors.Join(err, w.s.reload(ctx))
	}
	var rows int64
	for _, f := range files {
		rows += f.Rows
	}
	report.DroppedDays += int64(len(days))
	report.DroppedFiles += int64(len(files))
	report.DroppedRows += rows
	t.stat(func(s *TendStats) {
		s.DroppedFiles += int64(len(files))
		s.DroppedRows += rows
	})
	return nil
}

const (
	// packAt is how many small manifests are merged when no flush does it: after a hundred merges, say, and then silence.
	packAt = 100
	// packByHand is the same for a round by hand.
	packByHand = 8
)

// pack merges the small manifests of a table when there are many.
func (t *Tender) pack(ctx context.Context, name string, byHand bool, progress func(TendProgress), report *TendReport) error {
	w, err := t.watch(ctx, name)
	if err != nil {
		return err
	}
	current := w.s.current().CurrentSnapshot()
	if current == nil {
		return nil
	}
	list, err := current.Manifests(w.s.l.catalog.IO())
	if err != nil {
		return err
	}
	target, err := strconv.ParseInt(tableProperties()[table.ManifestTargetSizeBytesKey], 10, 64)
	if err != nil {
		return err
	}
	small := func(m iceberg.ManifestFile) bool { return m.Length() < target/2 }
	n := len(list) - len(slices.DeleteFunc(slices.Clone(list), small))
	report.ManifestsBefore += int64(len(list))
	report.ManifestsAfter += int64(len(list))
	if n < packByHand || n < packAt && !byHand {
		return nil
	}
	progress(TendProgress{Step: "manifests", Table: name})
	err = w.s.change(ctx, "manifests", func(_ *table.Table, tx *table.Transaction) error {
		result, err := tx.RewriteManifests(ctx, table.WithRewriteManifestPredicate(small))
		if err == nil && !result.IsNoOp() {
			report.ManifestsAfter += int64(len(result.AddedManifests) - len(result.RewrittenManifests))
		}
		return err
	})
	if err != nil {
		return errors.Join(err, w.s.reload(ctx))
	}
	return nil
}
