package lake

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"firth/internal/event"
)

// TestMergeMemory merges what is many times as large, unpacked, as the memory that it is given.
func TestMergeMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	for _, tt := range []struct {
		name              string
		files, rows, wide int
		memory            int64
	}{
		{"a hundred inputs of wide rows", 100, 25, 32 << 10, 96 << 20},
		{"rows of half a megabyte", 8, 20, 512 << 10, 64 << 20},
		{"many rows", 6, 6_000, 600, 64 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := newMergeEnv(t)
			want := int64(0)
			c := newCorpus(81, testStart)
			r := rand.New(rand.NewPCG(81, 81))
			for range tt.files {
				calls := make([]*event.Call, tt.rows)
				for i := range calls {
					calls[i] = c.call()
					calls[i].Payload = wide(r, tt.wide)
				}
				e.put("production", calls)
				want += int64(len(calls))
			}
			defer debug.SetGCPercent(debug.SetGCPercent(10)) // what counts is what is in use
			m := e.l.Merger(MergeOptions{Memory: tt.memory, LargeBytes: 1 << 30, Temp: e.dir})
			var peak uint64
			stop := watchHeap(&peak)
			report := e.mustMerge(m, MergeAll)
			stop()
			if limit := uint64(tt.memory + tt.memory/4); peak > limit { // garbage counts, too
				t.Errorf("the merges took %d MiB, want at most %d", peak>>20, limit>>20)
			}
			snap := e.snapshot("production")
			if snap.Rows != want || len(snap.Files) >= tt.files/2 {
				t.Errorf("%d rows in %d files, want %d in few", snap.Rows, len(snap.Files), want)
			}
			t.Logf("%d MiB at most for %d merges of %d MiB unpacked; %d KiB spilled", peak>>20, report.Merges, want*int64(tt.wide)>>20, m.Stats().Spilled>>10)
		})
	}
}

// wide returns JSON of about n bytes that packs to a half.
func wide(r *rand.Rand, n int) []byte {
	out := []byte(`{"a":"`)
	for len(out) < n {
		out = fmt.Appendf(out, "%016x", r.Uint64())
	}
	return append(out, `"}`...)
}

// watchHeap notes the highest number of bytes that live objects and garbage took, above what is there at the start.
func watchHeap(peak *uint64) (stop func()) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	base := read()
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if now := read(); now > base {
					*peak = max(*peak, now-base)
				}
			}
		}
	})
	return func() {
		close(done)
		wait.Wait()
	}
}
