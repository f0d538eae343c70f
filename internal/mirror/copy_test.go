package mirror

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// people is a table of n rows: id, name, at.
func people(n int) *fakeSource {
	f := newFake(col("id", "integer"), col("name", "text"), col("at", "integer"))
	for i := range n {
		f.rows = append(f.rows, row{"id": strconv.Itoa(i), "name": "n" + strconv.Itoa(i), "at": strconv.Itoa(i)})
	}
	return f
}

func mustCopy(t *testing.T, m *Mirror, o RunOptions) *Report {
	t.Helper()
	rep, err := m.Copy(t.Context(), o, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, rep.Text())
	}
	return rep
}

func equal(t *testing.T, f *fakeSource, tgt *fakeTarget) {
	t.Helper()
	if diff := cmp.Diff(sorted(f.rows), sorted(tgt.rows)); diff != "" {
		t.Fatalf("the table is not the source (-source +table):\n%s", diff)
	}
}

func TestReplaceIsTheSource(t *testing.T) {
	for _, n := range []int{0, 1, 50, 1000} {
		f, tgt := people(n), newTarget()
		f.pieces = 5
		m := testMirror(Config{Mode: ModeReplace}, f, tgt)
		rep := mustCopy(t, m, RunOptions{})
		equal(t, f, tgt)
		if rep.Rows != int64(n) || rep.State != warehouse.RunSuccess {
			t.Errorf("%d rows: %+v", n, rep)
		}
		if tgt.columns == nil {
			t.Errorf("%d rows: there is no table", n)
		}
		f.rows = f.rows[:(n+1)/2]
		mustCopy(t, m, RunOptions{})
		equal(t, f, tgt)
	}
}

func TestAppendReadsWhatIsNew(t *testing.T) {
	f, tgt := people(5000), newTarget()
	m := testMirror(Config{Mode: ModeAppend, Cursor: "at", Late: &Late{Count: 10}}, f, tgt)
	mustCopy(t, m, RunOptions{})
	equal(t, f, tgt)
	// Ties, and rows that come late.
	f.rows = append(f.rows, row{"id": "9000", "at": "4999"}, row{"id": "9001", "at": "4992", "name": "late"}, row{"id": "9002", "at": "6000"})
	rep := mustCopy(t, m, RunOptions{})
	equal(t, f, tgt)
	if rep.Rows != 14 {
		t.Errorf("%d rows were read: %s", rep.Rows, rep.Text())
	}
	before := tgt.counts["stage"]
	rep = mustCopy(t, m, RunOptions{})
	if tgt.counts["stage"] != before {
		t.Errorf("a stage was made for nothing")
	}
	if rep.Unchanged != rep.Rows {
		t.Errorf("%s", rep.Text())
	}
	f.rows = append(f.rows, row{"id": "9003", "at": "5999"})
	mustCopy(t, m, RunOptions{})
	equal(t, f, tgt)
	mustCopy(t, m, RunOptions{Full: true})
	equal(t, f, tgt)
}

func TestUpsertByKeyAndCursor(t *testing.T) {
	f, tgt := people(3000), newTarget()
	m := testMirror(Config{Mode: ModeUpsert, Cursor: "at", Late: &Late{Count: 10}}, f, tgt)
	mustCopy(t, m, RunOptions{})
	f.rows[5] = row{"id": "5", "name": "changed", "at": "3001"}
	f.rows = append(f.rows, row{"id": "3000", "at": "3002"})
	rep := mustCopy(t, m, RunOptions{})
	equal(t, f, tgt)
	if rep.Rows > 20 {
		t.Errorf("%d rows were read", rep.Rows)
	}
}

