package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/event"
)

var testStart = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func byOffset(calls []event.Call) []event.Call {
	slices.SortFunc(calls, func(a, b event.Call) int { return int(int64(a.Offset) - int64(b.Offset)) })
	return calls
}

// wantRows compares a table with the rows that it should hold.
func (e *lakeEnv) wantRows(source string, want []event.Call) {
	e.t.Helper()
	got := byOffset(e.rows(source))
	want = byOffset(slices.Clone(want))
	if len(got) != len(want) {
		e.t.Fatalf("%s has %d rows, want %d", source, len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			e.t.Fatalf("row %d of %s is\n%s, want\n%s", i, source, show(got[i]), show(want[i]))
		}
	}
}

func show(c event.Call) string {
	properties, context, payload, integrations := string(c.Properties), string(c.Context), string(c.Payload), string(c.Integrations)
	c.Properties, c.Context, c.Payload, c.Integrations = nil, nil, nil, nil
	return fmt.Sprintf("%+v %s %s %s %s", c, properties, context, payload, integrations)
}

func values(calls []*event.Call) []event.Call {
	var out []event.Call
	for _, c := range calls {
		out = append(out, *c)
	}
	return out
}

func TestRoundTrip(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(1, testStart)
	var want []event.Call
	for range 30 {
		calls := c.calls(10)
		calls[0].Properties, calls[1].Context = nil, nil
		calls[2].SentAt, calls[3].OriginalTimestamp = event.NoTime, event.NoTime
		calls[4].UserID, calls[5].AnonymousID = "", ""
		calls[6].TS, calls[7].TS = 0, -62_135_596_800_000_000 // 1970-01-01 and 0001-01-01
		calls[8].Type, calls[8].Event = "identify", "identify"
		calls[9].Event = strings.Repeat("ü", 300)
		e.journal.calls("production", calls...)
		want = append(want, values(calls)...)
	}
	e.mustDrain()
	e.wantRows("production", want)
	if e.journal.trimmed != 300 {
		t.Errorf("a clean stop trimmed the journal to %d, want 300", e.journal.trimmed)
	}
}

func TestFirstOfEqualIDsStays(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(2, testStart)
	first := c.calls(100)
	again := func(from []*event.Call) []*event.Call {
		var out []*event.Call
		for _, old := range from {
			dup := c.call()
			dup.MessageID = old.MessageID
			out = append(out, dup)
		}
		return out
	}
	e.journal.calls("production", append(first, again(first[:50])...)...)
	e.mustDrain() // in one batch
	e.journal.calls("production", again(first)...)
	e.mustDrain() // after a restart
	e.journal.calls("production", again(first[20:30])...)
	removeAll(t, e.o.Window)
	e.mustDrain() // after the window was lost
	e.wantRows("production", values(first))
	if e.last.Duplicates != 10 {
		t.Errorf("counted %d duplicates in the last run, want 10", e.last.Duplicates)
	}

	other := *first[0] // another table knows nothing of them
	e.journal.calls("staging", &other)
	e.mustDrain()
	if n := len(e.rows("staging")); n != 1 {
		t.Errorf("staging has %d rows, want 1", n)
	}
}

func TestFirstOfEqualIDsStaysInANewJournal(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(3, testStart)
	first := c.calls(10)
	e.journal.calls("production", first...)
	e.mustDrain()

	const next = "0f3d8a52-0000-4000-8000-00000000beef"
	for _, lost := range []bool{false, true} {
		e.journal = newMemJournal(next)
		c.log, c.next = next, 0
		dup := c.call() // has the same offset as the row that it repeats
		dup.MessageID = first[0].MessageID
		if lost {
			removeAll(t, e.o.Window)
		}
		e.journal.calls("production", dup)
		e.mustDrain()
		e.wantRows("production", values(first))
	}
}

func removeAll(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

func TestFlushesWhileRunning(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(4, testStart)
	l, err := Open(context.Background(), e.o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, l)
	w := l.Writer(e.journal, e.journal)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	var want []event.Call
	for i := range 5 {
		calls := c.calls(20)
		e.journal.calls("production", calls...)
		want = append(want, values(calls)...)
		waitFor(t, func() bool { return w.Stats().Rows == int64(20*(i+1)) })
	}
	if s := w.State(); s.State != StateOK || s.Name != "lake" {
		t.Errorf("state is %+v", s)
	}
	last := c.calls(7)
	e.journal.calls("production", last...)
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	e.wantRows("production", append(want, values(last)...))
}

func waitFor(t testing.TB, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited too long")
		}
	}
}

