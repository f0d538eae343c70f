package lake

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firth/internal/disk/disktest"
)

var metadataNumber = regexp.MustCompile(`/\d{5,}-UUID`)

// TestOrderOfTending shows what a tender does to the disk, in order. What matters: files are written down as condemned a grace
// before they are removed, and metadata that no longer names them is durable before that. Files are removed in any order.
func TestOrderOfTending(t *testing.T) {
	h := newSweepHistory(t)
	d, fs := h.copy(t)
	var steps []string
	removed := map[string]int{}
	flush := func() {
		for _, line := range slices.Sorted(maps.Keys(removed)) {
			steps = append(steps, fmt.Sprintf("%s (%d)", line, removed[line]))
		}
		clear(removed)
	}
	d.o.step = func(name string) error {
		if len(removed) > 0 && slices.Contains(steps, name) && steps[len(steps)-1] == name {
			return nil // the next batch of the same table
		}
		flush()
		steps = append(steps, name)
		return nil
	}
	d.mustOpen()
	trace := func(op disktest.Op) {
		line := metadataNumber.ReplaceAllString(anonymous(fmt.Sprintf("  %s %s", op.Kind, op.Path)), "/N-UUID")
		if op.Kind == disktest.Remove {
			removed[line]++
			return
		}
		flush()
		if steps[len(steps)-1] != line {
			steps = append(steps, line)
		}
	}
	for i := range 4 {
		steps = append(steps, fmt.Sprintf("round %d", i+1))
		fs.Trace(trace)
		d.mustRound()
		flush()
		fs.Trace(nil)
		d.pass(testGrace)
		if i == 1 { // until no snapshot names what was dropped
			kept := slices.Clone(steps)
			c := newCorpus(83, testStart)
			for range keepSnapshots {
				d.mustFlush("production", dated(c, h.now, d.now, 1)...)
			}
			steps = append(kept, "fifty flushes")
		}
	}
	fs.Trace(nil)
	d.close()
	golden(t, "sweep_order.txt", strings.Join(steps, "\n")+"\n")
}
