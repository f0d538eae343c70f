package lake

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"firth/internal/disk/disktest"
	"firth/internal/journal"
)

// diskStep says in words what an operation does, whatever the file's own name.
func diskStep(op disktest.Op) string {
	kinds := []struct{ pattern, name string }{
		{`^/data/journal/.*\.seg(\.tmp)?$`, "journal segment"},
		{`^/data/journal$`, "journal folder"},
		{`/data/[a-z_]+=[^/]*/.*\.parquet(\.tmp)?$`, "data file"},
		{`/data/[a-z_]+=[^/]*$`, "folder of a day"},
		{`/metadata/snap-.*\.avro$`, "manifest list"},
		{`/metadata/.*\.avro$`, "manifest"},
		{`/metadata/.*\.metadata\.json$`, "metadata"},
		{`/metadata$`, "metadata folder"},
		{`^/data/window/.*/WINDOW(\.tmp)?$`, "window manifest"},
		{`^/data/window/.*\.ids(\.tmp)?$`, "window file"},
		{`^/data/window`, "window folder"},
		{`^/(backup(/[a-z]+)?)?$`, "folder"},
		{`^/backup/.*\.[a-z]+$`, "file of a backup"},
		{`^/backup/`, "folder of a backup"},
		{`^/data(/lake)?(/[a-z_]+)?(/data)?$`, "folder"},
	}
	for _, k := range kinds {
		if regexp.MustCompile(k.pattern).MatchString(op.Path) {
			return fmt.Sprintf("%s %s", op.Kind, k.name)
		}
	}
	return op.String()
}

// stepsInSource are the names of steps as the package's source has them.
func stepsInSource(t *testing.T) (names []string) {
	t.Helper()
	call := regexp.MustCompile(`(?:\bstep\(|\.(?:change|swap)\(ctx, )"([a-z ]+)"`)
	for _, pattern := range []string{"*.go", "catalog/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range call.FindAllStringSubmatch(string(text), -1) {
				if m[1] == "done " {
					continue
				}
				names = append(names, strings.TrimSpace(m[1]))
				if strings.HasPrefix(m[0], ".") {
					names = append(names, "done "+m[1])
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// elsewhere says which test crashes at steps that the history does not take.
var elsewhere = map[string]string{
	"mend": "TestMendIsKilledBetweenSteps", "mended": "TestMendIsKilledBetweenSteps",
	"purge search": purgeIsKilled, "purge write": purgeIsKilled, "purge window": purgeIsKilled, "purge sweep": purgeIsKilled,
	"purge": purgeIsKilled, "done purge": purgeIsKilled, "purge manifests": purgeIsKilled, "done purge manifests": purgeIsKilled,
	"suppress": "TestSuppressionIsKilled", "restore suppressed": "TestBackupKeepsWhoIsSuppressed",
	"history": "TestHistoryIsKilled", "done history": "TestHistoryIsKilled",
	"catalog rows": "TestKillAtEachStep of internal/warehouse/iceberg", "name catalog": "TestMakerIsKilled of internal/lake/catalog",
	"import": importIsKilled, "done import": importIsKilled, "import write": importIsKilled, "import letters": importIsKilled,
}

const importIsKilled = "TestImportIsKilledAtEachStep"

const purgeIsKilled = "TestPurgeIsKilledAtEachStep"

// TestDurableSteps lists every durable step, named ones and changes to the disk, that the crash tests of this file go through. A step
// of the source that no crash test goes through fails it.
func TestDurableSteps(t *testing.T) {
	p := newLongPast(t).copy(t)
	named, changes := map[string]bool{}, map[string]bool{}
	p.fs.Trace(func(op disktest.Op) { changes[diskStep(op)] = true })
	p.o.step = func(name string) error {
		if cut, ok := strings.CutSuffix(name, " production"); ok {
			name = cut
		}
		named[strings.TrimSuffix(strings.TrimSuffix(name, " "+DeadLetters), " staging")] = true
		return nil
	}
	if err := p.history(); err != nil {
		t.Fatal(err)
	}
	p.fs.Trace(nil)
	var b strings.Builder
	b.WriteString("Named steps\n")
	for _, name := range stepsInSource(t) {
		where := "here"
		if !named[name] {
			if where = elsewhere[name]; where == "" {
				t.Errorf("no crash test goes through step %q", name)
			}
		}
		fmt.Fprintf(&b, "  %s: %s\n", name, where)
	}
	b.WriteString("Changes to the disk\n")
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		fmt.Fprintf(&b, "  %s\n", name)
	}
	golden(t, "durable_steps.txt", b.String())
	p.finish()
}

// TestCrashAtEveryNamedStep kills the process at each named step, with and without the loss of what was not synced.
func TestCrashAtEveryNamedStep(t *testing.T) {
	h := newLongPast(t)
	var names []string
	whole := h.copy(t)
	whole.o.step = func(name string) error { names = append(names, name); return nil }
	if err := whole.history(); err != nil {
		t.Fatal(err)
	}
	full, seen := stride(2) == 1, map[string]bool{}
	for at, name := range names {
		// In the short form each name is crashed at once, at one of the tables.
		kind := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, " "+DeadLetters), " staging"), " production")
		if !full && seen[kind] {
			continue
		}
		seen[kind] = true
		for i, keep := range []float64{0, 0.5, 1} {
			if !full && i != at%3 {
				continue
			}
			t.Run(fmt.Sprintf("%d %s/%v", at, name, keep), func(t *testing.T) {
				p := h.copy(t)
				n := 0
				p.o.step = func(string) error {
					if n++; n <= at {
						return nil
					}
					p.fs.Fault(func(disktest.Op) error { return disktest.ErrPowerOff })
					return errKilled
				}
				if err := p.history(); err == nil {
					t.Fatal("the history went on")
				} else if !errors.Is(err, errKilled) && !errors.Is(err, disktest.ErrPowerOff) {
					t.Fatal(err)
				}
				p.crash(uint64(at), keep)
				p.finish()
			})
		}
	}
	t.Logf("%d named steps", len(names))
}

// TestCrashAtEveryChange cuts the power at each change to the disk: appends, syncs, files, manifests, removals.
func TestCrashAtEveryChange(t *testing.T) {
	h := newLongPast(t)
	whole := h.copy(t)
	if err := whole.history(); err != nil {
		t.Fatal(err)
	}
	total := whole.fs.Ops()
	if total < 400 {
		t.Fatalf("the history makes only %d changes", total)
	}
	step := strideOr(1, total/20) // about twenty in the short form
	for at := total % 7; at < total; at += step {
		keep := []float64{0, 0.5, 1}[at/step%3]
		t.Run(fmt.Sprintf("%d/%v", at, keep), func(t *testing.T) {
			p := h.copy(t)
			p.fs.Fault(disktest.PowerOffAt(at))
			if err := p.history(); err != nil && !errors.Is(err, disktest.ErrPowerOff) && !errors.Is(err, journal.ErrFailed) {
				t.Fatalf("power cut at change %d: %v", at, err)
			}
			p.crash(uint64(at), keep)
			p.finish()
		})
	}
	t.Logf("%d changes", total)
}