func TestDeleteMissingNeedsACompleteReading(t *testing.T) {
	for _, apart := range []bool{false, true} {
		for _, cursor := range []string{"", "at"} {
			t.Run(fmt.Sprintf("apart=%t,cursor=%s", apart, cursor), func(t *testing.T) {
				f, tgt := people(3000), newTarget()
				tgt.takes = apart
				m := testMirror(Config{Mode: ModeUpsert, Cursor: cursor, Late: &Late{Count: 10}, DeleteMissing: true}, f, tgt)
				mustCopy(t, m, RunOptions{})
				equal(t, f, tgt)
				f.rows = slices.Delete(f.rows, 100, 200)
				f.rows[0] = row{"id": "0", "name": "changed", "at": "3000"}
				rep := mustCopy(t, m, RunOptions{})
				equal(t, f, tgt)
				if rep.Deleted != 100 {
					t.Errorf("%d deleted", rep.Deleted)
				}
				if apart && cursor != "" && rep.Rows > 20 {
					t.Errorf("%d rows were read", rep.Rows)
				}
				if before := tgt.counts["publish"]; cursor != "" {
					mustCopy(t, m, RunOptions{})
					if tgt.counts["publish"] != before {
						t.Error("nothing had changed")
					}
				}
				f.rows = f.rows[:1000]
				rep, err := m.Copy(t.Context(), RunOptions{}, nil)
				if warehouse.KindOf(err) != warehouse.TooManyDeletes || len(tgt.rows) != 2900 || tgt.stage != nil {
					t.Errorf("%v, %d rows\n%s", err, len(tgt.rows), rep.Text())
				}
			})
		}
	}
}

// killer cancels the context at one step of source or target.
type killer struct {
	at     int64
	n      atomic.Int64
	cancel context.CancelFunc
	ctx    context.Context //nolint:containedctx // what it ends
}

func (k *killer) step(string) error {
	if k.n.Add(1) == k.at {
		k.cancel()
	}
	return k.ctx.Err()
}

func TestKilledAtEveryStepARunGoesOnToTheSame(t *testing.T) {
	configs := map[string]Config{
		"replace": {Mode: ModeReplace, Concurrency: 1},
		"append":  {Mode: ModeAppend, Cursor: "at", Concurrency: 3},
		"upsert":  {Mode: ModeUpsert, Concurrency: 2, Key: []string{"id"}},
	}
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			resumed := 0
			for at := int64(1); ; at++ {
				f, tgt := people(450), newTarget()
				f.batch, f.pieces = 25, 3
				m := testMirror(cfg, f, tgt)
				ctx, cancel := context.WithCancel(t.Context())
				k := &killer{at: at, cancel: cancel, ctx: ctx}
				f.step, tgt.step = k.step, k.step
				_, err := m.Copy(ctx, RunOptions{}, nil)
				cancel()
				if err == nil && k.n.Load() < at {
					break
				}
				f.step, tgt.step = func(string) error { return nil }, func(string) error { return nil }
				if at%3 == 0 { // the source changes between
					f.rows[int(at*911)%len(f.rows)]["name"] = "changed"
					f.rows = append(f.rows, row{"id": "900", "at": "900"})
				}
				rep := mustCopy(t, testMirror(cfg, f, tgt), RunOptions{})
				if name != "append" || at%3 != 0 { // rows of an append never change
					equal(t, f, tgt)
				}
				if strings.Contains(strings.Join(rep.Notices, "\n"), "goes on with") {
					resumed++
				}
			}
			if resumed == 0 {
				t.Error("no run went on with what was staged")
			}
		})
	}
}

