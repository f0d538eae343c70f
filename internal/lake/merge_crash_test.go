package lake

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firth/internal/disk/disktest"
	"firth/internal/event"
)

// crashedMerge puts files into a lake, lets cut merge them as far as it gets, and starts again: then no row may be lost or new,
// and another merge must come to the right end. Cut is given the merger and leaves behind what a crash leaves.
func crashedMerge(t *testing.T, cut func(e *mergeEnv, fs *disktest.FS, m *Merger)) {
	t.Helper()
	env, fs := crashEnv(t)
	e := &mergeEnv{lakeEnv: env}
	e.open()
	var all []event.Call
	c := newCorpus(61, testStart)
	for i := range 6 {
		calls := c.calls(9)
		calls[0].TS -= microsPerDay
		if i == 4 {
			calls[3].MessageID = all[2].MessageID
		}
		e.put("production", calls)
		all = append(all, values(calls)...)
	}
	inputs := count(fs.Names(), ".parquet")
	cut(e, fs, e.merger())
	e.hook = nil
	e.close()
	e.open()
	defer e.close()
	var got []event.Call
	for _, rows := range e.files("production") {
		got = append(got, rows...)
	}
	if n := len(got); n != len(all) && n != len(all)-1 || len(model(got)) != len(all)-1 {
		t.Fatalf("%d rows, %d different ones, want %d or one less", n, len(model(got)), len(all))
	}
	e.mustMerge(e.merger(), MergeAll)
	e.wantMerged("production", all)
	if disk, ok := e.o.FS.(*disktest.FS); ok && disk == fs { // the process went on: it tidied up after itself
		if n := count(fs.Names(), ".parquet"); n != inputs+2 {
			t.Errorf("%d data files, want %d inputs and 2 merged ones", n, inputs)
		}
	}
	if n := count(fs.Names(), ".tmp"); n != 0 && e.o.FS == fs {
		t.Errorf("%d temporary files stay", n)
	}
}

// mergeOps is which changes to the disk a merge makes.
func mergeOps(t *testing.T) (from, to int) {
	t.Helper()
	crashedMerge(t, func(e *mergeEnv, fs *disktest.FS, m *Merger) {
		from = fs.Ops()
		e.mustMerge(m, MergeAll)
		to = fs.Ops()
	})
	if to-from < 30 {
		t.Fatalf("the merges make only %d changes", to-from)
	}
	return from, to
}

func TestKillPowerAtEveryChangeOfAMerge(t *testing.T) {
	from, to := mergeOps(t)
	for at := from; at < to; at += stride(3) {
		keep := []float64{0, 0.5, 1}[(at-from)/stride(3)%3]
		t.Run(fmt.Sprintf("%d/%v", at-from, keep), func(t *testing.T) {
			crashedMerge(t, func(e *mergeEnv, fs *disktest.FS, m *Merger) {
				fs.Fault(disktest.PowerOffAt(at))
				_, err := m.Merge(t.Context(), MergeAll, "", nil)
				fs.Fault(nil)
				if !errors.Is(err, disktest.ErrPowerOff) {
					t.Fatalf("the power was cut, and the merge says: %v", err)
				}
				e.o.FS = fs.Crash(rand.New(rand.NewPCG(uint64(at), 2)), keep)
			})
		})
	}
}

func TestFailureAtEveryChangeOfAMerge(t *testing.T) {
	from, to := mergeOps(t)
	for at := from; at < to; at += stride(4) {
		t.Run(fmt.Sprint(at-from), func(t *testing.T) {
			failed := errors.New("the disk coughs")
			crashedMerge(t, func(_ *mergeEnv, fs *disktest.FS, m *Merger) {
				fs.Fault(func(op disktest.Op) error {
					if op.Kind.Changes() && op.Index == at {
						return failed
					}
					return nil
				})
				if _, err := m.Merge(t.Context(), MergeAll, "", nil); err != nil && !errors.Is(err, failed) {
					t.Fatal(err)
				}
				fs.Fault(nil)
			})
		})
	}
}

func TestKillBetweenNamedStepsOfAMerge(t *testing.T) {
	var names []string
	crashedMerge(t, func(e *mergeEnv, _ *disktest.FS, m *Merger) {
		e.hook = func(name string) error { names = append(names, name); return nil }
		e.mustMerge(m, MergeAll)
	})
	if want := []string{"merge write production", "merge production", "done merge production"}; !slices.Equal(names[:3], want) && len(names) < 6 {
		t.Fatalf("steps %v", names)
	}
	for at, name := range names {
		t.Run(fmt.Sprintf("%d %s", at, name), func(t *testing.T) {
			crashedMerge(t, func(e *mergeEnv, fs *disktest.FS, m *Merger) {
				n := 0
				e.hook = func(string) error {
					if n++; n == at+1 {
						panic("killed")
					}
					return nil
				}
				if _, err := m.Merge(t.Context(), MergeAll, "", nil); err == nil || !strings.Contains(err.Error(), "killed") {
					t.Fatal(err)
				}
				e.o.FS = fs.Crash(nil, 1)
			})
		})
	}
}

// TestUnknownOutcomeOfAMerge lets a commit end in an error although it took place, and others fail for certain.
func TestUnknownOutcomeOfAMerge(t *testing.T) {
	for _, at := range []string{"done merge production", "merge write production", "merge production", "catalog row production"} {
		t.Run(at, func(t *testing.T) {
			crashedMerge(t, func(e *mergeEnv, _ *disktest.FS, m *Merger) {
				lost := false
				e.hook = func(name string) error {
					if name == at && !lost {
						lost = true
						return errors.New("the answer got lost")
					}
					return nil
				}
				_, err := m.Merge(t.Context(), MergeAll, "", nil)
				if took := strings.HasPrefix(at, "done"); !lost || took != (err == nil) {
					t.Errorf("lost: %v; the merge says %v", lost, err)
				}
			})
		})
	}
}

var manifests = regexp.MustCompile(`UUID-m\d+\.avro`)

// TestOrderOfAMerge shows what a merge does to the disk, in order. What matters: the new file is synced, with its folder, before the
// catalog row; nothing is removed.
func TestOrderOfAMerge(t *testing.T) {
	var steps []string
	crashedMerge(t, func(e *mergeEnv, fs *disktest.FS, m *Merger) {
		fs.Trace(func(op disktest.Op) {
			line := fmt.Sprintf("  %s %s", op.Kind, op.Path)
			if op.Kind == disktest.Rename {
				line += " to " + filepath.Base(op.To)
			}
			line = manifests.ReplaceAllString(anonymous(line), "UUID-mN.avro")
			// Manifests are written beside each other, in any order.
			for i := len(steps) - 1; i >= 0 && strings.Contains(line, "-mN.avro") && strings.Contains(steps[i], "-mN.avro"); i-- {
				if steps[i] == line {
					return
				}
			}
			if len(steps) == 0 || steps[len(steps)-1] != line {
				steps = append(steps, line)
			}
		})
		e.hook = func(name string) error { steps = append(steps, name); return nil }
		e.mustMerge(m, MergeAll)
		fs.Trace(nil)
	})
	golden(t, "merge_order.txt", strings.Join(steps, "\n")+"\n")
}
