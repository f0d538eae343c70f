package lake

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"firth/internal/event"
)

// TestMergeLeavesBadFilesAlone damages one file and removes another: each is named once, and the others are merged.
func TestMergeLeavesBadFilesAlone(t *testing.T) {
	e := newMergeEnv(t)
	c := newCorpus(91, testStart)
	for range 6 {
		e.put("production", c.calls(10))
	}
	files := e.snapshot("production").Files
	spoil(t, files[1].Path)
	if err := os.Remove(files[3].Path); err != nil {
		t.Fatal(err)
	}
	e.close()
	e.open() // nothing is known of the files any more
	m := e.merger()
	var seen []error
	for range 3 {
		r, err := m.Merge(t.Context(), MergeAll, "", nil)
		if err == nil {
			if r.FilesIn != 4 || r.RowsOut != 40 {
				t.Errorf("report %+v", r)
			}
			break
		}
		seen = append(seen, err)
	}
	all := errors.Join(seen...)
	if len(seen) != 2 || !errors.Is(all, ErrDamaged) || !errors.Is(all, ErrFileGone) || !strings.Contains(all.Error(), files[1].Path) {
		t.Errorf("said: %v", all)
	}
	if n := len(e.snapshot("production").Files); n != 3 || m.Stats().Damaged != 2 {
		t.Errorf("%d files, %d of them bad", n, m.Stats().Damaged)
	}
}

func spoil(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMergeState(t *testing.T) {
	e := newMergeEnv(t)
	now := testStart.Add(time.Minute)
	e.l.o.Now = func() time.Time { return now }
	m := e.merger()
	if s := m.State(); s.Name != "merge" || s.State != StateStarting {
		t.Errorf("before the start: %+v", s)
	}
	c := newCorpus(92, testStart)
	for range 9 {
		e.put("production", c.calls(2))
	}
	if _, err := m.next(t.Context(), MergeSmall, "", false); err != nil {
		t.Fatal(err)
	}
	if err := m.show(nil); err != nil {
		t.Fatal(err)
	}
	s := m.Stats()
	if s.WaitingFiles != 9 || s.WaitingRows != 18 || s.OldestWaiting.IsZero() || m.State().Hint != "" {
		t.Errorf("stats %+v, state %+v", s, m.State())
	}
	now = now.Add(time.Hour)
	if got := m.State(); got.State != StateOK || !strings.HasPrefix(got.Hint, "9 small files wait to be merged, the oldest since 2026-11-20T") {
		t.Errorf("behind: %+v", got)
	}
	failed := errors.New("no")
	e.hook = func(string) error { return failed }
	if err := m.pass(t.Context(), MergeSmall); err != nil {
		t.Fatal(err)
	}
	if got := m.State(); got.State != StateFailing || got.Error == "" || got.Hint == "" {
		t.Errorf("failing: %+v", got)
	}
	e.hook = nil
	if err := m.pass(t.Context(), MergeSmall); err != nil {
		t.Fatal(err)
	}
	if got, s := m.State(), m.Stats(); got.State != StateOK || got.Hint != "" || s.WaitingFiles != 0 || s.Failures != 1 || s.Merges != 1 || s.Amplification <= 1 {
		t.Errorf("healed: %+v, %+v", got, s)
	}
}

func TestMergeByHand(t *testing.T) {
	e := newMergeEnv(t)
	c := newCorpus(93, testStart)
	var all []event.Call
	for range 3 {
		calls := c.calls(5)
		e.put("production", calls)
		all = append(all, values(calls)...)
	}
	m := e.merger()
	if _, err := m.Merge(t.Context(), MergeAll, "nothing", nil); !errors.Is(err, ErrNoTable) {
		t.Errorf("an unknown table: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if r, err := m.Merge(ended, MergeAll, "", nil); !errors.Is(err, context.Canceled) || r.Merges != 0 {
		t.Errorf("after the end: %+v, %v", r, err)
	}
	var got []MergeProgress
	r, err := m.Merge(t.Context(), MergeAll, "production", func(p MergeProgress) { got = append(got, p) })
	if err != nil || r.Merges != 1 || r.FilesIn != 3 || r.RowsOut != 15 || len(got) != 1 || got[0].Files != 3 || got[0].Left != 0 {
		t.Errorf("%+v, %+v, %v", r, got, err)
	}
	e.wantMerged("production", all)
}
