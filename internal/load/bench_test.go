package load_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/warehouse/duckdb"
)

// streamLake makes realistic calls of 1.2 KB as they are asked for: track calls of twenty events and, one in twenty, an identify.
type streamLake struct {
	events    int
	templates []event.Call
}

func newStreamLake(events, names int) *streamLake {
	l := &streamLake{events: events}
	kinds := rand.NewZipf(rand.New(rand.NewPCG(7, 1)), 1.15, 4, uint64(names-1))
	const userAgent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
	for i := range 8000 {
		at := int64(1_700_000_000_000_000) + int64(i)*1000
		properties := fmt.Sprintf(`{"session":"`+hole+`","product_id":"507f1f77bcf86cd7994390%02d","sku":"G-%d","category":"Games","name":"Monopoly: %drd Edition","brand":"Hasbro",`+
			`"variant":"%d pieces","price":%d.99,"quantity":%d,"coupon":"MAYDEALS","currency":"usd","position":%d,"inStock":%t}`, i%100, i, i%9, i%500, i%90, i%7, i, i%2 == 0)
		context := fmt.Sprintf(`{"app":{"name":"Shop","version":"545","build":"3.0.1.545"},"campaign":{"name":"TPS Innovation Newsletter","source":"Newsletter",`+
			`"medium":"email","term":"tps reports","content":"image link"},"ip":"8.8.%d.8","library":{"name":"analytics.js","version":"2.11.1"},`+
			`"locale":"en-US","page":{"path":"/academy/%d","referrer":"","search":"","title":"Analytics Academy","url":"https://example.com/academy/`+hole+`"},`+
			`"screen":{"density":2,"height":568,"width":320},"timezone":"Europe/Amsterdam","userAgent":"%s"}`, i%256, i, userAgent)
		c := event.Call{
			Type: "track", Event: fmt.Sprintf("Product Viewed %d", kinds.Uint64()), UserID: fmt.Sprintf("97980cfea%04d", i*7%1000), AnonymousID: "023188b0-bbac-11e4-8dfc-aa07a5b093db",
			TS: at, ReceivedAt: at, SentAt: at, OriginalTimestamp: at, Properties: []byte(properties), Context: []byte(context), Log: journal,
		}
		if i%20 == 19 {
			c.Type, c.Event, c.Properties = "identify", "identify", fmt.Appendf(nil, `{"email":"ann%d@example.com","plan":"pro","seats":%d}`, i, i%30)
		}
		c.Payload = fmt.Appendf(nil, `{"type":"%s","event":"%s","userId":"%s","properties":%s,"context":%s}`, c.Type, c.Event, c.UserID, c.Properties, c.Context)
		l.templates = append(l.templates, c)
	}
	return l
}

func (l *streamLake) Sources(context.Context) ([]string, error) { return []string{"production"}, nil }

func (l *streamLake) Snapshot(_ context.Context, source string) (*lake.Snapshot, error) {
	if source != "production" {
		return nil, lake.ErrNoTable
	}
	end := uint64(l.events)
	return &lake.Snapshot{Source: source, ID: 1, Positions: map[string]uint64{journal: end}, Files: []*lake.File{
		{Path: "/none", Rows: int64(end), MinLog: journal, MaxLog: journal, MaxOffset: end - 1},
	}}, nil
}

func (l *streamLake) Calls(_ context.Context, _ *lake.Snapshot, _ string, from, to uint64, fn func(*event.Call) error) error {
	for o := from; o < to; o++ {
		c := l.templates[o%uint64(len(l.templates))]
		c.MessageID, c.Offset = fmt.Sprintf("ajs-next-1700000000000-022bb90c-bbac-11e4-8dfc-%012x", o), o
		text := fmt.Sprintf("%016x%016x", o*0x9e3779b97f4a7c15, (o+1)*0xc2b2ae3d27d4eb4f)
		c.Properties, c.Context = bytes.Replace(c.Properties, []byte(hole), []byte(text), 1), bytes.Replace(c.Context, []byte(hole), []byte(text), 1)
		c.AnonymousID, c.UserID = text[:8]+"-bbac-11e4-8dfc-"+text[20:], "usr_"+text[:5]
		if err := fn(&c); err != nil {
			return err
		}
	}
	return nil
}

// hole is where a call has a text that no other has.
const hole = "00000000000000000000000000000000"

// BenchmarkLoad is from calls to rows that are committed: shaping, appending and checkpoints, on one thread of the engine.
func BenchmarkLoad(b *testing.B) {
	for _, c := range []struct{ threads, names, rows int }{{1, 20, 20_000}, {1, 120, 5_000}, {1, 120, 20_000}, {1, 120, 50_000}, {1, 120, 100_000}} {
		b.Run(fmt.Sprintf("threads=%d/names=%d/rows=%d", c.threads, c.names, c.rows), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "warehouse.duckdb")
			db, err := duckdb.Open(b.Context(), path, duckdb.Options{Threads: c.threads})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				if err := db.Close(); err != nil {
					b.Error(err)
				}
			})
			rules := name.DuckDB()
			l := load.New(load.Options{Name: "local", Lake: newStreamLake(b.N, c.names), Rows: c.rows, Bytes: 512 << 20, Warehouse: db, History: db, Rules: rules, NewShaper: load.Segment(rules, event.ShapeOptions{})})
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime()
			if err := l.CatchUp(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64((cpuTime()-cpu).Microseconds())/float64(b.N), "cpu-µs/event")
			b.ReportMetric(float64(peak())/(1<<20), "peak-MB")
			b.StopTimer()
			var rows int
			if err := db.SQL().QueryRow("SELECT count(*) FROM production.tracks").Scan(&rows); err != nil || rows != b.N-b.N/20 {
				b.Fatalf("%d rows of %d, %v", rows, b.N, err)
			}
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak is the most memory that the process has had, in bytes.
func peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kb int64
	if _, err := fmt.Sscan(string(rest), &kb); err != nil {
		return 0
	}
	return kb << 10
}

// BenchmarkGrowth loads in steps and says what each of them cost, so that a price that grows with what is in the tables shows.
func BenchmarkGrowth(b *testing.B) {
	path := filepath.Join(b.TempDir(), "warehouse.duckdb")
	db, err := duckdb.Open(b.Context(), path, duckdb.Options{Threads: 1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	rules := name.DuckDB()
	stream := newStreamLake(0, 120)
	l := load.New(load.Options{Name: "local", Lake: stream, Rows: 50_000, Bytes: 512 << 20, Warehouse: db, History: db, Rules: rules, NewShaper: load.Segment(rules, event.ShapeOptions{})})
	const step = 200_000
	for n := 0; n < b.N; n++ {
		stream.events += step
		cpu, began := cpuTime(), time.Now()
		if err := l.CatchUp(b.Context()); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%d events: %.1f µs cpu, %.1f µs each, file %d MB, peak %d MB", stream.events, float64((cpuTime()-cpu).Microseconds())/step, float64(time.Since(began).Microseconds())/step, info.Size()>>20, peak()>>20)
	}
}
