package mirror

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

func TestListAndGet(t *testing.T) {
	k, target := newKept(`1`, `2`, `3`), newIDTarget()
	k.docs = map[string][]string{"1": {`{"calls": 5, "plan": "free"}`}, "2": {`{"calls": 7}`, `{"calls": 8}`}, "9": {`{"calls": 1}`}}
	m := pairOf(Config{Concurrency: 1}, k, k, target, newClock())
	r := m.wants(t, RunOptions{}, warehouse.RunSuccess)
	wantRows(t, target, map[string][]string{"1": {"calls=5 plan=free"}, "2": {"calls=7", "calls=8"}})
	if r.Rows != 6 || target.columns[0].Name != "id" || target.columns[0].Type.Kind != vector.Int {
		t.Errorf("%d rows, columns %v", r.Rows, target.columns)
	}
	r = m.wants(t, RunOptions{}, warehouse.RunSuccess)
	if r.Unchanged == 0 || r.Updated != 0 {
		t.Errorf("a second run: %s", r.Text())
	}
	// An id goes, one comes, and a field that was not there before.
	k.list = []string{`2`, `3`, `4`}
	k.docs["4"] = []string{`{"calls": 1, "late": true}`}
	m.wants(t, RunOptions{}, warehouse.RunSuccess)
	wantRows(t, target, map[string][]string{"2": {"calls=7", "calls=8"}, "4": {"calls=1 late=true"}})
	if last := k.asked[len(k.asked)-2]; len(last) != 1 || last[0] != "4" {
		t.Errorf("the new id was not asked for first: %v", k.asked)
	}
}

func TestListThatIsNotWholeDeletesNothing(t *testing.T) {
	for name, spoil := range map[string]func(k *kept){
		"fails half-way": func(k *kept) {
			k.next = func(n int) error {
				if n == 5 {
					return errors.New("it broke")
				}
				return nil
			}
		},
		"is cut": func(k *kept) {
			k.next = func(n int) error {
				if n == 9 {
					return errCut
				}
				return nil
			}
		},
		"is empty":          func(k *kept) { k.list = nil },
		"is short":          func(k *kept) { k.list = k.list[:850] },
		"has a row without": func(k *kept) { k.list[999] = `{"other": 1}` },
	} {
		t.Run(name, func(t *testing.T) {
			k, target := newKept(numbered(1000)...), newIDTarget()
			for _, id := range k.list {
				k.docs[id] = []string{`{"n": ` + id + `}`}
			}
			m := pairOf(Config{}, k, k, target, newClock())
			m.wants(t, RunOptions{}, warehouse.RunSuccess)
			before := string(target.state)
			spoil(k)
			r, err := m.List(t.Context(), RunOptions{}, nil)
			if err == nil || r.State != warehouse.RunFailure || len(target.rows) != 1000 || len(target.ids) != 1000 || string(target.state) != before {
				t.Errorf("%v: %d rows, %d ids", err, len(target.rows), len(target.ids))
			}
			if name == "is short" && (!strings.Contains(r.Error, "150 of 1000") || !strings.Contains(r.Hint, "max_delete")) {
				t.Errorf("%s", r.Text())
			}
			if name == "is empty" && !strings.Contains(r.Hint, "max_delete") {
				t.Errorf("%s", r.Text())
			}
		})
	}
}

func TestListIsTriedAgain(t *testing.T) {
	k, target, fails := newKept(numbered(500)...), newIDTarget(), 2
	k.next = func(n int) error {
		if n == 3 && fails > 0 {
			fails--
			return errCut
		}
		return nil
	}
	r, err := pairOf(Config{}, k, k, target, newClock()).List(t.Context(), RunOptions{}, nil)
	if err != nil || len(target.ids) != 500 || r.Rows != 500 || len(r.Notices) == 0 {
		t.Errorf("%v: %d ids, %s", err, len(target.ids), r.Text())
	}
}

func TestIDsOfSeveralTypesAreText(t *testing.T) {
	k, target := newKept(`1`, `2.0`, `"a"`, `{"id": {"x": 1}}`, `2.5`, `true`), newIDTarget()
	k.docs = map[string][]string{"1": {`{"n": 1}`}, "a": {`{"n": 2}`}, "2": {`{"n": 3}`}}
	pairOf(Config{}, k, k, target, newClock()).wants(t, RunOptions{}, warehouse.RunSuccess)
	var got []string
	for _, id := range target.ids {
		got = append(got, fmt.Sprintf("%d:%s", id.Kind, id.Text))
	}
	if s := strings.Join(got, " "); s != `6:1 6:2 6:2.5 6:a 6:true 6:{"x":1}` {
		t.Errorf("ids: %s", s)
	}
	wantRows(t, target, map[string][]string{"1": {"n=1"}, "a": {"n=2"}, "2": {"n=3"}})
	// Once text, the rows are found by their texts, whatever the type of the next list.
	k.list = []string{`1`, `2`}
	m := pairOf(Config{MaxDelete: 1}, k, k, target, newClock())
	m.wants(t, RunOptions{}, warehouse.RunSuccess)
	wantRows(t, target, map[string][]string{"1": {"n=1"}, "2": {"n=3"}})
}

func TestListOfRows(t *testing.T) {
	f, k, target := newFake(col("uid", "bigint"), col("name", "text")), newKept(), newIDTarget()
	f.key = []string{"uid"}
	for i := range 20 {
		f.rows = append(f.rows, row{"uid": fmt.Sprint(i)})
		k.docs[fmt.Sprint(i)] = []string{`{"n": 1}`}
	}
	pairOf(Config{}, f, k, target, newClock()).wants(t, RunOptions{}, warehouse.RunSuccess)
	if len(target.ids) != 20 || len(target.rows) != 20 || f.scans[0].Only[0] != "uid" {
		t.Errorf("%d ids, %d rows, scans %v", len(target.ids), len(target.rows), f.scans)
	}
}

func TestDryRunOfListAndGet(t *testing.T) {
	k, target := newKept(`1`, `2`), newIDTarget()
	k.docs["1"] = []string{`{"n": 1}`}
	m := pairOf(Config{}, k, k, target, newClock())
	if _, err := m.List(t.Context(), RunOptions{DryRun: true}, nil); err != nil || len(target.ids) > 0 {
		t.Errorf("a dry list: %v, %v", err, target.ids)
	}
	var e *source.Error
	if _, err := m.Get(t.Context(), RunOptions{}, nil); !errors.As(err, &e) || e.Hint() == "" {
		t.Errorf("a get before a list: %v", err)
	}
	if _, err := m.List(t.Context(), RunOptions{}, nil); err != nil {
		t.Fatal(err)
	}
	r, err := m.Get(t.Context(), RunOptions{DryRun: true}, nil)
	if err != nil || len(target.rows) > 0 || target.written != 2 || len(r.Columns) != 2 {
		t.Errorf("a dry get: %v, %v, %s", err, target.rows, r.Text())
	}
}
