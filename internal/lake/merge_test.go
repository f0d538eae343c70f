package lake

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// mergeEnv is a lake whose files are put into the tables directly, past the writer and its window: so with duplicates.
type mergeEnv struct {
	*lakeEnv
	l    *Lake
	hook func(step string) error // told of each durable step, when set
}

func newMergeEnv(t testing.TB) *mergeEnv {
	e := &mergeEnv{lakeEnv: newEnv(t)}
	e.open()
	t.Cleanup(e.close)
	return e
}

func (e *mergeEnv) open() {
	e.t.Helper()
	e.o.step = func(name string) error {
		if e.hook != nil {
			return e.hook(name)
		}
		return nil
	}
	l, err := Open(context.Background(), e.o)
	if err != nil {
		e.t.Fatal(err)
	}
	e.l = l
}

func (e *mergeEnv) close() { closeIt(e.t, e.l) }

// put commits one flush of calls, a file a day.
func (e *mergeEnv) put(source string, calls []*event.Call) {
	e.t.Helper()
	s, err := e.l.store(e.t.Context(), source)
	if err != nil {
		e.t.Fatal(err)
	}
	sorted := slices.Clone(calls)
	slices.SortFunc(sorted, compareCalls)
	w := &Writer{l: e.l, log: testLog}
	out := rowfile.NewWriter(e.l.calls)
	to := uint64(0)
	for _, c := range calls {
		to = max(to, c.Offset+1)
	}
	if at, err := s.position(testLog); err != nil {
		e.t.Fatal(err)
	} else {
		to = max(to, at)
	}
	_, _, err = writeDays(e.t.Context(), w, s, out, sorted, func(c *event.Call) int64 { return dayOf(c.TS) }, span{log: testLog, to: to})
	if err != nil {
		e.t.Fatal(err)
	}
}

func (e *mergeEnv) merger() *Merger { return e.l.Merger(MergeOptions{Temp: e.dir}) }

func (e *mergeEnv) mustMerge(m *Merger, kind MergeKind) MergeReport {
	e.t.Helper()
	r, err := m.Merge(e.t.Context(), kind, "", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	return r
}

// model is what a merge is to make of the rows of a day: of each message id the first row of each journal, and of these the one
// received first.
func model(calls []event.Call) []event.Call {
	first := map[string]event.Call{}
	keep := func(key string, c event.Call, better func(a, b event.Call) bool) {
		if have, ok := first[key]; !ok || better(c, have) {
			first[key] = c
		}
	}
	for _, c := range calls {
		keep(fmt.Sprint(dayOf(c.TS), c.MessageID, c.Log), c, func(a, b event.Call) bool { return a.Offset < b.Offset })
	}
	journals := first
	first = map[string]event.Call{}
	for _, c := range journals {
		keep(fmt.Sprint(dayOf(c.TS), c.MessageID), c, func(a, b event.Call) bool {
			return cmp.Or(cmp.Compare(a.ReceivedAt, b.ReceivedAt), cmp.Compare(a.Log, b.Log)) < 0
		})
	}
	var out []event.Call
	for _, c := range first {
		out = append(out, c)
	}
	slices.SortFunc(out, inTableOrder)
	return out
}

func inTableOrder(a, b event.Call) int {
	return cmp.Or(compareCalls(&a, &b), cmp.Compare(a.Log, b.Log))
}

// files reads each file of a table, in its own order.
func (e *mergeEnv) files(source string) (out [][]event.Call) {
	e.t.Helper()
	for _, f := range e.snapshot(source).Files {
		var rows []event.Call
		err := withFile(e.l.verifier, e.l.calls, f, func(file *rowfile.File[event.Call]) error {
			return file.Scan(rowfile.Scan{}, nil, func(c *event.Call) error {
				own := *c
				own.Properties, own.Context, own.Payload = clone(c.Properties), clone(c.Context), clone(c.Payload)
				own.Integrations = clone(c.Integrations)
				rows = append(rows, own)
				return nil
			})
		})
		if err != nil {
			e.t.Fatal(err)
		}
		out = append(out, rows)
	}
	return out
}

// wantMerged compares what the table holds, one file a day, with the model.
func (e *mergeEnv) wantMerged(source string, all []event.Call) {
	e.t.Helper()
	var got []event.Call
	days := map[int64]bool{}
	for _, rows := range e.files(source) {
		day := dayOf(rows[0].TS)
		if days[day] {
			e.t.Errorf("day %d has more than one file", day)
		}
		days[day] = true
		sorted := slices.IsSortedFunc(rows, inTableOrder)
		if !sorted || dayOf(rows[len(rows)-1].TS) != day {
			e.t.Errorf("the file of day %d is not in order", day)
		}
		got = append(got, rows...)
	}
	slices.SortFunc(got, inTableOrder)
	want := model(all)
	if len(got) != len(want) {
		e.t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			e.t.Fatalf("row %d is %s of %s at %d, want %s of %s at %d", i, got[i].MessageID, got[i].Log, got[i].Offset, want[i].MessageID, want[i].Log, want[i].Offset)
		}
	}
}