func TestRejectsSurviveAKill(t *testing.T) {
	for at := int64(1); ; at++ {
		f, tgt := people(450), newTarget()
		f.batch, f.pieces = 25, 3
		f.rows[400]["at"] = "odd"
		tgt.unfit = "n123"
		ctx, cancel := context.WithCancel(t.Context())
		k := &killer{at: at, cancel: cancel, ctx: ctx}
		f.step, tgt.step = k.step, k.step
		cfg := Config{Mode: ModeReplace, Concurrency: 1}
		_, err := testMirror(cfg, f, tgt).Copy(ctx, RunOptions{}, nil)
		cancel()
		if err == nil && k.n.Load() < at {
			break
		}
		f.step, tgt.step = func(string) error { return nil }, func(string) error { return nil }
		if tgt.counts["publish"] > 0 {
			continue
		}
		rep := mustCopy(t, testMirror(cfg, f, tgt), RunOptions{})
		var got []string
		for _, r := range tgt.rejects {
			got = append(got, r.Key+" "+r.Column+" "+r.Value)
		}
		slices.Sort(got)
		if diff := cmp.Diff([]string{"123 name n123", "400 at odd"}, got); diff != "" {
			t.Fatalf("killed at %d: %s\n%s", at, diff, rep.Text())
		}
		for _, c := range rep.Columns {
			if sum := c.Exact + c.Widened + c.Null + c.Rejected; sum != 450 || c.Name != "id" && c.Rejected != 1 {
				t.Fatalf("killed at %d: %+v adds up to %d", at, c, sum)
			}
		}
	}
}

func TestTroubleIsTriedAgain(t *testing.T) {
	f, tgt := people(3000), newTarget()
	f.batch, f.pieces = 100, 3
	rnd := rand.New(rand.NewPCG(1, 2))
	left := 6
	f.step = func(what string) error {
		if what == "next" && left > 0 && rnd.IntN(12) == 0 {
			left--
			return &source.Error{Op: "read", Name: "m", Err: errors.New("connection reset"), Retry: true}
		}
		return nil
	}
	m := testMirror(Config{Mode: ModeReplace, Concurrency: 1}, f, tgt)
	rep := mustCopy(t, m, RunOptions{})
	equal(t, f, tgt)
	if rep.Rows != 3000 {
		t.Errorf("%d rows", rep.Rows)
	}
	if left == 6 {
		t.Error("there was no trouble")
	}
}

func TestSourceThatChangesBetweenTries(t *testing.T) {
	f, tgt := people(3000), newTarget()
	f.batch, f.pieces = 100, 3
	scans := 0
	f.step = func(what string) error {
		if what == "next" {
			if scans++; scans >= 15 && scans < 19 { // all tries of a range
				if scans == 16 {
					f.rows = slices.Clone(f.rows)
					f.rows[3] = row{"id": "3", "name": "changed"}
				}
				return &source.Error{Op: "read", Name: "m", Err: errors.New("connection reset"), Retry: true}
			}
		}
		return nil
	}
	m := testMirror(Config{Mode: ModeReplace, Concurrency: 1}, f, tgt)
	rep := mustCopy(t, m, RunOptions{})
	equal(t, f, tgt)
	if !strings.Contains(rep.Text(), "began anew") {
		t.Errorf("%s", rep.Text())
	}
}

func TestMasksAndRejects(t *testing.T) {
	f, tgt := people(0), newTarget()
	f.columns = append(f.columns, col("mail", "text"), col("age", "integer"), col("secret", "text"))
	f.rows = []row{
		{"id": "1", "name": "Ünïcode", "mail": "a@b", "age": "x", "secret": "s", "at": "1"},
		{"id": "2", "name": "n", "age": "7", "secret": "s", "at": "bad"},
		{"id": "3", "name": "no", "mail": "zz", "age": "7", "at": "5"},
	}
	tgt.unfit = "no"
	m := testMirror(Config{Mode: ModeReplace, Salt: "salt", Columns: []ColumnRule{
		{Path: "mail", Mask: "hash"}, {Path: "name", Mask: "truncate:3", As: "short"}, {Path: "secret", Mask: "drop"},
		{Path: "age", Mask: "truncate:1"},
		{Path: "at", Mask: "hash"},
	}}, f, tgt)
	rep := mustCopy(t, m, RunOptions{})
	want := []string{
		"id=1 mail=41a0cd7ec10b5ab7f4dfb0e84ed9ecc7b3f3ff5cea9c5f1b4c2a1b8de6ea1a55 short=Ünï",
	}
	if got := tgt.rows[0]["short"]; got != "Ünï" {
		t.Errorf("short is %q, wanted %s", got, want)
	}
	if len(tgt.rows[0]["mail"]) != 64 || tgt.rows[0]["secret"] != "" || tgt.rows[1]["mail"] != "" {
		t.Errorf("%v", tgt.rows)
	}
	for _, r := range tgt.rejects {
		if r.Value == "bad" {
			t.Errorf("a masked value is among the rejects: %+v", r)
		}
	}
	if len(tgt.rejects) != 3 || rep.Rejects != 3 || rep.State != warehouse.RunSuccess {
		t.Errorf("%+v\n%s", tgt.rejects, rep.Text())
	}
	for _, c := range rep.Columns {
		if sum := c.Exact + c.Widened + c.Null + c.Rejected; sum != 3 {
			t.Errorf("%+v adds up to %d", c, sum)
		}
	}
	if strings.Contains(string(tgt.state), "salt") {
		t.Error("the salt is in the state")
	}
}

