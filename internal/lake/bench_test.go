package lake

import (
	"context"
	"runtime"
	"syscall"
	"testing"
	"time"

	"firth/internal/event"
)

// cpuTime is what the process has used so far, all threads together.
func cpuTime(b testing.TB) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// fill puts n events of about 1 KB into the journal, twenty a record.
func (e *lakeEnv) fill(n int) {
	c := newCorpus(31, testStart)
	c.step = 20 * time.Microsecond
	for range n / 20 {
		e.journal.calls("production", c.calls(20)...)
	}
}

// BenchmarkFlush brings events from the journal into the lake: all but decoding.
func BenchmarkFlush(b *testing.B) {
	e := newEnv(b)
	e.o.Every = time.Minute
	e.fill(200_000)
	b.ReportAllocs()
	var cpu time.Duration
	for b.Loop() {
		b.StopTimer()
		fresh := newEnv(b)
		fresh.journal, fresh.o.Every = e.journal, e.o.Every
		e.journal.trimmed = 0
		runtime.GC()
		b.StartTimer()
		before := cpuTime(b)
		fresh.mustDrain()
		cpu += cpuTime(b) - before
		e.last, e.o.Catalog = fresh.last, fresh.o.Catalog
	}
	n := float64(b.N) * 200_000
	b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/n, "cpu-ns/event")
	b.ReportMetric(float64(e.last.Bytes)/200_000, "bytes/event")
	b.ReportMetric(float64(e.last.Flushes), "flushes")
}

// BenchmarkCalls reads all rows with all their columns, as the loader does.
func BenchmarkCalls(b *testing.B) {
	e := newEnv(b)
	e.o.Every = time.Minute
	e.fill(200_000)
	e.mustDrain()
	ctx := context.Background()
	r, err := OpenReader(ctx, e.o.Catalog)
	if err != nil {
		b.Fatal(err)
	}
	defer closeIt(b, r)
	snap, err := r.Snapshot(ctx, "production")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		rows := 0
		if err := r.Calls(ctx, snap, testLog, 0, 200_000, func(*event.Call) error { rows++; return nil }); err != nil || rows != 200_000 {
			b.Fatalf("%d rows, %v", rows, err)
		}
	}
	n := float64(b.N) * 200_000
	b.ReportMetric(n/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/n, "cpu-ns/event")
}

// BenchmarkPoll asks for the snapshot of a table that does not change.
func BenchmarkPoll(b *testing.B) {
	e := newEnv(b)
	e.fill(100)
	e.mustDrain()
	ctx := context.Background()
	r, err := OpenReader(ctx, e.o.Catalog)
	if err != nil {
		b.Fatal(err)
	}
	defer closeIt(b, r)
	for b.Loop() {
		if _, err := r.Snapshot(ctx, "production"); err != nil {
			b.Fatal(err)
		}
	}
}