// TestMergeAgainstModel merges random files: with duplicates that have another ts, come from another journal, stand in one file or
// in several; with days, nulls, and files of one row.
func TestMergeAgainstModel(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 77))
			e := newMergeEnv(t)
			c := newCorpus(seed+100, testStart)
			other := newCorpus(seed+200, testStart)
			other.log = otherLog
			var all []event.Call
			for range 2 + r.IntN(30) {
				var flush []*event.Call
				for range 1 + r.IntN(60) {
					from := c
					if r.IntN(5) == 0 {
						from = other
					}
					x := from.call()
					x.ReceivedAt += int64(r.IntN(3)) * 1_000_000
					x.TS -= int64(r.IntN(3)) * microsPerDay / 2
					if len(all) > 0 && r.IntN(3) == 0 {
						x.MessageID = all[r.IntN(len(all))].MessageID
					}
					if r.IntN(4) == 0 {
						x.SentAt, x.UserID, x.Properties = event.NoTime, "", nil
					}
					flush = append(flush, x)
				}
				e.put("production", flush)
				all = append(all, values(flush)...)
			}
			m := e.merger()
			before := e.snapshot("production")
			report := e.mustMerge(m, MergeAll)
			e.wantMerged("production", all)
			after := e.snapshot("production")
			if !reflect.DeepEqual(before.Positions, after.Positions) {
				t.Errorf("positions went from %v to %v", before.Positions, after.Positions)
			}
			if report.RowsIn-report.Duplicates != report.RowsOut || report.Duplicates != before.Rows-after.Rows {
				t.Errorf("%+v does not add up: %d rows before and %d after", report, before.Rows, after.Rows)
			}
			if again := e.mustMerge(m, MergeAll); again.Merges != 0 {
				t.Errorf("merged files were merged again: %+v", again)
			}
		})
	}
}

// TestMergeKinds looks at the snapshots: rows that only move are a replacement, rows that go an overwrite.
func TestMergeKinds(t *testing.T) {
	e := newMergeEnv(t)
	c := newCorpus(5, testStart)
	first := c.calls(20)
	e.put("production", first)
	e.put("production", c.calls(20))
	summary := func() map[string]string {
		s := e.l.stores["production"].current().CurrentSnapshot().Summary
		out := map[string]string{"operation": string(s.Operation)}
		for k, v := range s.Properties {
			if strings.HasPrefix(k, "firth.") || k == "deleted-data-files" || k == "added-data-files" || k == "total-records" {
				out[k] = v
			}
		}
		return out
	}
	e.mustMerge(e.merger(), MergeAll)
	want := map[string]string{"operation": "replace", "firth.merged": "2", "deleted-data-files": "2", "added-data-files": "1", "total-records": "40"}
	if got := summary(); !reflect.DeepEqual(got, want) {
		t.Errorf("summary %v, want %v", got, want)
	}
	more := c.calls(20)
	more[3].MessageID, more[4].MessageID = first[0].MessageID, first[1].MessageID
	e.put("production", more)
	e.mustMerge(e.merger(), MergeAll)
	want = map[string]string{
		"operation": "overwrite", "firth.merged": "2", "firth.duplicates": "2", "deleted-data-files": "2", "added-data-files": "1", "total-records": "58",
	}
	if got := summary(); !reflect.DeepEqual(got, want) {
		t.Errorf("summary %v, want %v", got, want)
	}
}

func TestMergeDeadLetters(t *testing.T) {
	e := newMergeEnv(t)
	s, err := e.l.store(t.Context(), DeadLetters)
	if err != nil {
		t.Fatal(err)
	}
	out := rowfile.NewWriter(e.l.dead)
	var want []event.DeadLetter
	for i := range 12 {
		var rows []*event.DeadLetter
		for k := range 5 {
			n := uint64(i*5 + k)
			d := event.DeadLetter{
				ReceivedAt: testStart.Add(time.Duration(n/3) * time.Second).UnixMicro(), Source: "production", Reason: fmt.Sprint("reason ", n%4),
				Payload: []byte(strings.Repeat("x", int(n)+1)), Log: testLog, Offset: n,
			}
			rows, want = append(rows, &d), append(want, d)
		}
		_, _, err := writeDays(t.Context(), &Writer{l: e.l}, s, out, rows, func(d *event.DeadLetter) int64 { return dayOf(d.ReceivedAt) }, span{log: testLog, to: uint64(i+1) * 5})
		if err != nil {
			t.Fatal(err)
		}
	}
	if r := e.mustMerge(e.merger(), MergeAll); r.FilesIn != 12 || r.FilesOut != 1 || r.Duplicates != 0 {
		t.Errorf("report %+v", r)
	}
	snap, err := s.snapshot()
	if err != nil || len(snap.Files) != 1 {
		t.Fatalf("%+v, %v", snap, err)
	}
	var got []event.DeadLetter
	err = withFile(e.l.verifier, e.l.dead, snap.Files[0], func(f *rowfile.File[event.DeadLetter]) error {
		return f.Scan(rowfile.Scan{}, nil, func(d *event.DeadLetter) error {
			own := *d
			own.Payload = clone(d.Payload)
			got = append(got, own)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(want, func(a, b event.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.ReceivedAt, b.ReceivedAt), cmp.Compare(a.Offset, b.Offset))
	})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("dead letters differ:\n%+v\nwant\n%+v", got, want)
	}
}