func TestDrift(t *testing.T) {
	cases := []struct {
		mode, drift string
		change      func(*fakeSource)
		fails       bool
		columns     string
		notice      string
	}{
		{ModeReplace, "", func(f *fakeSource) { f.columns = append(f.columns, col("new", "text")) }, false, "id name at new", "is new at the source: added"},
		{ModeReplace, DriftReport, func(f *fakeSource) { f.columns = append(f.columns, col("new", "text")) }, false, "id name at", "left out"},
		{ModeReplace, DriftFreeze, func(f *fakeSource) { f.columns = append(f.columns, col("new", "text")) }, true, "id name at", ""},
		{ModeReplace, "", func(f *fakeSource) { f.columns = []vector.Column{f.columns[0], f.columns[2]} }, false, "id at", "goes from the table"},
		{ModeUpsert, "", func(f *fakeSource) { f.columns = []vector.Column{f.columns[0], f.columns[2]} }, false, "id at name", "NULL from now on"},
		{ModeUpsert, "", func(f *fakeSource) { f.columns[2] = col("at", "text") }, false, "id name at", "becomes text"},
		{ModeUpsert, DriftReport, func(f *fakeSource) { f.columns[2] = col("at", "text") }, false, "id name at", "stays integer"},
	}
	for _, c := range cases {
		t.Run(c.mode+c.drift, func(t *testing.T) {
			f, tgt := people(20), newTarget()
			m := testMirror(Config{Mode: c.mode, Drift: c.drift}, f, tgt)
			mustCopy(t, m, RunOptions{})
			c.change(f)
			rep, err := m.Copy(t.Context(), RunOptions{}, nil)
			if (err != nil) != c.fails {
				t.Fatal(err)
			}
			if c.fails && HintOf(err) == "" {
				t.Error("no hint")
			}
			var names []string
			for _, x := range tgt.columns {
				names = append(names, x.Name)
			}
			if got := strings.Join(names, " "); got != c.columns {
				t.Errorf("columns %s", got)
			}
			if !strings.Contains(rep.Text(), c.notice) {
				t.Errorf("%s", rep.Text())
			}
			if !c.fails {
				if rep = mustCopy(t, m, RunOptions{}); c.drift == "" && strings.Contains(rep.Text(), "at the source") {
					t.Errorf("said again: %s", rep.Text())
				}
			}
		})
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	f, tgt := people(100), newTarget()
	rep := mustCopy(t, testMirror(Config{Mode: ModeReplace}, f, tgt), RunOptions{DryRun: true})
	if rep.Rows != 100 || len(rep.Columns) != 3 || rep.Columns[0].Exact != 100 {
		t.Errorf("%+v", rep)
	}
	if len(tgt.counts) > 0 {
		t.Errorf("%v", tgt.counts)
	}
}
