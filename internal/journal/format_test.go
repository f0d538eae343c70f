package journal_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/disk/disktest"
	"firth/internal/journal"
)

var update = flag.Bool("update", false, "write the golden files anew (but never a journal of a format that was released)")

// counting gives bytes that are different and the same every time.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = c.n
		c.n += 7
	}
	return len(p), nil
}

func fixtureOptions() journal.Options {
	clock := newClock()
	clock.step = 1500 * time.Microsecond
	return journal.Options{Now: clock.Now, Random: &counting{}, SegmentBytes: 300}
}

// makeFixture makes the journal that is checked in: four segments of format 1, the last one without frames.
func makeFixture(t *testing.T) *disktest.FS {
	fsys := disktest.New()
	j := start(t, fsys, fixtureOptions())
	mustAppend(t, j.Journal, "a single call", 1)
	mustAppend(t, j.Journal, strings.Repeat("a batch of twenty ", 8), 20)
	mustAppend(t, j.Journal, "", 1)
	mustAppend(t, j.Journal, "\x00binary\xff", 2)
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	return fsys
}

func describe(j *journal.Journal, frames []journal.Frame) string {
	s := j.Stats()
	text := fmt.Sprintf("log %s, offsets %d to %d, last received %d, %d segments\n",
		j.Log(), s.Oldest, s.Next, s.LastReceivedAt, s.Segments)
	for _, f := range frames {
		text += fmt.Sprintf("offset %d count %d received %d payload %q\n", f.Offset, f.Count, f.ReceivedAt, f.Payload)
	}
	return text
}

// A journal that was written in format 1 opens for ever, and this version still writes exactly that.
func TestFormat1(t *testing.T) {
	const folder = "testdata/format1"
	made := makeFixture(t)
	if names, err := filepath.Glob(folder + "/*.seg"); err != nil || len(names) == 0 {
		if !*update {
			t.Fatalf("%s is missing: %v", folder, err)
		}
		writeFixture(t, made, folder)
	}
	found := disktest.New()
	names, err := filepath.Glob(folder + "/*.seg")
	if err != nil || len(names) != 4 {
		t.Fatalf("%v: %v", names, err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		path := dir + "/" + filepath.Base(name)
		found.SetContent(path, content)
		if diff := cmp.Diff(content, made.Content(path)); diff != "" {
			t.Errorf("%s is not what is written today (-checked in +written):\n%s", name, diff)
		}
	}
	j := start(t, found, fixtureOptions())
	golden(t, "testdata/format1.golden", describe(j.Journal, mustRead(t, j.Journal, 0)))
	if e := mustAppend(t, j.Journal, "on", 1); e.Offset != 24 {
		t.Errorf("the next offset is %d", e.Offset)
	}
}

func writeFixture(t *testing.T, made *disktest.FS, folder string) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range made.Names() {
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(name)), made.Content(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The order of the durable steps is what the promises rest on.
func TestSteps(t *testing.T) {
	fsys := disktest.New()
	var steps strings.Builder
	fsys.Trace(func(o disktest.Op) { fmt.Fprintln(&steps, " ", o) })
	say := func(what string) { fmt.Fprintln(&steps, what) }
	o := fixtureOptions()
	o.SegmentBytes = 500
	say("open a new journal")
	j := start(t, fsys, o)
	say("append")
	mustAppend(t, j.Journal, strings.Repeat("x", 200), 1)
	say("append beyond the size of a segment")
	mustAppend(t, j.Journal, strings.Repeat("y", 300), 1)
	say("trim all")
	if err := j.Trim(2); err != nil {
		t.Fatal(err)
	}
	say("append")
	mustAppend(t, j.Journal, "z", 1)
	say("shut down")
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	say("open")
	j = start(t, fsys, o)
	say("append")
	mustAppend(t, j.Journal, "z", 1)
	say("open after a torn write")
	content := fsys.Content(segment(4))
	fsys.SetContent(segment(4), append(content, "half a frame"...))
	start(t, fsys, o)
	golden(t, "testdata/steps.golden", steps.String())
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
