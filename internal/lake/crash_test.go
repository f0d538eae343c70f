package lake

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firth/internal/disk/disktest"
	"firth/internal/event"
)

// crashEnv is a lake whose files and window lie on a disk in memory that can lose its power. The catalog is a real SQLite
// file: its own durability is SQLite's, asked for by synchronous=FULL.
func crashEnv(t testing.TB) (*lakeEnv, *disktest.FS) {
	e := newEnv(t)
	fs := disktest.New()
	e.o.FS, e.o.Dir, e.o.Window = fs, "/data/lake", "/data/window"
	if dir, err := os.MkdirTemp("/dev/shm", "firth-lake-test-"); err == nil { // syncs in no time
		t.Cleanup(func() {
			if err := os.RemoveAll(dir); err != nil {
				t.Error(err)
			}
		})
		e.o.Catalog = filepath.Join(dir, "catalog.db")
	}
	e.o.final = func(err error) bool { return errors.Is(err, disktest.ErrPowerOff) }
	e.o.DedupIDs = 64 // small generations: every flush seals one
	return e, fs
}

// crashScript is a history with everything that a flush does: two sources, dead letters, days, and doubles of what came
// before. It returns the rows that must be there in the end.
func crashScript(e *lakeEnv, c *corpus) map[string][]event.Call {
	want := map[string][]event.Call{}
	add := func(source string, n, doubles int) {
		calls := c.calls(n + doubles)
		for i := range doubles {
			if rows := want[source]; len(rows) > 0 {
				calls[n+i].MessageID = rows[i].MessageID
			} else {
				calls[n+i].MessageID = calls[i].MessageID
			}
		}
		calls[0].TS -= microsPerDay
		e.journal.calls(source, calls...)
		want[source] = append(want[source], values(calls[:n])...)
	}
	add("production", 12, 3)
	add("staging", 5, 2)
	e.journal.append(c.now.UnixMicro(), item{dead: &event.DeadLetter{ReceivedAt: c.now.UnixMicro(), Reason: "missing_event"}})
	c.next++
	add("production", 7, 7)
	return want
}

// TestKillPowerAtEveryChange cuts the power before every change to the disk, loses what was not synced, and starts again.
func TestKillPowerAtEveryChange(t *testing.T) {
	whole, fs := crashEnv(t)
	crashHistory(t, whole, nil)
	total := fs.Ops()
	if total < 60 {
		t.Fatalf("the history makes only %d changes: it does not do what it should", total)
	}
	for at := 0; at < total; at += stride(5) {
		keep := []float64{0, 0.5, 1}[at/stride(5)%3] // of what was not synced
		t.Run(fmt.Sprintf("%d/%v", at, keep), func(t *testing.T) {
			e, fs := crashEnv(t)
			cut := func(drain func() error) {
				fs.Fault(disktest.PowerOffAt(at))
				err := drain()
				fs.Fault(nil)
				if err != nil && !errors.Is(err, disktest.ErrPowerOff) {
					t.Fatalf("power cut at change %d: %v", at, err)
				}
				e.o.FS = fs.Crash(rand.New(rand.NewPCG(uint64(at), 1)), keep)
			}
			crashHistory(t, e, cut)
		})
	}
}

// stride is how many points are passed over at a time, but where crash tests are asked for in full.
func stride(n int) int {
	switch {
	case os.Getenv("FIRTH_CRASH_ROUNDS") != "":
		return 1
	case testing.Short():
		return 7 * n
	default:
		return n
	}
}

// crashHistory runs the script, first half and second, each under the power cut if there is one, and then whole.
func crashHistory(t *testing.T, e *lakeEnv, cut func(func() error)) {
	t.Helper()
	c := newCorpus(11, testStart)
	want := crashScript(e, c)
	if cut == nil {
		e.mustDrain()
	} else {
		cut(e.drain)
	}
	more := crashScript(e, c)
	e.mustDrain()
	e.mustDrain()
	for source, rows := range more {
		e.wantRows(source, append(want[source], rows...))
	}
	if snap := e.snapshot(DeadLetters); snap.Rows != 2 {
		t.Fatalf("%d dead letters, want 2", snap.Rows)
	}
}

