package lake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/internal/event"
)

// interrupted is an archive that calls at before it hands over a line.
type interrupted struct {
	lines
	at func(line int64) error
}

func (a *interrupted) Walk(ctx context.Context, first int, fn func(int, int64, []byte, error) error) error {
	return a.lines.Walk(ctx, first, func(file int, line int64, text []byte, fault error) error {
		if err := a.at(line); err != nil {
			return err
		}
		return fn(file, line, text, fault)
	})
}

// archived are lines of others and of the person, of all kinds that an import takes or refuses.
func (e *purgeEnv) archived(n int) []string {
	var out []string
	day := testStart.Add(-400 * 24 * time.Hour)
	for i := range n {
		id := fmt.Sprintf("archived-%d", i)
		e.want[id] = true
		at := day.Add(time.Duration(i) * time.Minute)
		line := archivedLine(id, "Seen", at)
		mine := strings.ReplaceAll(archivedLine("mine-"+id, "Seen", at), "u-mine-"+id, victim)
		out = append(out, line, mine,
			strings.Replace(mine, `"userId":"`+victim+`"`, `"anonymousId":"`+victimAnon+`"`, 1),
			`{"type":"alias","userId":"renamed","previousId":"`+victim+`","messageId":"alias-`+id+`","timestamp":"`+at.Format(time.RFC3339)+`"}`,
			`{"type":"track","userId":"`+victim+`","messageId":"no-event-`+id+`"}`,
			`{"type":"track","event":"Cut","userId":"`+victim+`","messageId":`)
	}
	return out
}

