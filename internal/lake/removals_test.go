package lake

import (
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"
)

func TestRemovalsAreCounted(t *testing.T) {
	d := newTended(newEnv(t), 10*24*time.Hour)
	d.mustOpen()
	defer d.close()
	d.now = time.Date(2026, 11, 20, 6, 0, 0, 0, time.UTC)
	c := newCorpus(72, testStart)
	today := d.now.Truncate(24 * time.Hour)
	for _, back := range []int{0, 0, 30} {
		d.mustFlush("production", dated(c, today.AddDate(0, 0, -back), d.now.AddDate(0, 0, -back), 3)...)
	}
	if n := d.snapshot("production").Removed; n != 0 {
		t.Errorf("%d removals before any", n)
	}
	if report := d.mustRound(); report.DroppedRows != 3 {
		t.Fatalf("%+v", report)
	}
	if n := d.snapshot("production").Removed; n != 1 {
		t.Errorf("%d removals after retention, want 1", n)
	}
	overwrite, replace := swap{op: table.OpOverwrite, remove: []*File{{}}}, swap{op: table.OpReplace, remove: []*File{{}}}
	if !overwrite.removes() || replace.removes() || (swap{op: table.OpOverwrite}).removes() {
		t.Error("a commit takes rows away where it removes files and is no replacement")
	}
}
