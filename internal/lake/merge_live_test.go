package lake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/event"
)

// TestMergeBesideWriterAndReaders counts rows while they are written and merged at full tilt: every snapshot holds what its position
// says, whatever was merged meanwhile.
func TestMergeBesideWriterAndReaders(t *testing.T) {
	e := newEnv(t)
	e.o.Sources, e.o.Every = []string{"production"}, 5*time.Millisecond
	l, err := Open(t.Context(), e.o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, l)
	r, err := OpenReader(t.Context(), e.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	w := l.Writer(e.journal, e.journal)
	m := l.Merger(MergeOptions{SmallEvery: 2 * time.Millisecond, LargeEvery: 10 * time.Millisecond, SmallBytes: 60 << 10, LargeBytes: 400 << 10, Temp: e.dir})
	stop, cancel := context.WithCancel(t.Context())
	merging, end := context.WithCancel(t.Context())
	done := make(chan error, 2)
	go func() { done <- w.Run(stop) }()
	go func() { done <- m.Run(merging) }()
	const total = 12_000
	c := newCorpus(71, time.Now())
	go func() {
		for e.journal.end() < total {
			calls := c.calls(20)
			calls[0].TS -= microsPerDay
			e.journal.calls("production", calls...)
			if n := e.journal.end(); n%200 == 0 { // so that there is more than one flush
				for l.position("production") < n-1 && stop.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			}
		}
		cancel()
	}()
	snapshots := 0
	for last := int64(-1); last < total; {
		snap, err := r.Snapshot(t.Context(), "production")
		if err != nil {
			t.Fatal(err)
		}
		position := snap.Positions[testLog]
		rows := int64(0)
		if err := r.Calls(t.Context(), snap, testLog, 0, position, func(*event.Call) error { rows++; return nil }); err != nil {
			t.Fatal(err)
		}
		if rows != int64(position) || snap.Rows != rows || rows < last {
			t.Fatalf("position %d, %d rows read, the snapshot counts %d, the last one had %d", position, rows, snap.Rows, last)
		}
		last = rows
		snapshots++
	}
	waitFor(t, func() bool { s := m.Stats(); return s.Merges > 3 && s.WaitingFiles == 0 })
	end()
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	s := m.Stats()
	if s.Merges == 0 || s.Amplification <= 1 || s.Failures != 0 || m.State().State != StateOK {
		t.Errorf("stats %+v, state %+v", s, m.State())
	}
	t.Logf("%d snapshots seen, %d merges, amplification %.1f", snapshots, s.Merges, s.Amplification)
}

// position is what a table states of the test's journal, 0 while there is no such table.
func (l *Lake) position(source string) uint64 {
	s, err := l.store(context.Background(), source)
	if err != nil {
		return 0
	}
	at, err := s.position(testLog)
	if err != nil {
		return 0
	}
	return at
}

// picked is a file of the selection tests: its name, its size, and when its rows were received.
func picked(name string, kilobytes, minute int) *File {
	at := testStart.Add(time.Duration(minute) * time.Minute)
	return &File{Path: name, Bytes: int64(kilobytes) << 10, Rows: int64(kilobytes), Day: dayTime(dayOf(at.UnixMicro())), MinReceived: at.UnixMicro(), MaxReceived: at.UnixMicro()}
}

func TestWhatIsMerged(t *testing.T) {
	many := func(n, kilobytes, from int) (out []*File) {
		for i := range n {
			out = append(out, picked(fmt.Sprint("f", from+i), kilobytes, from+i))
		}
		return out
	}
	names := func(from, to int) (out []string) {
		for i := from; i < to; i++ {
			out = append(out, fmt.Sprint("f", i))
		}
		return out
	}
	for _, tt := range []struct {
		name   string
		files  []*File
		kind   MergeKind
		cold   bool // the day no longer grows
		byHand bool
		want   []string
	}{
		{name: "nothing", kind: MergeSmall},
		{name: "one file alone", files: many(1, 5, 0), kind: MergeSmall, cold: true, byHand: true},
		{name: "a growing day waits for eight", files: many(7, 5, 0), kind: MergeSmall},
		{name: "eight", files: many(8, 5, 0), kind: MergeSmall, want: names(0, 8)},
		{name: "at most a hundred", files: many(120, 5, 0), kind: MergeSmall, want: names(0, 100)},
		{name: "a day at rest waits no longer", files: many(2, 5, 0), kind: MergeSmall, cold: true, want: names(0, 2)},
		{name: "order of receipt", files: []*File{picked("c", 5, 3), picked("a", 5, 1), picked("b", 5, 2)}, kind: MergeSmall, cold: true, want: []string{"a", "b", "c"}},
		{name: "large files are not small", files: append(many(7, 5, 0), picked("big", 20<<10, 9)), kind: MergeSmall},
		{name: "a large file is not written again for a few rows", files: append(many(7, 5, 1), picked("big", 9<<10, 0)), kind: MergeSmall, cold: true, want: names(1, 8)},
		{name: "nor by the large merger", files: append(many(3, 5, 1), picked("big", 90<<10, 0)), kind: MergeLarge, cold: true, want: names(1, 4)},
		{name: "nor on a growing day", files: append(many(30, 5, 1), picked("big", 5<<10, 0)), kind: MergeSmall, want: names(1, 31)},
		{name: "files of one size become the next size", files: many(9, 4<<10, 0), kind: MergeSmall, want: names(0, 9)},
		{name: "large ones wait until they make half a file", files: many(3, 12<<10, 0), kind: MergeLarge},
		{name: "and then become one", files: many(9, 12<<10, 0), kind: MergeLarge, want: names(0, 8)},
		{name: "of a day at rest whatever there is", files: many(3, 12<<10, 0), kind: MergeLarge, cold: true, want: names(0, 3)},
		{name: "no file beyond the limit", files: many(3, 60<<10, 0), kind: MergeLarge, cold: true, byHand: true},
		{name: "by hand also unequal ones", files: append(many(1, 5, 1), picked("big", 90<<10, 0)), kind: MergeAll, byHand: true, want: []string{"big", "f1"}},
		{name: "by hand small ones alone", files: append(many(2, 5, 1), picked("big", 90<<10, 0)), kind: MergeSmall, byHand: true, want: names(1, 3)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := testStart.Add(30 * time.Minute)
			if tt.cold {
				now = now.Add(24 * time.Hour)
			}
			m := (&Lake{o: Options{Now: func() time.Time { return now }}.withDefaults()}).Merger(MergeOptions{})
			var got []string
			for _, files := range m.days(tt.files) {
				for _, f := range m.pick(files, tt.kind, tt.byHand) {
					got = append(got, f.Path)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("picked %v, want %v", got, tt.want)
			}
		})
	}
}

// TestMergeGoesByDate merges days with unlike numbers of files, in two tables.
func TestMergeGoesByDate(t *testing.T) {
	for _, tt := range []struct {
		kind MergeKind
		want string
	}{
		{MergeSmall, "production 11-20, staging 11-19, production 11-18"},
		{MergeAll, "production 11-18, staging 11-19, production 11-20"},
	} {
		e := newMergeEnv(t)
		put := func(source string, daysAgo, files int) {
			c := newCorpus(uint64(daysAgo), testStart.Add(-time.Duration(daysAgo)*24*time.Hour))
			for range files {
				e.put(source, c.calls(3))
			}
		}
		put("production", 2, 3)
		put("staging", 1, 9)
		put("production", 0, 2)
		put("staging", 5, 1) // alone
		var got []string
		_, err := e.merger().Merge(t.Context(), tt.kind, "", func(p MergeProgress) { got = append(got, p.Table+p.Day.Format(" 01-02")) })
		if err != nil || strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: %v, %v", tt.kind, got, err)
		}
	}
}