// What an import has read of a person before a purge, and not yet committed, does not come in behind the purge.
func TestImportBesidePurge(t *testing.T) {
	for _, at := range []int64{1, 20, 40} {
		t.Run(fmt.Sprintf("before line %d", at), func(t *testing.T) {
			e := newPurgeEnv(t, 21)
			e.traffic(5, 1)
			e.mustDrain()
			archive := &interrupted{lines: lines{id: "a", files: [][]string{e.archived(10)}}}
			err := e.live(func(l *Lake, w *Writer) error {
				e.settled(w)
				archive.at = func(line int64) error {
					if line != at {
						return nil
					}
					before, err := e.suppress(l, w)
					if err != nil {
						return err
					}
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					defer cancel()
					if _, err := l.Purge(ctx, e.options(before), nil); err != nil {
						return err
					}
					_, err = l.Bury(ctx, "", nil)
					return err
				}
				r, err := l.Import(t.Context(), ImportOptions{Archive: archive, Source: "production", Temp: t.TempDir(), Step: 12}, nil)
				if err != nil {
					return err
				}
				if r.Added < 10 || r.Suppressed == 0 || r.Read != r.Added+r.Skipped {
					t.Errorf("the report is %+v", r.ImportTotals)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			e.check()
		})
	}
}

// A purge gets its turn beside an import whose steps follow on each other, and finds what they brought before.
func TestPurgeGetsItsTurnBesideAnImport(t *testing.T) {
	e := newPurgeEnv(t, 23)
	e.traffic(5, 1)
	e.mustDrain()
	purged := make(chan error, 1)
	archive := &interrupted{lines: lines{id: "a", files: [][]string{e.archived(40)}}}
	err := e.live(func(l *Lake, w *Writer) error {
		e.settled(w)
		before, err := e.suppress(l, w)
		if err != nil {
			return err
		}
		archive.at = func(line int64) error {
			if line == 30 {
				go func() {
					_, err := l.Purge(t.Context(), e.options(before), nil)
					purged <- err
				}()
			}
			return nil
		}
		if _, err := l.Import(t.Context(), ImportOptions{Archive: archive, Source: "production", Temp: t.TempDir(), Step: 6}, nil); err != nil {
			return err
		}
		if err := <-purged; err != nil {
			return err
		}
		_, err = l.Bury(t.Context(), "", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	e.check()
}

// A backup knows who is suppressed: a lake that starts from nothing else leaves them out, then and later.
func TestBackupKeepsWhoIsSuppressed(t *testing.T) {
	e := newPurgeEnv(t, 27)
	for range 2 {
		e.traffic(10, 2)
		e.mustDrain()
	}
	before, after := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "after")
	err := e.live(func(l *Lake, w *Writer) error {
		e.settled(w)
		if _, err := l.Backup(t.Context(), before, nil); err != nil {
			return err
		}
		if _, err := e.suppress(l, w); err != nil { // and the rows are still there
			return err
		}
		_, err := l.Backup(t.Context(), after, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := readDescription(e.o.withDefaults().FS, before); err != nil || d.Suppressed != nil {
		t.Fatalf("a backup of a lake that has purged nobody keeps %+v, %v", d.Suppressed, err)
	}
	list, err := ReadSuppressions(e.o.Purge)
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v is kept, %v", list, err)
	}
	for _, path := range []string{e.o.Dir, e.o.Window, e.o.Purge, e.o.Catalog, e.o.Catalog + "-wal", e.o.Catalog + "-shm"} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	e.journal = newMemJournal("0b0c2f1e-7a31-4c0e-9d55-0f6a2f3f7c22")
	killed := errors.New("killed")
	e.o.step = func(name string) error {
		if name == "restore suppressed" {
			return killed
		}
		return nil
	}
	err = e.live(func(l *Lake, _ *Writer) error { _, err := l.Restore(t.Context(), after, nil); return err })
	if !errors.Is(err, killed) {
		t.Fatalf("it was to be killed before it knew who is suppressed: %v", err)
	}
	e.o.step = nil
	err = e.live(func(l *Lake, w *Writer) error {
		if _, err := l.Restore(t.Context(), after, nil); err != nil {
			return err
		}
		e.journal.calls("production", of(e.corpus.call(), victim, "x"), of(e.corpus.call(), "x", victimAnon))
		e.settled(w)
		if n := w.Stats().Suppressed; n != 2 {
			t.Errorf("%d calls that come later are left out, want 2", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	e.check()
	restored, err := ReadSuppressions(e.o.Purge)
	if err != nil || fmt.Sprint(restored) != fmt.Sprint(list) {
		t.Errorf("%+v is kept behind the restore, want %+v; %v", restored, list, err)
	}
}

// A lake with a key of its own keeps it: a backup with another one is refused before anything is brought in. With the same key the lake's
// own list, which is newer, stays.
func TestRestoreBesideSuppressionsOfItsOwn(t *testing.T) {
	e := newPurgeEnv(t, 29)
	e.traffic(4, 1)
	e.mustDrain()
	backup := filepath.Join(t.TempDir(), "backup")
	err := e.live(func(l *Lake, w *Writer) error {
		if _, err := e.suppress(l, w); err != nil {
			return err
		}
		if _, err := l.Backup(t.Context(), backup, nil); err != nil {
			return err
		}
		user, err := l.SuppressionHash(KindUser, victim)
		if err != nil {
			return err
		}
		e.journal.order(event.Order{Op: event.OrderLift, Hashes: []event.Hash{user}})
		e.corpus.next = e.journal.end()
		e.settled(w)
		if _, err := l.Restore(t.Context(), backup, nil); err != nil {
			return err
		}
		if list := l.Suppressions(); len(list) != 1 || list[0].Kind != KindAnonymous {
			t.Errorf("a restore brings back what was lifted: %+v", list)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	other := newPurgeEnv(t, 31)
	other.journal = newMemJournal("0b0c2f1e-7a31-4c0e-9d55-0f6a2f3f7c22")
	err = other.live(func(l *Lake, w *Writer) error {
		if _, err := other.suppress(l, w); err != nil {
			return err
		}
		_, err := l.Restore(t.Context(), backup, nil)
		return err
	})
	if !errors.Is(err, ErrOtherKey) {
		t.Errorf("a backup with another key is restored: %v", err)
	}
	if snap := other.snapshot(DeadLetters); snap.Rows != 0 {
		t.Errorf("%d rows were brought in", snap.Rows)
	}
}

// With a history all old states that name a file with the person go at once, and those before the person came stay readable.
func TestPurgeOfHistory(t *testing.T) {
	e := newPurgeEnv(t, 33)
	e.o.History = 24 * time.Hour
	step := func(theirs int) {
		e.traffic(10, theirs)
		e.mustDrain()
		e.corpus.pass(5 * time.Minute)
	}
	step(0)
	step(0)
	clean := e.metadata("production").CurrentSnapshot().SnapshotID
	step(2)
	step(0)
	held := e.metadata("production").CurrentSnapshot().SnapshotID
	err := e.live(func(l *Lake, w *Writer) error {
		if _, err := l.Merger(MergeOptions{Temp: e.dir}).Merge(t.Context(), MergeAll, "", nil); err != nil {
			return err
		}
		before, err := e.suppress(l, w)
		if err != nil {
			return err
		}
		if _, err := l.Purge(t.Context(), e.options(before), nil); err != nil {
			return err
		}
		_, err = l.Bury(t.Context(), "", nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	e.check()
	r, err := OpenReader(t.Context(), e.o.Catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, r)
	if _, err := r.SnapshotAt(t.Context(), "production", At{ID: held}); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("a state with the person can be asked for: %v", err)
	}
	old, err := r.SnapshotAt(t.Context(), "production", At{ID: clean})
	if err != nil {
		t.Fatalf("a state from before the person is gone: %v", err)
	}
	for _, f := range old.Files {
		if _, err := os.Stat(f.Path); err != nil {
			t.Errorf("a state from before the person cannot be read: %v", err)
		}
	}
	if old.Rows != 20 {
		t.Errorf("it has %d rows, want 20", old.Rows)
	}
}
