package window

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"firth/internal/disk"
	"firth/internal/disk/disktest"
)

var update = flag.Bool("update", false, "write the fixture anew")

const (
	log1 = "5b0c2f1e-7a31-4c0e-9d55-0f6a2f3f7c11"
	log2 = "9a4e7d20-1111-4c0e-9d55-0f6a2f3f7c22"
)

func options(fs disk.FS) Options {
	return Options{FS: fs, Dir: "/window/production", Log: log1, Span: time.Hour, IDs: 400}
}

func mustOpen(t testing.TB, o Options, positions map[string]uint64) *Window {
	t.Helper()
	w, err := Open(o, positions)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func id(n int) ID { return Hash(fmt.Sprint("message ", n)) }

// find asks for ids one by one and all together, which must agree.
func find(t testing.TB, w *Window, ids []ID) map[ID]uint64 {
	t.Helper()
	out := map[ID]uint64{}
	if err := w.Find(ids, func(i int, offset uint64) { out[ids[i]] = offset }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLikeAMap drives a window and a plain map with the same random history: rows, restarts, crashes, the passing of time.
func TestLikeAMap(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { history(t, rand.New(rand.NewPCG(seed, seed))) })
	}
}

func history(t *testing.T, r *rand.Rand) {
	fs := disktest.New()
	o := options(fs)
	o.IDs = 40 + r.IntN(400)
	w := mustOpen(t, o, nil)
	w.Refill(Always)
	if err := w.Refilled(nil); err != nil {
		t.Fatal(err)
	}
	table := map[ID]Seen{} // all rows ever committed
	next, now := uint64(0), int64(1_000_000)
	for range 200 {
		switch r.IntN(12) {
		case 0: // a clean stop
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			w = reopen(t, o, table, next)
		case 1: // a crash
			fs = fs.Crash(r, r.Float64())
			o.FS = fs
			w = reopen(t, o, table, next)
		case 2:
			now += int64(r.IntN(int(o.Span / time.Microsecond)))
		default:
			var rows []Seen
			for range r.IntN(20) {
				row := Seen{ID: id(int(next)), Offset: next, Received: now}
				rows = append(rows, row)
				table[row.ID] = row
				next++
				now += int64(r.IntN(1000))
			}
			if err := w.Add(rows, next); err != nil {
				t.Fatal(err)
			}
		}
		check(t, w, table, next, o)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// reopen opens a window and fills it from the table, as its owner does.
func reopen(t *testing.T, o Options, table map[ID]Seen, position uint64) *Window {
	t.Helper()
	positions := map[string]uint64{log1: position}
	w := mustOpen(t, o, positions)
	if w.Complete(log1, position) {
		return w
	}
	w.Refill(Always) // keeps the start where the window knows one
	from := w.Covered(log1)
	for _, row := range table {
		if row.Offset >= from {
			if err := w.Load([]Seen{row}, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Refilled(positions); err != nil {
		t.Fatal(err)
	}
	return w
}

func check(t *testing.T, w *Window, table map[ID]Seen, next uint64, o Options) {
	t.Helper()
	ids := slices.Collect(maps.Keys(table))
	for i := range 50 {
		ids = append(ids, id(1_000_000+i))
	}
	got := find(t, w, ids)
	for id, offset := range got {
		if row, ok := table[id]; !ok || row.Offset != offset {
			t.Fatalf("found offset %d, the table has %+v, %v", offset, row, ok)
		}
	}
	for id, row := range table {
		if _, ok := got[id]; !ok && row.Received >= w.Start() {
			t.Fatalf("row %+v is not found although the window starts at %d", row, w.Start())
		}
	}
	if int64(len(got)) > w.IDs() || w.IDs() > int64(o.IDs+w.generationIDs()) {
		t.Fatalf("%d ids were found, the window says %d, the limit is %d", len(got), w.IDs(), o.IDs)
	}
	if !w.Complete(log1, next) {
		t.Fatal("the window is not complete")
	}
}

func TestIDsOfAnotherLogAreElsewhere(t *testing.T) {
	fs := disktest.New()
	o := options(fs)
	w := mustOpen(t, o, nil)
	w.Refill(Always)
	if err := errors.Join(w.Load([]Seen{{id(1), 7, 100}}, true), w.Load([]Seen{{id(2), 7, 100}}, false), w.Refilled(map[string]uint64{log1: 8})); err != nil {
		t.Fatal(err)
	}
	want := map[ID]uint64{id(1): Elsewhere, id(2): 7}
	if got := find(t, w, []ID{id(1), id(2), id(3)}); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	o.Log = log2
	w = mustOpen(t, o, map[string]uint64{log1: 8})
	want = map[ID]uint64{id(1): Elsewhere, id(2): Elsewhere}
	if got := find(t, w, []ID{id(1), id(2)}); !maps.Equal(got, want) {
		t.Errorf("in another log: got %v, want %v", got, want)
	}
}

func TestGenerationsBeyondTheTableAreDropped(t *testing.T) {
	fs := disktest.New()
	o := options(fs)
	w := mustOpen(t, o, nil)
	w.Refill(Always)
	if err := w.Refilled(nil); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		if err := w.Add([]Seen{{id(i), uint64(i), int64(i)}}, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	positions := map[string]uint64{log1: 120} // the table was put back from a backup
	for range 2 {
		w = mustOpen(t, o, positions)
		if w.Complete(log1, 120) || w.Empty() {
			t.Errorf("complete %v, empty %v", w.Complete(log1, 120), w.Empty())
		}
		if from := w.Covered(log1); from != 100 {
			t.Errorf("covered up to %d, want 100, where the last whole generation of 50 ends", from)
		}
		got := find(t, w, []ID{id(99), id(100), id(119), id(150)})
		if want := map[ID]uint64{id(99): 99}; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExpiry(t *testing.T) {
	o := options(disktest.New())
	o.Span = 1000 * time.Microsecond
	w := mustOpen(t, o, nil)
	w.Refill(Always)
	if err := w.Refilled(nil); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := w.Add([]Seen{{id(i), uint64(i), int64(i * 50)}}, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	if w.Span() < o.Span || w.Span() > o.Span+o.Span/2 {
		t.Errorf("the window spans %s, asked for %s", w.Span(), o.Span)
	}
	if w.Start() == Always {
		t.Error("ids went and the window still claims to know all")
	}
	if entries, err := o.FS.ReadDir(o.Dir); err != nil || len(entries) > 15 {
		t.Errorf("%d files, %v", len(entries), err)
	}
}

// TestClockSetForward: time that passed in no time makes nobody forget.
func TestClockSetForward(t *testing.T) {
	o := options(disktest.New())
	o.Span = 1000 * time.Microsecond
	w := mustOpen(t, o, nil)
	w.Refill(Always)
	if err := w.Refilled(nil); err != nil {
		t.Fatal(err)
	}
	at := int64(0)
	for i := range 30 {
		if at += 20; i == 25 {
			at += 5000
		}
		if err := w.Add([]Seen{{id(i), uint64(i), at}}, uint64(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	got := map[int]bool{}
	if err := w.Find([]ID{id(0), id(10), id(24), id(29)}, func(i int, _ uint64) { got[i] = true }); err != nil || len(got) != 4 {
		t.Errorf("found %v of 4 ids, %v", got, err)
	}
	if w.Start() != Always {
		t.Errorf("the window starts at %d", w.Start())
	}
}

// TestFixture opens the files that the first version wrote.
func TestFixture(t *testing.T) {
	dir := filepath.Join("testdata", "v1")
	o := Options{FS: disk.OS{}, Dir: dir, Log: log1, Span: time.Hour, IDs: 4000}
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		w := mustOpen(t, o, nil)
		w.Refill(5)
		for i := range 300 {
			if err := w.Load([]Seen{{id(i), uint64(i), int64(i)}}, i%50 == 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Refilled(map[string]uint64{log1: 300, log2: 7}), w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	o.Dir = t.TempDir() // opening tidies up
	if err := os.CopyFS(o.Dir, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	w := mustOpen(t, o, map[string]uint64{log1: 300, log2: 7})
	if !w.Complete(log1, 300) || !w.Complete(log2, 7) || w.Start() != 5 || w.IDs() != 295 {
		t.Errorf("start %d, %d ids, covered %v", w.Start(), w.IDs(), w.covered)
	}
	for i := range 300 {
		want := map[ID]uint64{id(i): uint64(i)}
		if i%50 == 0 {
			want[id(i)] = Elsewhere
		}
		if i < 5 {
			want = map[ID]uint64{}
		}
		if got := find(t, w, []ID{id(i)}); !maps.Equal(got, want) {
			t.Errorf("id %d: got %v, want %v", i, got, want)
		}
	}
}

func TestNewerVersionIsRefused(t *testing.T) {
	fs := disktest.New()
	if err := writeManifest(fs, "/", &manifest{Version: version + 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{FS: fs, Dir: "/", Log: log1, Span: time.Hour, IDs: 10}, nil); !errors.Is(err, ErrNewer) {
		t.Errorf("got %v, want ErrNewer", err)
	}
}

func FuzzFiles(f *testing.F) {
	fs := disktest.New()
	if err := writeGeneration(fs, "/g", log1, map[ID]uint64{id(1): 1, id(2): Elsewhere}, 1, 2); err != nil {
		f.Fatal(err)
	}
	f.Add(fs.Content("/g"))
	f.Add([]byte("00000000\n{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseManifest(b); err == nil && m == nil {
			t.Error("neither manifest nor error")
		}
		fs := disktest.New()
		fs.SetContent("/g", b)
		g, err := openGeneration(fs, "/g")
		if err != nil {
			return
		}
		if _, _, err := g.find(id(1)); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	})
}

// cpu is the processor time that the process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestManyIDs reports memory and time, with FIRTH_MEASURE set at the default size; it asserts nothing but hits.
func TestManyIDs(t *testing.T) {
	n := 300_000
	if os.Getenv("FIRTH_MEASURE") != "" {
		n = 20_000_000
	}
	o := Options{FS: disk.OS{}, Dir: t.TempDir(), Log: log1, Span: 24 * time.Hour, IDs: n + maxGeneration}
	w := mustOpen(t, o, nil)
	w.Refill(Always)
	if err := w.Refilled(nil); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	random := func() (out ID) {
		for i := range out {
			out[i] = byte(r.Uint32())
		}
		return out
	}
	const batch = 20_000
	rows, probe := make([]Seen, batch), []ID(nil)
	start := cpu(t)
	for at := 0; at < n; at += batch {
		for i := range rows {
			rows[i] = Seen{random(), uint64(at + i), int64(at)}
		}
		probe = append(probe, rows[r.IntN(batch)].ID)
		if err := w.Add(rows, uint64(at+batch)); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d ids added: %.0f ns of CPU an id, sealing included", n, float64((cpu(t)-start).Nanoseconds())/float64(n))
	if got := find(t, w, probe); len(got) != len(probe) {
		t.Fatalf("found %d of %d", len(got), len(probe))
	}
	fresh := make([]ID, batch)
	for i := range fresh {
		fresh[i] = random()
	}
	start = cpu(t)
	if err := w.Find(fresh, func(int, uint64) { t.Error("found an id that was never added") }); err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f ns of CPU a look-up of an unknown id, %d at a time, %d generations", float64((cpu(t)-start).Nanoseconds())/batch, batch, len(w.sealed))
	start = cpu(t)
	find(t, w, probe)
	t.Logf("%.0f ns of CPU a look-up of a known id", float64((cpu(t)-start).Nanoseconds())/float64(len(probe)))
	clear(rows)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	t.Logf("%.1f MB on the heap: %.2f bytes an id", float64(m.HeapAlloc)/1e6, float64(m.HeapAlloc)/float64(n))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	start = cpu(t)
	w = mustOpen(t, o, map[string]uint64{log1: uint64(n)})
	t.Logf("opened again in %s of CPU", (cpu(t) - start).Round(time.Millisecond))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}
