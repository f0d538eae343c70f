package lake

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"firth/internal/disk/disktest"
	"firth/internal/event"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestOrderOfDurableSteps shows what a flush does to the disk, in order. What matters: every file is synced, and the folder
// of its name, before the catalog row that makes it current; the window follows the row, the journal is trimmed last.
func TestOrderOfDurableSteps(t *testing.T) {
	e, fs := crashEnv(t)
	c := newCorpus(41, testStart)
	e.journal.calls("production", c.calls(3)...)
	e.mustDrain()

	calls := c.calls(4)
	calls[0].TS -= microsPerDay
	e.journal.calls("production", calls...)
	e.journal.append(c.now.UnixMicro(), item{dead: &event.DeadLetter{ReceivedAt: c.now.UnixMicro(), Reason: "missing_event"}})
	var steps []string
	fs.Trace(func(op disktest.Op) {
		line := fmt.Sprintf("  %s %s", op.Kind, op.Path)
		if op.Kind == disktest.Rename {
			line += " to " + filepath.Base(op.To)
		}
		if line = anonymous(line); len(steps) == 0 || steps[len(steps)-1] != line {
			steps = append(steps, line)
		}
	})
	e.o.step = func(name string) error {
		steps = append(steps, name)
		return nil
	}
	e.mustDrain()
	fs.Trace(nil)
	golden(t, "flush_order.txt", strings.Join(steps, "\n")+"\n")
}

var (
	uuids  = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	hashes = regexp.MustCompile(`-[0-9a-f]{16}\.parquet`)
	summed = regexp.MustCompile(`-[0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f]{8}\.parquet`)
	snaps  = regexp.MustCompile(`snap-\d+-`)
)

func anonymous(s string) string {
	s = uuids.ReplaceAllString(s, "UUID")
	s = summed.ReplaceAllString(s, "-RANDOM-SUM-SUM.parquet")
	s = hashes.ReplaceAllString(s, "-RANDOM.parquet")
	return snaps.ReplaceAllString(s, "snap-ID-")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and look at the difference. Now:\n%s", path, got)
	}
}

// TestReadersSeeWholeCommits counts rows while they are written: a snapshot holds what its position says, and never less
// than the one before.
func TestReadersSeeWholeCommits(t *testing.T) {
	e := newEnv(t)
	e.o.Sources = []string{"production"}
	c := newCorpus(42, testStart)
	ctx := t.Context()
	l, err := Open(ctx, e.o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, l)
	r, err := OpenReader(ctx, e.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	w := l.Writer(e.journal, e.journal)
	stop, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- w.Run(stop) }()
	const total = 3000
	go func() {
		for e.journal.end() < total {
			e.journal.calls("production", c.calls(10)...)
		}
		cancel()
	}()
	snapshots, last := 0, uint64(0)
	for last < total {
		snap, err := r.Snapshot(ctx, "production")
		if err != nil {
			t.Fatal(err)
		}
		position := snap.Positions[testLog]
		if position < last {
			t.Fatalf("the position went from %d to %d", last, position)
		}
		if position == last {
			continue
		}
		rows := uint64(0)
		if err := r.Calls(ctx, snap, testLog, 0, position, func(*event.Call) error { rows++; return nil }); err != nil {
			t.Fatal(err)
		}
		if rows != position || uint64(snap.Rows) != position {
			t.Fatalf("position %d, %d rows read, the snapshot counts %d", position, rows, snap.Rows)
		}
		last = position
		snapshots++
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d snapshots seen", snapshots)
}
