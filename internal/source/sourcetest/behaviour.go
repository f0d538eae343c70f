package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"firth/internal/source"
	"firth/internal/vector"
)

// readsAll: every row, with every value, and what is known of it before.
func (x *suite) readsAll(t *testing.T) {
	who := people(2500)
	x.Fill(t, who)
	s := x.open(t, source.Spec{}, false)
	info, err := s.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if (info.Columns != nil) != x.typed {
		t.Errorf("columns known before: %v", info.Columns)
	}
	if x.typed {
		for _, name := range []string{"id", "name", "age"} {
			if !hasColumn(info, name) {
				t.Errorf("no column %s in %v", name, info.Columns)
			}
		}
	}
	equal(t, "all", all(t, s, 1, source.Request{}), want(who), false)
}

func hasColumn(info *source.Info, name string) bool {
	for _, c := range info.Columns {
		if c.Name == name {
			return true
		}
	}
	return false
}

// readsNothing: no row is no error.
func (x *suite) readsNothing(t *testing.T) {
	x.Fill(t, nil)
	s := x.open(t, source.Spec{}, false)
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := all(t, s, 4, source.Request{}); len(got) != 0 {
		t.Errorf("%d rows", len(got))
	}
}

// columns: those that were not asked for are not handed out, whether they were left out or excluded.
func (x *suite) columns(t *testing.T) {
	who := people(50)
	x.Fill(t, who)
	for _, spec := range []source.Spec{{Columns: []string{"id", "age"}}, {Exclude: []string{"name", "_id"}}} {
		s := x.open(t, spec, false)
		info, err := s.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if hasColumn(info, "name") {
			t.Errorf("%v is described", info.Columns)
		}
		got := all(t, s, 1, source.Request{})
		for _, r := range got {
			if _, there := r["name"]; there {
				t.Fatalf("%+v: an excluded value was handed out: %v", spec, r)
			}
		}
		equal(t, fmt.Sprintf("%v", spec.Columns), got, want(who, "id", "age"), false)
	}
}

// cursor: rows from a value on, itself included.
func (x *suite) cursor(t *testing.T) {
	who := people(300)
	x.Fill(t, who)
	s := x.open(t, source.Spec{Cursor: "id"}, false)
	info, err := s.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	from := vector.Value{Kind: vector.Int, Bits: 64, Num: 250}
	for _, c := range info.Columns {
		if c.Name == "id" {
			from.Kind, from.Bits = c.Type.Kind, c.Type.Bits
		}
	}
	equal(t, "from 250", all(t, s, 3, source.Request{From: from}), want(who[249:]), false)
	from.Num = 301
	equal(t, "from behind the last", all(t, s, 3, source.Request{From: from}), nil, false)
}

// ranges: the pieces hold every row once, and are the same when they are asked for again.
func (x *suite) ranges(t *testing.T) {
	who := people(4000)
	x.Fill(t, append(who[:1000:1000], who[2500:]...)) // with a hole
	s := x.open(t, source.Spec{}, false)
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, pieces := range []int{1, 2, 7, 50} {
		equal(t, fmt.Sprintf("%d pieces", pieces), all(t, s, pieces, source.Request{}), want(append(who[:1000:1000], who[2500:]...)), false)
	}
	var before []source.Range
	for range 2 {
		other := x.open(t, source.Spec{}, false)
		if _, err := other.Describe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := other.Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		now, err := other.Ranges(t.Context(), 7)
		if err = errors.Join(err, other.End()); err != nil {
			t.Fatal(err)
		}
		if before != nil && fmt.Sprint(before) != fmt.Sprint(now) {
			t.Errorf("the pieces of the same rows: %v, then %v", before, now)
		}
		before = now
	}
}

// keys: the key alone, where the rest is not looked at.
func (x *suite) keys(t *testing.T) {
	who := people(100)
	x.Fill(t, who)
	s := x.open(t, source.Spec{}, false)
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "keys", all(t, s, 2, source.Request{Only: []string{"id"}}), want(who, "id"), true)
}

// get: the rows of a batch of ids, whatever the order, and nothing for those that do not exist.
func (x *suite) get(t *testing.T) {
	who := people(500)
	x.Fill(t, who)
	s := x.open(t, source.Spec{Key: "id"}, true)
	var ids []vector.Value
	for _, n := range []int64{7, 3, 499, 100000, 12, -1} {
		ids = append(ids, vector.Value{Kind: vector.Int, Bits: 64, Num: n})
	}
	for range 2 {
		rows, err := s.Get(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		got, err := drain(t.Context(), rows)
		if err != nil {
			t.Fatal(err)
		}
		present := got[:0]
		for _, r := range got {
			if r["name"] != "" { // a kind may tell of a missing id by a row of its id alone
				present = append(present, r)
			}
		}
		equal(t, "get", present, want([]Person{who[6], who[2], who[498], who[11]}), false)
	}
	rows, err := s.Get(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := drain(t.Context(), rows); err != nil || len(got) != 0 {
		t.Errorf("get of no id: %v, %v", got, err)
	}
}

// readsAgain: a second reading sees what changed since the first.
func (x *suite) readsAgain(t *testing.T) {
	who := people(40)
	x.Fill(t, who[:30])
	s := x.open(t, source.Spec{}, false)
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "first", all(t, s, 2, source.Request{}), want(who[:30]), false)
	x.Fill(t, who[5:])
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "second", all(t, s, 2, source.Request{}), want(who[5:]), false)
}

