package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// filled is a mirror of n ids with a row each, which has been listed.
func filled(t *testing.T, c Config, n int) (*Mirror, *kept, *idTarget, *getClock) {
	t.Helper()
	k, target, at := newKept(numbered(n)...), newIDTarget(), newClock()
	for _, id := range k.list {
		k.docs[id] = []string{`{"n": ` + id + `}`}
	}
	m := pairOf(c, k, k, target, at)
	if _, err := m.List(t.Context(), RunOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	return m, k, target, at
}

func TestOneIDThatFailsTakesNoOtherAlong(t *testing.T) {
	for name, fault := range map[string]error{
		"timeout": context.DeadlineExceeded, "cut": errCut, "for good": errors.New("odd"),
		"told": &source.FailedIDs{IDs: []source.FailedID{{ID: vector.Value{Kind: vector.Int, Bits: 64, Num: 4711}, Err: errors.New("odd")}}},
	} {
		t.Run(name, func(t *testing.T) {
			m, k, target, _ := filled(t, Config{}, 10_000)
			if _, err := m.Get(t.Context(), RunOptions{}, nil); err != nil {
				t.Fatal(err)
			}
			for id := range k.docs {
				k.docs[id] = []string{`{"n": -1}`}
			}
			whole := name == "told"
			k.ask = func(ids []string) error {
				if slices.Contains(ids, "4711") {
					if whole {
						return nil
					}
					return fault
				}
				return nil
			}
			var get Source = k
			if whole {
				get = &telling{kept: k, err: fault}
			}
			m = pairOf(Config{}, k, get, target, newClock())
			r, err := m.Get(t.Context(), RunOptions{}, nil)
			if err != nil || r.State != warehouse.RunPartial || len(r.Failed) != 1 || r.Failed[0].ID != "4711" {
				t.Fatalf("%v: %s", err, r.Text())
			}
			fresh := 0
			for _, rows := range target.rows {
				if rows[0] == "n=-1" {
					fresh++
				}
			}
			if fresh != 9999 || target.rows["4711"][0] != "n=4711" {
				t.Errorf("%d refreshed, the one that failed: %v", fresh, target.rows["4711"])
			}
			k.ask, k.asked, whole = nil, nil, false
			m = pairOf(Config{Concurrency: 1}, k, k, target, newClock())
			if r, err = m.Get(t.Context(), RunOptions{}, nil); err != nil || r.State != warehouse.RunSuccess {
				t.Fatalf("%v: %s", err, r.Text())
			}
			if !slices.Equal(k.asked[0], []string{"4711"}) || target.rows["4711"][0] != "n=-1" {
				t.Errorf("asked first: %v", k.asked[0])
			}
			k.asked = nil
			m.wants(t, RunOptions{}, warehouse.RunSuccess)
			if len(k.asked[0]) < 1000 {
				t.Errorf("an id that succeeded is still asked for first: %v", k.asked[0])
			}
		})
	}
}

// telling says by name which id failed, and hands out the others.
type telling struct {
	*kept
	err error
}

func (s *telling) Get(ctx context.Context, ids []vector.Value) (source.Rows, error) {
	rows, err := s.kept.Get(ctx, ids)
	if r, ok := rows.(*keptRows); ok && slices.ContainsFunc(ids, func(v vector.Value) bool { return v.Num == 4711 }) {
		r.texts = slices.DeleteFunc(r.texts, func(s string) bool { return strings.Contains(s, "4711") })
		r.end = s.err
	}
	return rows, err
}

func TestSourceThatIsDownEndsTheRun(t *testing.T) {
	m, k, target, at := filled(t, Config{Concurrency: 1, BatchIDs: 100}, 1000)
	n := 0
	k.ask = func([]string) error {
		if n++; n > 15 { // ten of the sample, five of the run
			return errCut
		}
		return nil
	}
	r, err := m.Get(t.Context(), RunOptions{}, nil)
	if !errors.Is(err, errCut) || r.State != warehouse.RunFailure || len(target.rows) != 500 {
		t.Errorf("%v, %d rows: %s", err, len(target.rows), r.Text())
	}
	if at.sum > time.Minute {
		t.Errorf("it waited for %s", at.sum)
	}
	k.ask, k.asked = nil, nil
	m.wants(t, RunOptions{IDs: []string{"7"}}, warehouse.RunSuccess)
	if _, err := m.Get(t.Context(), RunOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if k.asked[1][0] != "500" || len(target.rows) != 1000 {
		t.Errorf("the next run begins with %s", k.asked[1][0])
	}
	if last := k.asked[len(k.asked)-1]; last[len(last)-1] != "499" {
		t.Errorf("and ends with %s", last[len(last)-1])
	}
}

func TestMissing(t *testing.T) {
	for missing, want := range map[string][]string{MissingNone: nil, MissingNull: {""}, MissingZero: {"n=0"}} {
		k, target := newKept(`1`, `2`), newIDTarget()
		k.docs["1"] = []string{`{"n": 1, "name": "x"}`}
		pairOf(Config{Missing: missing}, k, k, target, newClock()).wants(t, RunOptions{}, warehouse.RunSuccess)
		all := map[string][]string{"1": {"n=1 name=x"}}
		if want != nil {
			all["2"] = want
		}
		wantRows(t, target, all)
	}
}

func TestRefreshOfOneID(t *testing.T) {
	m, k, target, _ := filled(t, Config{}, 30)
	if _, err := m.Get(t.Context(), RunOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	k.docs["7"], k.docs["8"], k.asked = []string{`{"n": 70}`}, []string{`{"n": 80}`}, nil
	m.wants(t, RunOptions{IDs: []string{"7"}}, warehouse.RunSuccess)
	if target.rows["7"][0] != "n=70" || target.rows["8"][0] != "n=8" || len(k.asked) != 1 {
		t.Errorf("%v %v, asked %v", target.rows["7"], target.rows["8"], k.asked)
	}
	r, err := m.Sync(t.Context(), RunOptions{IDs: []string{"x"}}, nil)
	if err == nil || !strings.Contains(r.Error, `"x"`) || r.Hint == "" {
		t.Errorf("an id of another type: %s", r.Text())
	}
}

func TestRateAndSlices(t *testing.T) {
	m, k, target, at := filled(t, Config{Rate: 100, Concurrency: 1}, 3000)
	if _, err := m.Get(t.Context(), RunOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if at.sum < 58*time.Second || at.sum > 70*time.Second { // twice 3,000: the sample counts
		t.Errorf("6,000 ids at 100 a second took %s", at.sum)
	}
	for _, ids := range k.asked {
		if len(ids) > 100 {
			t.Errorf("%d ids at once", len(ids))
		}
	}
	if len(target.slices) < 3 {
		t.Errorf("30 seconds are published in %d slices", len(target.slices))
	}
	m, _, target, _ = filled(t, Config{}, 120_000)
	if _, err := m.Get(t.Context(), RunOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	if len(target.slices) != 3 || len(target.rows) != 120_000 {
		t.Errorf("%d slices, %d rows", len(target.slices), len(target.rows))
	}
}

func TestDocumentsOfAGet(t *testing.T) {
	k, target := newKept(`1`, `2`, `3`), newIDTarget()
	k.key = "_id"
	k.docs = map[string][]string{
		"1": {`{"calls": 5, "id": "own", "a": {"b": 1}, "mail": "ana@example.com", "secret": "x"}`},
		"2": {`{"calls": "many", "mail": "bo"}`}, "3": {`{}`},
	}
	k.docs["3"] = []string{`{"x": null}`}
	number, boolean := vector.Type{Kind: vector.Int, Bits: 64}, vector.Type{Kind: vector.Bool}
	c := Config{GetKey: "_id", Missing: MissingNull, Columns: []ColumnRule{
		{Path: "calls", Type: &number}, {Path: "mail", Mask: "truncate:2"}, {Path: "secret", Mask: MaskDrop}, {Path: "later", As: "Later", Type: &boolean},
	}}
	m := pairOf(c, k, k, target, newClock())
	m.wants(t, RunOptions{}, warehouse.RunSuccess)
	wantRows(t, target, map[string][]string{"1": {"calls=5 id_2=own a_b=1 mail=an"}, "2": {"mail=bo"}, "3": {""}})
	if len(target.rejects) != 1 || target.rejects[0].Key != "2" || target.rejects[0].Value != "many" || target.rejects[0].Column != "calls" {
		t.Errorf("rejects: %+v", target.rejects)
	}
	if !slices.ContainsFunc(target.columns, func(c vector.Column) bool { return c.Name == "Later" && c.Type.Kind == vector.Bool }) {
		t.Errorf("a column that is declared is not there: %v", target.columns)
	}
	k.docs["3"] = []string{`{"later": true}`}
	m.wants(t, RunOptions{}, warehouse.RunSuccess)
	if target.rows["3"][0] != "Later=true" {
		t.Errorf("%v", target.rows["3"])
	}
}

func TestRowsOfAGet(t *testing.T) {
	k, target := newKept(`"1"`, `"2"`, `"x"`), newIDTarget()
	f := &rowGet{fakeSource: newFake(col("uid", "bigint"), col("name", "text"), col("id", "text"))}
	f.rows = []row{{"uid": "1", "name": "a", "id": "own"}, {"uid": "2", "name": "b"}, {"uid": "3", "name": "c"}, {"uid": "2", "name": "d"}}
	r := pairOf(Config{GetKey: "uid"}, k, f, target, newClock()).wants(t, RunOptions{}, warehouse.RunSuccess)
	wantRows(t, target, map[string][]string{"1": {"name=a id_2=own"}, "2": {"name=b", "name=d"}})
	if !strings.Contains(fmt.Sprint(r.Notices), "not asked for") {
		t.Errorf("%s", r.Text())
	}
}

// rowGet hands out all rows whatever is asked for.
type rowGet struct{ *fakeSource }

func (f *rowGet) Get(context.Context, []vector.Value) (source.Rows, error) {
	return &fakeRows{f: f.fakeSource, rows: f.rows, chunk: vector.NewChunk(f.columns)}, nil
}

func TestDriftOfAGet(t *testing.T) {
	for _, policy := range []string{DriftEvolve, DriftReport, DriftFreeze} {
		k, target := newKept(`1`, `2`), newIDTarget()
		k.docs["1"], k.docs["2"] = []string{`{"n": 1}`}, []string{`{"n": 2}`}
		m := pairOf(Config{Drift: policy}, k, k, target, newClock())
		m.wants(t, RunOptions{}, warehouse.RunSuccess)
		k.docs["2"] = []string{`{"n": 3, "late": "x"}`}
		state, want := warehouse.RunSuccess, "n=3"
		switch policy {
		case DriftEvolve:
			want = "n=3 late=x"
		case DriftFreeze:
			state, want = warehouse.RunFailure, "n=2"
		}
		r := m.wants(t, RunOptions{}, state)
		wantRows(t, target, map[string][]string{"1": {"n=1"}, "2": {want}})
		if !strings.Contains(r.Text(), "late") {
			t.Errorf("%s: %s", policy, r.Text())
		}
	}
}

// TestGetThatFindsNothingAtAll: the ids are listed as before, and the other database has nothing for any of them any more.
func TestGetThatFindsNothingAtAll(t *testing.T) {
	for _, missing := range []string{MissingNone, MissingNull, MissingZero} {
		k, target := newKept(`1`, `2`, `3`), newIDTarget()
		full := map[string][]string{"1": {`{"calls": 5}`}, "2": {`{"calls": 7}`}}
		k.docs = full
		m := pairOf(Config{Missing: missing}, k, k, target, newClock())
		m.wants(t, RunOptions{}, warehouse.RunSuccess)
		before := len(target.rows)
		k.docs = map[string][]string{}
		for range 2 { // it does not become right by being tried again
			r := m.wants(t, RunOptions{}, warehouse.RunFailure)
			if !strings.Contains(r.Error, "nothing for any of 3 ids") || !strings.Contains(r.Hint, "max_delete") {
				t.Errorf("%s: %s; %s", missing, r.Error, r.Hint)
			}
			if len(target.rows) != before || len(target.rows["1"]) != 1 || !strings.Contains(target.rows["1"][0], "calls=5") {
				t.Errorf("%s: the rows are %v", missing, target.rows)
			}
		}
		// One id that is found again, or somebody who says that it is right.
		k.docs = map[string][]string{"2": {`{"calls": 8}`}}
		m.wants(t, RunOptions{}, warehouse.RunSuccess)
		k.docs = map[string][]string{}
		all := pairOf(Config{Missing: missing, MaxDelete: 1}, k, k, target, newClock())
		all.wants(t, RunOptions{}, warehouse.RunSuccess)
		if len(target.rows["2"]) > 0 && strings.Contains(target.rows["2"][0], "calls=8") {
			t.Errorf("%s: with max_delete: 100%% the row is %v", missing, target.rows["2"])
		}
	}
}
