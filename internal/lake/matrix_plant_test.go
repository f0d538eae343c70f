package lake

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/disk/disktest"
	"firth/internal/event"
	"firth/internal/journal"
)

// plant is the whole way of an event: the real journal, the lake with its writer, mergers and tender, on one disk in memory, with
// clocks that tests set. It knows what was acknowledged.
type plant struct {
	t       testing.TB
	o       Options
	tend    TendOptions
	fs      *disktest.FS
	now     time.Time
	elapsed time.Duration

	journal *journal.Journal
	stop    func() error // of the journal
	l       *Lake

	acked  map[string]bool // "source/message id" of what must be there, once
	tried  map[string]bool // of what may be there, once
	doomed map[string]bool // of what retention is to drop
	others []string        // what the backup of another lake holds
}

func newPlant(t testing.TB) *plant {
	e, fs := crashEnv(t)
	p := &plant{
		t: t, o: e.o, fs: fs, now: testStart.Add(48 * time.Hour), elapsed: time.Hour,
		acked: map[string]bool{}, tried: map[string]bool{}, doomed: map[string]bool{},
	}
	p.o.DedupIDs = 0
	p.o.Now = func() time.Time { return p.now }
	p.o.final = func(err error) bool { return errors.Is(err, disktest.ErrPowerOff) || errors.Is(err, errKilled) }
	p.tend = TendOptions{Grace: testGrace, Keep: sweepKeep, elapsed: func() time.Duration { return p.elapsed }}
	return p
}

var errKilled = errors.New("killed")

func (p *plant) pass(by time.Duration) { p.now, p.elapsed = p.now.Add(by), p.elapsed+by }

func (p *plant) open() error {
	j, err := journal.Open(p.fs, "/data/journal", journal.Options{Now: p.o.Now, SegmentBytes: 20_000})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- j.Run(ctx) }()
	p.journal, p.stop = j, func() error {
		cancel()
		return errors.Join(<-ran, j.Close())
	}
	p.o.FS = p.fs
	p.l, err = Open(context.Background(), p.o)
	return err
}

// close stops what runs, in the order of a clean shutdown.
func (p *plant) close() (err error) {
	if p.stop != nil {
		err = p.stop()
	}
	if p.l != nil {
		err = errors.Join(err, p.l.Close())
	}
	p.stop, p.l = nil, nil
	return err
}

// posted is an item of a record as these tests write it into the journal.
type posted struct {
	Source string
	Call   *event.Call
	Dead   *event.DeadLetter
}

func (p *plant) append(items ...posted) error {
	payload, err := stdjson.Marshal(items)
	if err != nil {
		return err
	}
	for _, it := range items {
		if it.Call != nil {
			p.tried[it.Source+"/"+it.Call.MessageID] = true
		}
	}
	if _, err := p.journal.Append(context.Background(), payload, len(items)); err != nil {
		return err
	}
	for _, it := range items {
		if it.Call != nil {
			p.acked[it.Source+"/"+it.Call.MessageID] = true
		}
	}
	return nil
}

func (p *plant) calls(source string, calls ...*event.Call) error {
	var items []posted
	for _, c := range calls {
		items = append(items, posted{Source: source, Call: c})
	}
	return p.append(items...)
}

// realJournal shows the journal as the writer wants it.
type realJournal struct{ *journal.Journal }

func (j realJournal) Read(from uint64) Cursor { return realCursor{j.Journal.Read(from)} }

func (j realJournal) Extent() (oldest, next uint64) {
	s := j.Stats()
	return s.Oldest, s.Next
}