// TestAmplificationIsBounded counts what a day of flushes costs, by the rules alone.
func TestAmplificationIsBounded(t *testing.T) {
	m := (&Lake{o: Options{Now: func() time.Time { return testStart.Add(24 * time.Hour) }}.withDefaults()}).Merger(MergeOptions{})
	for _, flush := range []int{1, 30, 1400} { // kilobytes
		var live []*File
		var flushed, written int64
		merge := func(kind MergeKind) {
			for {
				days := m.days(live)
				var of []*File
				for _, files := range days {
					of = m.pick(files, kind, false)
				}
				if len(of) == 0 {
					return
				}
				sum := *of[0]
				sum.Path, sum.Bytes, sum.Rows = fmt.Sprint("m", written), 0, 0
				for _, f := range of {
					sum.Bytes, sum.Rows, sum.MaxReceived = sum.Bytes+f.Bytes, sum.Rows+1, max(sum.MaxReceived, f.MaxReceived)
				}
				written += sum.Bytes
				live = append(slices.DeleteFunc(live, func(f *File) bool { return slices.Contains(of, f) }), &sum)
			}
		}
		for i := range 20_000 { // seconds
			f := picked(fmt.Sprint("f", i), flush, 0)
			f.MinReceived += int64(i) * 1_000_000
			f.MaxReceived = f.MinReceived
			m.l.o.Now = func() time.Time { return microsTime(f.MaxReceived) }
			live, flushed = append(live, f), flushed+f.Bytes
			if i%30 == 29 {
				merge(MergeSmall)
			}
			if i%600 == 599 {
				merge(MergeLarge)
			}
			if n := len(below(live, 0, m.o.LargeBytes/2)); n > 100 {
				t.Fatalf("flushes of %d KB: %d small files after %d", flush, n, i)
			}
		}
		m.l.o.Now = func() time.Time { return testStart.Add(48 * time.Hour) }
		merge(MergeLarge)
		if a := float64(flushed+written) / float64(flushed); a > 6 {
			t.Errorf("flushes of %d KB are written %.1f times", flush, a)
		} else {
			t.Logf("flushes of %d KB are written %.1f times; %d files of the day stay", flush, a, len(live))
		}
	}
}
