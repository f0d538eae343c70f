package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/disk/disktest"
	"firth/internal/event"
)

// sweepHistory is a lake with everything that a tender finds: old days, files of snapshots that are no longer named, and orphans
// of a flush that was killed. It is made once; each test works on a copy.
type sweepHistory struct {
	fs      *disktest.FS
	catalog []byte
	want    []event.Call // what retention leaves
	journal *memJournal
	now     time.Time
}

// extra is what is flushed while the tender works; it is the same each time.
func (h *sweepHistory) extra() []*event.Call {
	return dated(newCorpus(82, testStart), h.now.Truncate(24*time.Hour), h.now, 2)
}

const sweepKeep = 30 * 24 * time.Hour

func newSweepHistory(t *testing.T) *sweepHistory {
	t.Helper()
	e, fs := crashEnv(t)
	e.o.DedupIDs = 0
	d := newTended(e, sweepKeep)
	d.mustOpen()
	c := newCorpus(81, testStart)
	h := &sweepHistory{fs: fs}
	today := d.now.Truncate(24 * time.Hour)
	for i := range keepSnapshots + 3 {
		d.pass(time.Second)
		if i%10 == 0 {
			d.mustFlush("production", dated(c, today.AddDate(0, 0, -40-i), d.now.Add(-2*time.Hour), 1)...)
		}
		h.want = append(h.want, d.mustFlush("production", dated(c, today.AddDate(0, 0, -i%3), d.now, 1)...)...)
	}
	s, err := d.l.store(context.Background(), "production")
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) { // a flush is killed
		f, err := s.newFile(dayOf(today.UnixMicro())-i*100, 7)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte("half a file")); err != nil {
			t.Fatal(err)
		}
		if err := f.out.Close(); err != nil {
			t.Fatal(err)
		}
	}
	d.close()
	if h.catalog, err = os.ReadFile(d.o.Catalog); err != nil {
		t.Fatal(err)
	}
	h.journal, h.now = d.journal, d.now
	h.fs = fs.Crash(nil, 1)
	return h
}

// copy gives a lake of its own with the history, closed.
func (h *sweepHistory) copy(t testing.TB) (*tended, *disktest.FS) {
	t.Helper()
	e, _ := crashEnv(t)
	e.o.DedupIDs = 0
	fs := h.fs.Crash(nil, 1)
	e.o.FS = fs
	if err := os.WriteFile(e.o.Catalog, h.catalog, 0o644); err != nil {
		t.Fatal(err)
	}
	j := h.journal
	e.journal = &memJournal{log: j.log, frames: slices.Clone(j.frames), items: maps.Clone(j.items), next: j.next, trimmed: j.trimmed, grown: make(chan struct{})}
	d := newTended(e, sweepKeep)
	d.now = h.now
	return d, fs
}

