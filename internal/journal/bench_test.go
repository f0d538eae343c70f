package journal_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"firth/internal/disk"
	"firth/internal/journal"
)

// BenchmarkAppend appends to a real disk. p50 and p99 are those of one append.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 64} {
		for _, size := range []int{400, 8 << 10, 40 << 10} {
			b.Run(fmt.Sprintf("callers=%d/bytes=%d", callers, size), func(b *testing.B) {
				benchmarkAppend(b, callers, size)
			})
		}
	}
}

func benchmarkAppend(b *testing.B, callers, size int) {
	j, err := journal.Open(disk.OS{}, b.TempDir(), journal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ran := make(chan error, 1)
	go func() { ran <- j.Run(ctx) }()

	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	cpu := cpuTime()
	var left atomic.Int64
	left.Store(int64(b.N))
	took := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			payload := make([]byte, size)
			times := make([]time.Duration, 0, b.N/callers*2+1)
			for left.Add(-1) >= 0 {
				began := time.Now()
				if _, err := j.Append(ctx, payload, 1); err != nil {
					b.Error(err)
					return
				}
				times = append(times, time.Since(began))
			}
			took[c] = times
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpuTime()-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
	report(b, j.Stats(), slices.Concat(took...))
	stop()
	if err := <-ran; err != nil {
		b.Fatal(err)
	}
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkOpen opens a journal of 64 MiB of frames of 4 KB, which verifies all of it.
func BenchmarkOpen(b *testing.B) {
	folder := b.TempDir()
	j, err := journal.Open(disk.OS{}, folder, journal.Options{SegmentBytes: 16 << 20})
	if err != nil {
		b.Fatal(err)
	}
	r := run(j)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 256 {
				if _, err := j.Append(b.Context(), make([]byte, 4096), 1); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.SetBytes(j.Stats().Bytes)
	if err := r.stop(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j, err := journal.Open(disk.OS{}, folder, journal.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// cpuTime is what the process has used so far: with other programs on the machine it says more than the time that passed.
func cpuTime() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func report(b *testing.B, s journal.Stats, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(s.Appends)/float64(s.Syncs), "appends/sync")
	b.ReportMetric(float64(s.SyncTime.Microseconds())/float64(s.Syncs), "µs/sync")
}