func (j realJournal) Decode(f Frame, log string, call func(string, *event.Call) error, dead func(*event.DeadLetter) error) error {
	var items []posted
	if err := stdjson.Unmarshal(f.Payload, &items); err != nil {
		return err
	}
	for i, it := range items {
		var err error
		if c := it.Call; c != nil {
			c.Log, c.Offset, c.ReceivedAt = log, f.Offset+uint64(i), f.ReceivedAt
			err = call(it.Source, c)
		} else {
			it.Dead.Log, it.Dead.Offset, it.Dead.ReceivedAt = log, f.Offset+uint64(i), f.ReceivedAt
			err = dead(it.Dead)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type realCursor struct{ r *journal.Reader }

func (c realCursor) Next() (Frame, error) {
	f, err := c.r.Next()
	if err != nil {
		_ = c.r.Close() // the end, for now: no file is held open
	}
	return Frame{Offset: f.Offset, Count: f.Count, ReceivedAt: f.ReceivedAt, Payload: f.Payload}, err
}

// flush brings all that the journal holds into the tables.
func (p *plant) flush() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	j := realJournal{p.journal}
	return p.l.Writer(j, j).Run(ctx)
}

func (p *plant) merge(kind MergeKind) error {
	_, err := p.l.Merger(MergeOptions{Temp: p.t.TempDir()}).Merge(context.Background(), kind, "", nil)
	return err
}

const otherBackup = "/backup/other"

// restore brings in the backup of another lake.
func (p *plant) restore() error {
	for _, id := range p.others {
		p.tried[id] = true
	}
	if _, err := p.l.Restore(context.Background(), otherBackup, nil); err != nil {
		return err
	}
	for _, id := range p.others {
		p.acked[id] = true
	}
	return nil
}

// bringBackup puts the backup of another lake on the disk.
func (p *plant) bringBackup() error {
	q := newPlant(p.t)
	c := newCorpus(94, testStart)
	err := q.open()
	for _, source := range []string{"production", "partners"} {
		if err == nil {
			err = q.calls(source, dated(c, p.now.Truncate(24*time.Hour), p.now, 3)...)
		}
	}
	if err == nil {
		err = q.flush()
	}
	if err == nil {
		_, err = q.l.Backup(context.Background(), otherBackup, nil)
	}
	for _, name := range q.fs.Names() {
		if strings.HasPrefix(name, otherBackup) {
			p.fs.SetContent(name, q.fs.Content(name))
		}
	}
	p.others = slices.Collect(maps.Keys(q.acked))
	return errors.Join(err, q.close())
}

// rounds tends the lake until what is dead by now is swept.
func (p *plant) rounds() error {
	tender := p.l.Tender(p.tend)
	for range 3 {
		if _, err := tender.Expire(context.Background(), nil); err != nil {
			return err
		}
		p.pass(testGrace)
	}
	return nil
}

// longPast is a lake with a history that each test works on a copy of: more commits than snapshots are kept, and old days.
type longPast struct {
	fs      *disktest.FS
	catalog []byte
	plant   *plant
}

func newLongPast(t *testing.T) *longPast {
	t.Helper()
	p := newPlant(t)
	c := newCorpus(91, testStart)
	today := p.now.Truncate(24 * time.Hour)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.bringBackup())
	must(p.open())
	for i := range keepSnapshots + 10 {
		calls := dated(c, today.AddDate(0, 0, -i%3), p.now, 2)
		if i%10 == 0 {
			calls = append(calls, dated(c, today.AddDate(0, 0, -40-i), p.now, 1)...)
			p.doomed["production/"+calls[2].MessageID] = true
		}
		must(p.calls("production", calls...))
		must(p.flush())
		if i == 8 {
			must(p.merge(MergeLarge)) // its inputs go out of use in the course of the history
		}
		p.pass(time.Second)
	}
	s, err := p.l.store(t.Context(), "production")
	must(err)
	orphan, err := s.newFile(dayOf(p.now.UnixMicro()), 7) // of a flush that was killed
	must(err)
	must(orphan.out.Close())
	must(p.close())
	catalog, err := os.ReadFile(p.o.Catalog)
	must(err)
	p.pass(3 * time.Hour)
	return &longPast{fs: p.fs.Crash(nil, 1), catalog: catalog, plant: p}
}

func (h *longPast) copy(t testing.TB) *plant {
	t.Helper()
	p := newPlant(t)
	p.fs, p.now, p.elapsed = h.fs.Crash(nil, 1), h.plant.now, h.plant.elapsed
	p.others = h.plant.others
	p.acked, p.tried, p.doomed = maps.Clone(h.plant.acked), maps.Clone(h.plant.tried), maps.Clone(h.plant.doomed)
	if err := os.WriteFile(p.o.Catalog, h.catalog, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// history is all that a year brings, in short: calls and doubles of them, refused ones, two tables and several days, both mergers,
// retention, expiry and sweeps.
func (p *plant) history() error {
	c := newCorpus(92, p.now)
	if err := p.open(); err != nil {
		return err
	}
	today := p.now.Truncate(24 * time.Hour)
	bring := func(n int) error {
		calls := dated(c, today, p.now, n)
		again := *calls[0]
		if err := p.calls("production", append(append(calls, &again), dated(c, today.AddDate(0, 0, -1), p.now, 1)...)...); err != nil {
			return err
		}
		if err := p.calls("staging", dated(c, today, p.now, 1)...); err != nil {
			return err
		}
		if err := p.append(posted{Dead: &event.DeadLetter{Reason: "missing_event"}}); err != nil {
			return err
		}
		p.pass(time.Second)
		return p.flush()
	}
	for _, step := range []func() error{
		func() error { return bring(3) },
		func() error { return p.merge(MergeSmall) },
		func() error { return errors.Join(bring(1), bring(1), bring(1)) },
		func() error { return errors.Join(bring(1), bring(1), bring(1)) },
		func() error { return errors.Join(bring(1), bring(1), bring(1)) },
		func() error { _, err := p.l.Backup(context.Background(), "/backup/own", nil); return err },
		p.rounds,
		func() error { return p.merge(MergeLarge) },
		func() error { return bring(2) },
		p.restore,
		p.rounds,
		func() error { return bring(1) },
		p.close,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// finish starts again after a crash, and looks at what is there: at once, and after all has been merged, dropped and swept.
func (p *plant) finish() {
	p.t.Helper()
	must := func(err error) {
		p.t.Helper()
		if err != nil {
			p.t.Fatal(err)
		}
	}
	p.o.step = nil
	must(p.open())
	must(p.flush())
	p.check(true)
	must(p.calls("production", dated(newCorpus(93, p.now), p.now.Truncate(24*time.Hour), p.now, 2)...))
	must(p.flush())
	must(p.merge(MergeAll))
	must(p.rounds())
	p.check(false)
	d := &tended{lakeEnv: &lakeEnv{t: p.t, o: p.o}, l: p.l}
	tables, err := p.l.catalog.Tables(context.Background())
	must(err)
	for name := range tables {
		d.wantClean(name)
	}
	must(p.close())
}

// check counts the rows of all tables of events. Days that are to be dropped may still be there.
func (p *plant) check(doomedToo bool) {
	p.t.Helper()
	got := map[string]int{}
	r, err := openReader(context.Background(), p.o.Catalog, p.fs)
	if err != nil {
		p.t.Fatal(err)
	}
	defer closeIt(p.t, r)
	sources, err := r.Sources(context.Background())
	if err != nil {
		p.t.Fatal(err)
	}
	for _, source := range sources {
		snap, err := r.Snapshot(context.Background(), source)
		if err != nil {
			p.t.Fatal(err)
		}
		for log := range snap.Positions {
			err := r.Calls(context.Background(), snap, log, 0, 1<<62, func(c *event.Call) error {
				got[source+"/"+c.MessageID]++
				return nil
			})
			if err != nil {
				p.t.Fatal(err)
			}
		}
	}
	lost, doubled, strange := 0, 0, 0
	for id := range p.acked {
		if got[id] == 0 && !p.doomed[id] {
			lost++
		}
	}
	for id, n := range got {
		if n > 1 {
			doubled++
		}
		if !p.tried[id] || p.doomed[id] && !doomedToo {
			strange++
		}
	}
	if lost+doubled+strange > 0 {
		p.t.Fatalf("%d of %d lost, %d doubled, %d that should not be there", lost, len(p.acked), doubled, strange)
	}
}

// crash ends all that runs and starts anew with what the disk may have kept.
func (p *plant) crash(seed uint64, keep float64) {
	_ = p.close() // it ends in the middle of things
	p.fs = p.fs.Crash(rand.New(rand.NewPCG(seed, 7)), keep)
}