// tendAll is the script that crashes: days are dropped, files condemned and swept, with a flush in between.
func (h *sweepHistory) tendAll(d *tended) error {
	if err := d.open(); err != nil {
		return err
	}
	for i := range 3 {
		if err := d.round(); err != nil {
			return err
		}
		d.pass(testGrace)
		if i == 0 {
			d.journal.calls("production", h.extra()...)
			if err := d.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish goes on after the crash, and looks whether all is there and nothing is left over.
func (h *sweepHistory) finish(t *testing.T, d *tended) {
	t.Helper()
	want := slices.Concat(h.want, values(h.extra()))
	if d.journal.end() == h.journal.end() {
		d.journal.calls("production", h.extra()...)
	}
	d.elapsed = 0
	d.mustOpen()
	if err := d.flush(); err != nil {
		t.Fatal(err)
	}
	d.mustRound()
	for range 2 {
		d.pass(testGrace)
		d.mustRound()
	}
	ids := func(calls []event.Call) (out []string) {
		for _, c := range calls {
			out = append(out, c.MessageID)
		}
		slices.Sort(out)
		return out
	}
	if got := ids(d.rows("production")); !slices.Equal(got, ids(want)) {
		t.Errorf("the rows are\n%v, want\n%v", got, ids(want))
	}
	d.wantClean("production")
	d.wantClean(DeadLetters)
	d.close()
}

// TestKillPowerWhileTending cuts the power before every change to the disk, loses what was not synced, and starts again.
func TestKillPowerWhileTending(t *testing.T) {
	h := newSweepHistory(t)
	whole, fs := h.copy(t)
	start := fs.Ops()
	if err := h.tendAll(whole); err != nil {
		t.Fatal(err)
	}
	h.finish(t, whole)
	total := fs.Ops() - start
	if total < 150 {
		t.Fatalf("the history makes only %d changes: it does not do what it should", total)
	}
	for at := 0; at < total; at += stride(23) {
		keep := []float64{0, 0.5, 1}[at/stride(23)%3]
		t.Run(fmt.Sprintf("%d/%v", at, keep), func(t *testing.T) {
			d, fs := h.copy(t)
			fs.Fault(disktest.PowerOffAt(fs.Ops() + at))
			err := h.tendAll(d)
			fs.Fault(nil)
			if err != nil && !errors.Is(err, disktest.ErrPowerOff) {
				t.Fatalf("power cut at change %d: %v", at, err)
			}
			d.close()
			d.o.FS = fs.Crash(rand.New(rand.NewPCG(uint64(at), 1)), keep)
			h.finish(t, d)
		})
	}
}

// TestKillBetweenStepsOfTending stops the process before each named step, with and without the loss of what was not synced.
func TestKillBetweenStepsOfTending(t *testing.T) {
	h := newSweepHistory(t)
	var names []string
	whole, _ := h.copy(t)
	whole.o.step = func(name string) error { names = append(names, name); return nil }
	if err := h.tendAll(whole); err != nil {
		t.Fatal(err)
	}
	whole.close()
	for _, want := range []string{"retain production", "done retain production", "condemn", "sweep production"} {
		if !slices.Contains(names, want) {
			t.Errorf("no step %q", want)
		}
	}
	for at, name := range names {
		keeps := []float64{0, 1}
		if stride(2) > 1 {
			if slices.Index(names, name) != at { // the first of each name is enough
				continue
			}
			keeps = keeps[at%2 : at%2+1]
		}
		for _, keep := range keeps {
			t.Run(fmt.Sprintf("%d %s/%v", at, name, keep), func(t *testing.T) {
				d, fs := h.copy(t)
				n := 0
				d.o.step = func(string) error {
					if n++; n == at+1 {
						panic("killed")
					}
					return nil
				}
				func() {
					defer func() {
						if r := recover(); r != nil && r != "killed" {
							panic(r)
						}
					}()
					if err := h.tendAll(d); err != nil && !strings.Contains(err.Error(), "killed") {
						t.Error(err)
					}
				}()
				d.close()
				d.o.step, d.o.FS = nil, fs.Crash(nil, keep)
				h.finish(t, d)
			})
		}
	}
}

// TestNothingIsDecidedFromAPartialRead lets each listing and each read fail once: that round removes nothing, and says why.
func TestNothingIsDecidedFromAPartialRead(t *testing.T) {
	h := newSweepHistory(t)
	coughs := errors.New("the disk coughs")
	kinds := []disktest.Kind{disktest.ReadDir, disktest.Read, disktest.Open}
	fails := map[disktest.Kind]int{}
	for _, kind := range kinds {
		for nth := 0; ; nth += stride(13) {
			d, fs := h.copy(t)
			d.mustOpen()
			d.mustRound() // condemns
			d.pass(testGrace)
			d.tender.watches = map[string]*watch{} // all is read anew
			before := fs.Names()
			failed := false
			inject := disktest.FailNth(kind, nth, coughs)
			fs.Fault(func(o disktest.Op) error {
				if !strings.HasPrefix(o.Path, d.o.Dir) {
					return nil
				}
				err := inject(o)
				failed = failed || err != nil
				return err
			})
			_, err := d.tender.Expire(context.Background(), nil)
			fs.Fault(nil)
			if !failed { // there are no more of the kind
				d.close()
				break
			}
			if !errors.Is(err, coughs) {
				t.Fatalf("%s %d: %v", kind, nth, err)
			}
			if s := d.tender.State(); s.State != StateFailing || !strings.Contains(s.Error, "coughs") || s.Hint == "" {
				t.Errorf("%s %d: the state is %+v", kind, nth, s)
			}
			if !strings.Contains(err.Error(), "the sweeper removes nothing") {
				d.close() // the sweep itself read everything
				continue
			}
			if after := fs.Names(); slices.ContainsFunc(before, func(n string) bool { return !slices.Contains(after, n) }) {
				t.Fatalf("%s %d: %d files, %d before", kind, nth, len(after), len(before))
			}
			fails[kind]++
			if n := d.tender.Stats().SweptFiles; n != 0 {
				t.Fatalf("%s %d: %d files are swept", kind, nth, n)
			}
			d.mustRound()
			if s := d.tender.State(); s.State != StateOK || d.tender.Stats().SweptFiles == 0 {
				t.Errorf("%s %d: afterwards %+v", kind, nth, s)
			}
			d.close()
		}
	}
	for _, kind := range kinds {
		if fails[kind] < 2 {
			t.Errorf("%s failed %d times only", kind, fails[kind])
		}
	}
}

// TestFailureAtEveryRemoval lets each change to the disk fail once while a tender works, and lets the next round go on.
func TestFailureAtEveryRemoval(t *testing.T) {
	h := newSweepHistory(t)
	coughs := errors.New("the disk coughs")
	for at := 0; ; at += stride(29) {
		d, fs := h.copy(t)
		d.mustOpen()
		base, failed := fs.Ops(), false
		fs.Fault(func(op disktest.Op) error {
			if op.Kind.Changes() && op.Index == base+at {
				failed = true
				return coughs
			}
			return nil
		})
		for range 3 {
			if err := d.round(); err != nil && !errors.Is(err, coughs) {
				t.Fatalf("change %d: %v", at, err)
			}
			d.pass(testGrace)
		}
		fs.Fault(nil)
		if !failed {
			d.close()
			break
		}
		h.finish(t, d)
	}
}

// TestADamagedManifestStopsTheSweeper flips a bit in what the tables name.
func TestADamagedManifestStopsTheSweeper(t *testing.T) {
	h := newSweepHistory(t)
	for _, suffix := range []string{"-m1.avro", ".gz.metadata.json"} {
		d, fs := h.copy(t)
		d.mustOpen()
		d.mustRound()
		d.pass(testGrace)
		d.tender.watches = map[string]*watch{}
		live := d.snapshotFiles(suffix)
		if len(live) == 0 {
			t.Fatalf("no file ends with %s", suffix)
		}
		name := live[len(live)-1]
		b := fs.Content(name)
		b[len(b)/2] ^= 4
		fs.SetContent(name, b)
		d.mustOpen() // with nothing in memory
		err := d.round()
		if err == nil || !strings.Contains(err.Error(), filepath.Base(name)) || d.tender.Stats().SweptFiles != 0 {
			t.Errorf("%v, %d files swept", err, d.tender.Stats().SweptFiles)
		}
		d.close()
	}
}

// snapshotFiles lists the live files of the table that end with a suffix, sorted.
func (d *tended) snapshotFiles(suffix string) (out []string) {
	d.t.Helper()
	s, err := d.l.store(context.Background(), "production")
	if err != nil {
		d.t.Fatal(err)
	}
	seen, err := (&watch{s: s, root: d.o.Dir}).look(context.Background())
	if err != nil {
		d.t.Fatal(err)
	}
	for n := range seen.live {
		if strings.HasSuffix(n.Value(), suffix) {
			out = append(out, filepath.Join(d.o.Dir, n.Value()))
		}
	}
	slices.Sort(out)
	return out
}