// TestFailureAtEveryChange lets each change to the disk fail once, and the writer go on.
func TestFailureAtEveryChange(t *testing.T) {
	e, fs := crashEnv(t)
	crashHistory(t, e, nil)
	total := fs.Ops()
	for at := 0; at < total; at += stride(10) {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			e, fs := crashEnv(t)
			failed := errors.New("the disk coughs")
			crashHistory(t, e, func(drain func() error) {
				fs.Fault(func(op disktest.Op) error {
					if op.Kind.Changes() && op.Index == at {
						return failed
					}
					return nil
				})
				if err := drain(); err != nil && !errors.Is(err, failed) { // opening is not tried again
					t.Fatal(err)
				}
				fs.Fault(nil)
			})
		})
	}
}

// untilKilled runs what may be killed anywhere, also where nobody takes a panic for an error.
func untilKilled(fn func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return fn()
}

// TestKillBetweenNamedSteps stops the process before each named step; what is written stays.
func TestKillBetweenNamedSteps(t *testing.T) {
	var names []string
	{
		e, _ := crashEnv(t)
		e.o.step = func(name string) error { names = append(names, name); return nil }
		crashHistory(t, e, nil)
	}
	for at, name := range names {
		t.Run(fmt.Sprintf("%d %s", at, name), func(t *testing.T) {
			e, _ := crashEnv(t)
			n := 0
			e.o.step = func(string) error {
				if n++; n == at+1 {
					panic("killed")
				}
				return nil
			}
			crashHistory(t, e, func(drain func() error) {
				if err := untilKilled(drain); err != nil && !strings.Contains(err.Error(), "killed") {
					t.Fatal(err)
				}
				e.o.step = nil
			})
		})
	}
	if len(names) < 15 {
		t.Errorf("only %d named steps: %v", len(names), names)
	}
}

// TestUnknownOutcome lets a commit end in an error although it took place.
func TestUnknownOutcome(t *testing.T) {
	e, _ := crashEnv(t)
	lost := 2
	e.o.step = func(name string) error {
		if strings.HasPrefix(name, "done commit") && lost > 0 {
			lost--
			return errors.New("the answer got lost")
		}
		return nil
	}
	crashHistory(t, e, nil)
	if lost != 0 {
		t.Error("no commit was made to look lost")
	}
}

// TestFullDisk fills the disk in the middle of a flush and makes room later.
func TestFullDisk(t *testing.T) {
	e, fs := crashEnv(t)
	c := newCorpus(13, testStart)
	first := c.calls(50)
	e.journal.calls("production", first...)
	e.mustDrain()
	second := c.calls(50)
	e.journal.calls("production", second...)
	fs.SetCapacity(fs.Used() + 4096)
	l, err := Open(context.Background(), e.o)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, l)
	w := l.Writer(e.journal, e.journal)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	waitFor(t, func() bool { return w.State().State == StateFailing })
	if s := w.State(); !strings.Contains(s.Hint, "room") || s.Error == "" {
		t.Errorf("state is %+v", s)
	}
	fs.SetCapacity(1 << 30)
	waitFor(t, func() bool { return w.Stats().Rows == 50 })
	if s := w.State(); s.State != StateOK {
		t.Errorf("after room was made the state is %+v", s)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	e.wantRows("production", append(values(first), values(second)...))
	for _, name := range fs.Names() {
		if strings.HasSuffix(name, ".parquet") && fs.Content(name) == nil {
			t.Errorf("%s is empty", name)
		}
	}
	if n := count(fs.Names(), ".parquet"); n != len(e.snapshot("production").Files) {
		t.Errorf("%d data files on disk, the table has %d: a failed flush left some", n, len(e.snapshot("production").Files))
	}
}

func count(names []string, suffix string) (n int) {
	for _, name := range names {
		if strings.HasSuffix(name, suffix) {
			n++
		}
	}
	return n
}

// TestDamagedWindowIsMadeAgain flips bits in the window's files.
func TestDamagedWindowIsMadeAgain(t *testing.T) {
	e := newEnv(t)
	e.o.DedupIDs = 64
	c := newCorpus(14, testStart)
	first := c.calls(30)
	e.journal.calls("production", first...)
	e.mustDrain()
	for i, at := range []int{3, 90, 400, 3_000_000, 2} {
		names, err := filepath.Glob(filepath.Join(e.o.Window, "production", "*"))
		if err != nil || len(names) < 2 {
			t.Fatalf("window files: %v, %v", names, err)
		}
		name := names[i%len(names)]
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		b[min(at, len(b)-2)] ^= 0x10
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
		dup := c.call()
		dup.MessageID = first[at%30].MessageID
		e.journal.calls("production", dup)
		e.mustDrain()
		if n := len(e.rows("production")); n != 30 {
			t.Fatalf("%s damaged at %d: %d rows, want 30", name, at, n)
		}
	}
}