func TestFlushOverFortyDays(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(5, testStart)
	calls := c.calls(400)
	for i, x := range calls {
		x.TS -= int64(i%40) * microsPerDay
	}
	e.journal.calls("production", calls...)
	e.mustDrain()
	e.wantRows("production", values(calls))
	snap := e.snapshot("production")
	if len(snap.Files) != 40 || e.last.Files != 40 {
		t.Fatalf("%d files, want one for each of 40 days", len(snap.Files))
	}
	for _, f := range snap.Files {
		if dayOf(f.MinTS) != dayOf(f.MaxTS) || !dayTime(dayOf(f.MinTS)).Equal(f.Day) {
			t.Errorf("%s: day %s, ts from %s to %s", f.Path, f.Day, microsTime(f.MinTS), microsTime(f.MaxTS))
		}
		if want := "ts_day=" + f.Day.Format(time.DateOnly); filepath.Base(filepath.Dir(f.Path)) != want {
			t.Errorf("%s does not lie in %s", f.Path, want)
		}
	}
}

func (e *lakeEnv) snapshot(source string) *Snapshot {
	e.t.Helper()
	r, err := openReader(context.Background(), e.o.Catalog, e.o.withDefaults().FS)
	if err != nil {
		e.t.Fatal(err)
	}
	defer closeIt(e.t, r)
	snap, err := r.Snapshot(context.Background(), source)
	if err != nil {
		e.t.Fatal(err)
	}
	return snap
}

func TestDeadLetters(t *testing.T) {
	e := newEnv(t)
	e.o.Sources = []string{"production"}
	c := newCorpus(6, testStart)
	good := c.calls(2)
	e.journal.append(good[0].ReceivedAt, item{source: "production", call: good[0]},
		item{dead: &event.DeadLetter{ReceivedAt: good[0].ReceivedAt, Source: "production", Reason: "missing_event", Payload: []byte(`{"type":"track"}`)}},
		item{dead: &event.DeadLetter{ReceivedAt: good[0].ReceivedAt + 2*microsPerDay, Reason: "malformed_json", Payload: []byte("a\xffb")}})
	e.mustDrain()
	e.mustDrain() // reads the flush again, and leaves it out
	snap := e.snapshot(DeadLetters)
	if snap.Rows != 2 || len(snap.Files) != 2 {
		t.Fatalf("%d dead letters in %d files, want 2 in 2", snap.Rows, len(snap.Files))
	}
	if got := snap.Positions[testLog]; got != 3 {
		t.Errorf("position is %d, want 3", got)
	}
	r, err := OpenReader(context.Background(), e.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	sources, err := r.Sources(context.Background())
	if err != nil || !slices.Equal(sources, []string{"production"}) {
		t.Errorf("sources are %v, %v", sources, err)
	}
	if _, err := r.Snapshot(context.Background(), "nowhere"); !errors.Is(err, ErrNoTable) {
		t.Errorf("an unknown table gives %v, want ErrNoTable", err)
	}
}

func TestAJournalOlderThanTheLakeIsRefused(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(7, testStart)
	e.journal.calls("production", c.calls(10)...)
	e.mustDrain()
	e.journal = newMemJournal(testLog)
	e.journal.calls("production", c.calls(5)...)
	if err := e.drain(); !errors.Is(err, errJournalOlder) {
		t.Fatalf("got %v, want a refusal", err)
	}
}

func TestSnapshotIsTheSameUntilACommit(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(9, testStart)
	e.journal.calls("production", c.calls(10)...)
	e.mustDrain()
	ctx := context.Background()
	r, err := OpenReader(ctx, e.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	take := func() *Snapshot {
		snap, err := r.Snapshot(ctx, "production")
		if err != nil {
			t.Fatal(err)
		}
		return snap
	}
	first := take()
	if again := take(); again != first {
		t.Error("an unchanged table gave a new snapshot")
	}
	if !maps.Equal(first.Positions, map[string]uint64{testLog: 10}) || first.Rows != 10 || len(first.Files) != 1 {
		t.Errorf("snapshot is %+v", first)
	}
	e.journal.calls("production", c.calls(5)...)
	e.mustDrain()
	second := take()
	if second == first || second.Rows != 15 || first.Rows != 10 {
		t.Errorf("after a commit: %+v", second)
	}
	if second.Files[1] != first.Files[0] && second.Files[0] != first.Files[0] {
		t.Error("the file that stayed was read again")
	}
	var got []string
	if err := r.Calls(ctx, second, testLog, 8, 12, func(c *event.Call) error {
		got = append(got, fmt.Sprint(c.Offset))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"10", "11", "8", "9"}) {
		t.Errorf("offsets 8 to 12 gave %v", got)
	}
	files, err := r.Files(ctx, "production", microsTime(second.Files[0].MinReceived), microsTime(second.Files[0].MinReceived+1))
	if err != nil || len(files) != 1 {
		t.Errorf("files of a moment: %v, %v", files, err)
	}
	remove(t, first.Files[0].Path)
	if err := r.Calls(ctx, first, testLog, 0, 10, func(*event.Call) error { return nil }); !errors.Is(err, ErrFileGone) {
		t.Errorf("a removed file gives %v, want ErrFileGone", err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