// endsEarly: a scan may be left at any moment, and the next works.
func (x *suite) endsEarly(t *testing.T) {
	who := people(3000)
	x.Fill(t, who)
	s := x.open(t, source.Spec{}, false)
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	ranges, err := s.Ranges(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 6 { // more often than there are connections
		rows, err := s.Scan(t.Context(), source.Request{Range: ranges[0]})
		if err != nil {
			t.Fatal(err)
		}
		var b source.Batch
		if err := errors.Join(rows.Next(t.Context(), &b), rows.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	equal(t, "after that", all(t, s, 1, source.Request{}), want(who), false)
}

// snapshot: all scans of one reading see the moment at which it began.
func (x *suite) snapshot(t *testing.T) {
	who := people(2000)
	x.Fill(t, who[:1000])
	s := x.open(t, source.Spec{}, false)
	ctx := t.Context()
	if _, err := s.Describe(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.Begin(ctx); err != nil {
		t.Fatal(err)
	}
	ranges, err := s.Ranges(ctx, 3)
	if err != nil {
		t.Fatal(err)
	}
	var got []row
	for i, r := range ranges {
		rows, err := read(ctx, s, source.Request{Range: r})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rows...)
		if i == 0 {
			x.Fill(t, who[500:])
		}
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	equal(t, "one moment", got, want(who[:1000]), false)
	equal(t, "the next reading", all(t, s, 3, source.Request{}), want(who[500:]), false)
}

// missing: what does not exist is an error with something to do, not an empty reading.
func (x *suite) missing(t *testing.T) {
	if x.Missing == nil {
		t.Skip("the kind cannot tell")
	}
	s := x.Missing(t)
	_, err := s.Describe(t.Context())
	if err == nil {
		t.Fatal("it is described")
	}
	var e *source.Error
	if !errors.As(err, &e) || e.Hint() == "" {
		t.Errorf("no hint: %v", err)
	}
	bad := 0
	for _, f := range s.Check(t.Context()) {
		if !f.OK {
			bad++
			if f.Hint == "" {
				t.Errorf("a finding without a hint: %+v", f)
			}
		}
	}
	if bad == 0 {
		t.Error("check finds nothing wrong")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// cut: a reading that breaks off is an error that may be tried again, never an end.
func (x *suite) cut(t *testing.T) {
	if x.Cut == nil {
		t.Skip("not of this kind")
	}
	who := people(20000)
	x.Fill(t, who)
	s := x.OpenCut(t, source.Spec{})
	t.Cleanup(func() { _ = s.Close() }) // it may have been cut
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := s.Describe(ctx); err != nil {
		t.Fatal(err)
	}
	x.Cut(t, 100_000)
	err := s.Begin(ctx)
	if err == nil {
		var rows []row
		rows, err = read(ctx, s, source.Request{})
		_ = s.End() // the connection is gone
		if err == nil && len(rows) != len(who) {
			t.Fatalf("%d of %d rows, and no error", len(rows), len(who))
		}
		if err == nil {
			equal(t, "a source that goes on by itself", rows, want(who), false)
			return
		}
	}
	if errors.Is(err, io.EOF) && !source.CanRetry(err) || !source.CanRetry(err) {
		t.Errorf("it cannot be tried again: %v", err)
	}
	if x.Secret != "" && strings.Contains(err.Error(), x.Secret) {
		t.Errorf("the error tells the secret: %v", err)
	}
	equal(t, "the next reading", all(t, s, 1, source.Request{}), want(who), false)
}

// cancelled: a reading ends soon when its context does.
func (x *suite) cancelled(t *testing.T) {
	x.Fill(t, people(5000))
	s := x.open(t, source.Spec{}, false)
	if _, err := s.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Begin(ctx); err == nil {
		if _, err := read(ctx, s, source.Request{}); err == nil {
			t.Error("it reads on")
		}
		_ = s.End() // it was cancelled
	}
	if got := all(t, s, 1, source.Request{}); len(got) != 5000 {
		t.Errorf("%d rows after that", len(got))
	}
}

// check: all is well, and says what it looked at.
func (x *suite) check(t *testing.T) {
	x.Fill(t, people(3))
	found := x.open(t, source.Spec{}, false).Check(t.Context())
	if len(found) == 0 {
		t.Error("nothing was looked at")
	}
	for _, f := range found {
		if !f.OK || f.What == "" {
			t.Errorf("%+v", f)
		}
		if x.Secret != "" && strings.Contains(fmt.Sprint(f), x.Secret) {
			t.Errorf("a finding tells the secret: %+v", f)
		}
	}
}
