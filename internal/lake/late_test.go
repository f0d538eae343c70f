package lake

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"firth/internal/event"
)

// TestLateEventsAreLookedUpInTheTable sends events again whose ids the window has long forgotten.
func TestLateEventsAreLookedUpInTheTable(t *testing.T) {
	e := newEnv(t)
	e.o.DedupIDs = 80
	c := newCorpus(21, testStart)
	c.step = time.Minute
	var first []*event.Call
	for range 12 { // twelve flushes of 50 minutes each
		calls := c.calls(50)
		e.journal.calls("production", calls...)
		first = append(first, calls...)
		e.mustDrain()
	}
	c.now = c.now.Add(48 * time.Hour)
	again := func(from []*event.Call) []*event.Call {
		var out []*event.Call
		for _, old := range from {
			dup := c.call()
			// The clock correction gives a ts that is a little off.
			dup.MessageID, dup.TS = old.MessageID, old.TS+int64(len(out)%7-3)*1_000_000
			out = append(out, dup)
		}
		return out
	}
	fresh := c.calls(2)
	fresh[0].TS, fresh[1].TS = first[3].TS, first[3].TS // late too, but new
	e.journal.calls("production", append(fresh, again(first[:1])...)...)
	e.mustDrain()
	if e.last.Duplicates != 1 || e.last.Sources["production"].Late < 3 {
		t.Errorf("one late event of three was sent again: %+v", e.last)
	}
	e.journal.calls("production", again(first)...) // more of them than a Bloom filter is asked for
	e.mustDrain()
	if e.last.Duplicates != int64(len(first)) {
		t.Errorf("%d of %d late events were dropped", e.last.Duplicates, len(first))
	}
	e.wantRows("production", append(values(first), values(fresh)...))
}

// TestTheWindowSpansItsIDs looks at the numbers that are exported.
func TestTheWindowSpansItsIDs(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(22, testStart)
	c.step = time.Minute
	e.journal.calls("production", c.calls(121)...)
	e.mustDrain()
	s := e.last.Sources["production"]
	if s.WindowIDs != 121 || s.WindowSpan != 2*time.Hour {
		t.Errorf("the window holds %d ids over %s, want 121 over 2h", s.WindowIDs, s.WindowSpan)
	}
}

// TestOneEventPrunesRowGroups reads the footer as an engine does, and looks what a question for one event must read.
func TestOneEventPrunesRowGroups(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(23, testStart)
	c.step = time.Microsecond
	const n = 100_000
	for range n / 5000 {
		e.journal.calls("production", c.calls(5000)...)
	}
	e.o.Bytes, e.o.Every = 1<<30, time.Hour
	e.mustDrain()
	snap := e.snapshot("production")
	if len(snap.Files) != 1 {
		t.Fatalf("%d files, want 1", len(snap.Files))
	}
	f := snap.Files[0]
	file := openParquet(t, f.Path)
	groups := file.RowGroups()
	if len(groups) < 3 {
		t.Fatalf("%d row groups", len(groups))
	}
	wanted := 0
	for _, g := range groups {
		chunk := g.ColumnChunks()[2].(*parquet.FileColumnChunk)
		lo, hi, ok := chunk.Bounds()
		if !ok {
			t.Fatal("a row group has no bounds for event")
		}
		if lo.String() <= "Report Deleted" && "Report Deleted" <= hi.String() {
			wanted++
		}
		if chunk := g.ColumnChunks()[0]; chunk.BloomFilter() == nil {
			t.Error("no Bloom filter for message_id")
		}
		if _, err := g.ColumnChunks()[3].ColumnIndex(); err != nil {
			t.Errorf("page index: %v", err)
		}
		if s := g.SortingColumns(); len(s) != 2 || s[0].Path()[0] != "event" || s[1].Path()[0] != "ts" {
			t.Errorf("sorted by %v", s)
		}
	}
	if wanted == 0 || wanted > 2 {
		t.Errorf("one event takes %d of %d row groups", wanted, len(groups))
	}
	for i, col := range file.Root().Columns() {
		if col.ID() != i+1 || !col.Optional() {
			t.Errorf("column %s has the id %d, optional %v", col.Name(), col.ID(), col.Optional())
		}
	}
	t.Logf("%d rows, %.1f bytes an event, one event reads %d of %d row groups", f.Rows, float64(f.Bytes)/float64(f.Rows), wanted, len(groups))
}

func openParquet(t testing.TB, path string) *parquet.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeIt(t, f) })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestCommitsStayFlat makes many commits (a thousand with FIRTH_MEASURE set) and reports what the last ones cost beside the
// first; it asserts what makes them flat.
func TestCommitsStayFlat(t *testing.T) {
	e, fs := crashEnv(t)
	e.o.DedupIDs = 1 << 20
	n := 300
	if os.Getenv("FIRTH_MEASURE") != "" {
		n = 1000
	}
	l, err := Open(t.Context(), e.o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, l)
	s, err := l.store(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	c := newCorpus(24, testStart)
	w := newWriter(l, e.journal, e.journal)
	var took []time.Duration
	for i := range n {
		rows := c.calls(5)
		start := time.Now()
		if _, _, err := writeDays(t.Context(), w, s, w.calls, rows, func(*event.Call) int64 { return dayOf(testStart.UnixMicro()) },
			span{testLog, uint64(5 * i), uint64(5*i + 5)}); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	start := time.Now()
	snap := e.snapshot("production")
	planned := time.Since(start)
	if snap.Rows != int64(5*n) || snap.Positions[testLog] != uint64(5*n) {
		t.Fatalf("%d rows, position %d", snap.Rows, snap.Positions[testLog])
	}
	if k := len(s.current().Metadata().Snapshots()); k > keepSnapshots {
		t.Errorf("the table keeps %d snapshots", k)
	}
	kinds := map[string]int{}
	for _, name := range fs.Names() {
		kinds[filepath.Ext(name)]++
	}
	t.Logf("commits 101-200: %s each; the last 100: %s each; planning %d files anew: %s; metadata files: %v",
		median(took[100:200]), median(took[n-100:]), len(snap.Files), planned.Round(time.Millisecond), kinds)
}

// median tells more than the mean on a machine that does other things as well.
func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2].Round(10 * time.Microsecond)
}
