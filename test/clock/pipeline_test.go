package clock

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"firth/internal/api"
	"firth/internal/collect"
	"firth/internal/disk"
	"firth/internal/event"
	"firth/internal/journal"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/name"
	"firth/internal/query"
	"firth/internal/warehouse/duckdb"
)

// clock is the machine's clock as it would be had somebody set it.
type clock struct {
	mu    sync.Mutex
	shift time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return step(time.Now(), c.shift)
}

// set moves the clock forward or back.
func (c *clock) set(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shift += by
}

// step gives a time another reading of the wall clock, in whole seconds, and leaves that of the monotonic clock, as the kernel
// does when the clock is set. No function of package time does one without the other; its source describes the layout: the
// first word holds the seconds since 1885 in bits 30 to 62.
func step(t time.Time, by time.Duration) time.Time {
	word := (*uint64)(unsafe.Pointer(&t))
	*word += uint64(int64(by/time.Second)) << 30
	return t
}

func TestStep(t *testing.T) {
	now := time.Now()
	for _, by := range []time.Duration{-time.Hour, 0, 25 * time.Hour} {
		then := step(now, by)
		if got := time.Duration(then.UnixNano() - now.UnixNano()); got != by {
			t.Errorf("set by %s the wall clock moved by %s", by, got)
		}
		if got := then.Sub(now); got != 0 {
			t.Errorf("set by %s the monotonic clock moved by %s", by, got)
		}
	}
}

const (
	sourceName = "clock"
	writeKey   = "clock-key"
)

// pipeline is the server's parts wired as the server wires them, but with a clock that can be set, and in one process.
type pipeline struct {
	t    *testing.T
	url  string
	stop func()

	journal *journal.Journal
	lake    *lake.Lake
	writer  *lake.Writer
	tender  *lake.Tender
	merger  *lake.Merger
	reader  *lake.Reader
	db      *duckdb.DB
	loader  *load.Loader
	handler *collect.Handler
}

// settings differ from test to test.
type settings struct {
	window time.Duration // of dedup
	keep   time.Duration
	grace  time.Duration // of the sweeper; 3 s where it is left out
}

// run opens the data folder and lets everything run until stop.
func run(t *testing.T, dir string, c *clock, o settings) *pipeline {
	t.Helper()
	p := &pipeline{t: t}
	if err := p.open(dir, c, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(p.routes())
	p.url = server.URL
	stages := []func(context.Context) error{p.journal.Run, p.writer.Run, p.merger.Run, p.tender.Run, p.loader.Run}
	var group errgroup.Group
	cancels := make([]func(), len(stages))
	done := make([]chan struct{}, len(stages))
	for i, stage := range stages {
		stageCtx, end := context.WithCancel(context.WithoutCancel(ctx))
		cancels[i], done[i] = end, make(chan struct{})
		group.Go(func() error { defer close(done[i]); return stage(stageCtx) })
	}
	var once sync.Once
	p.stop = func() {
		once.Do(func() {
			p.handler.Shutdown()
			server.Close()
			for i := range stages {
				cancels[i]()
				<-done[i]
			}
			cancel()
			if err := errors.Join(group.Wait(), p.loader.CatchUp(context.Background()), p.close()); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	t.Cleanup(p.stop)
	return p
}

func (p *pipeline) open(dir string, c *clock, o settings) (err error) {
	at := func(name string) string { return filepath.Join(dir, name) }
	if p.journal, err = journal.Open(disk.OS{}, at("journal"), journal.Options{MaxBytes: 1 << 30, Now: c.Now}); err != nil {
		return err
	}
	p.lake, err = lake.Open(p.t.Context(), lake.Options{
		Catalog: at("catalog.db"), Dir: at("lake"), Window: at("window"), Sources: []string{sourceName},
		Every: 200 * time.Millisecond, DedupWindow: o.window, Now: c.Now,
	})
	if err != nil {
		return err
	}
	p.writer = p.lake.Writer(records{p.journal}, &decoder{})
	p.merger = p.lake.Merger(lake.MergeOptions{SmallEvery: 300 * time.Millisecond, LargeEvery: time.Second, Temp: at("tmp")})
	p.tender = p.lake.Tender(lake.TendOptions{Every: time.Second, Grace: cmp.Or(o.grace, 3*time.Second), Keep: o.keep})
	p.handler, err = collect.New(p.journal, collect.Options{Sources: []collect.Source{{Name: sourceName, Keys: []string{writeKey}}}, Now: c.Now})
	if err != nil {
		return err
	}
	if p.reader, err = lake.OpenReader(p.t.Context(), at("catalog.db")); err != nil {
		return err
	}
	p.db, err = duckdb.Open(p.t.Context(), at("warehouse.duckdb"), duckdb.Options{LakeDir: at("lake"), TempDir: at("tmp"), Now: c.Now})
	if err != nil {
		return err
	}
	rules := name.DuckDB()
	p.loader = load.New(load.Options{
		Name: "local", Lake: p.reader, Warehouse: p.db, Views: p.db, History: p.db, Rules: rules,
		Standard: event.Standard(rules), NewShaper: load.Segment(rules, event.ShapeOptions{}), Now: c.Now,
	})
	return nil
}

func (p *pipeline) routes() http.Handler {
	answers := api.New(query.New(p.db, query.Options{Deadline: 2 * time.Second, Concurrent: 4}), nil)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			answers.ServeHTTP(w, r)
			return
		}
		p.handler.ServeHTTP(w, r)
	})
}

func (p *pipeline) close() error {
	return errors.Join(p.db.Close(), p.reader.Close(), p.lake.Close(), p.journal.Close())
}

// records shows the journal as the log that the lake's writer empties.
type records struct{ *journal.Journal }

func (r records) Read(from uint64) lake.Cursor { return cursor{r.Journal.Read(from)} }

func (r records) Extent() (oldest, next uint64) {
	s := r.Stats()
	return s.Oldest, s.Next
}

type cursor struct{ r *journal.Reader }

func (c cursor) Next() (lake.Frame, error) {
	f, err := c.r.Next()
	return lake.Frame{Offset: f.Offset, Count: f.Count, ReceivedAt: f.ReceivedAt, Payload: f.Payload}, err
}

// decoder decodes what collect wrote.
type decoder struct {
	request event.Request
	calls   event.Decoder
}

func (d *decoder) Decode(f lake.Frame, log string, call func(string, *event.Call) error, dead func(*event.DeadLetter) error) error {
	if err := d.request.Decode(f.Payload); err != nil {
		return err
	}
	return d.calls.Decode(&d.request, log, f.Offset, f.ReceivedAt, func(c *event.Call) error { return call(d.request.Source, c) }, dead)
}
