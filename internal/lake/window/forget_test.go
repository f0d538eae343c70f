package window

import (
	"maps"
	"math/rand/v2"
	"testing"

	"firth/internal/disk/disktest"
)

// What is forgotten is not found any more, in memory, in files and after a restart; all else is.
func TestForget(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 7))
		o := options(disktest.New())
		o.IDs = 4000
		w := mustOpen(t, o, nil)
		w.Refill(Always)
		if err := w.Refilled(nil); err != nil {
			t.Fatal(err)
		}
		left, n, all := map[ID]uint64{}, uint64(200+r.IntN(2000)), []ID(nil)
		for at := uint64(0); at < n; {
			var rows []Seen
			for range 1 + r.IntN(100) {
				rows = append(rows, Seen{ID: id(int(at)), Offset: at, Received: int64(at)})
				left[id(int(at))] = at
				all = append(all, id(int(at)))
				at++
			}
			n = max(n, at)
			if err := w.Add(rows, at); err != nil {
				t.Fatal(err)
			}
		}
		var gone []ID
		share := r.Float64()
		for i := range left {
			if r.Float64() < share {
				gone = append(gone, i)
			}
		}
		for _, i := range gone {
			delete(left, i)
		}
		had, err := w.Forget(append(gone, id(-1)))
		if err != nil || had != len(gone) {
			t.Fatalf("seed %d: forgot %d of %d, %v", seed, had, len(gone), err)
		}
		if got := find(t, w, all); !maps.Equal(got, left) {
			t.Fatalf("seed %d: %d ids are left, want %d", seed, len(got), len(left))
		}
		if seed%2 == 0 { // else the process is killed
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		w = mustOpen(t, o, map[string]uint64{log1: n})
		for _, i := range gone {
			if len(find(t, w, []ID{i})) > 0 {
				t.Fatalf("seed %d: after a restart it is there again", seed)
			}
		}
		if got := find(t, w, all); !w.Empty() && w.Complete(log1, n) && !maps.Equal(got, left) {
			t.Fatalf("seed %d: %d ids are left after a restart, want %d", seed, len(got), len(left))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
