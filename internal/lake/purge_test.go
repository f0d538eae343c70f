package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"

	"firth/internal/event"
)

const (
	victim     = "victim.person@example.com"
	victimAnon = "8f14e45f-ceea-467f-a8d3-anonymous"
)

// order appends an order to a journal in memory.
func (j *memJournal) order(o event.Order) (offset uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.frames = append(j.frames, Frame{Offset: j.next, Count: 1, ReceivedAt: testStart.UnixMicro(), Payload: o.AppendTo(nil)})
	j.next++
	close(j.grown)
	j.grown = make(chan struct{})
	return j.next - 1
}

// of makes a call one of somebody.
func of(c *event.Call, user, anonymous string) *event.Call {
	c.Payload = bytes.ReplaceAll(bytes.ReplaceAll(c.Payload, []byte(c.UserID), []byte(user)), []byte(c.AnonymousID), []byte(anonymous))
	c.UserID, c.AnonymousID = user, anonymous
	return c
}

// traces lists the files below a folder that hold a text: as bytes, or in what they pack.
func traces(t testing.TB, root string, texts ...string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		views := [][]byte{content}
		if bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
			views = append(views, gunzipped(t, content))
		}
		if bytes.HasPrefix(content, []byte("PAR1")) {
			views = append(views, columnTexts(t, path, content))
		}
		for _, text := range texts {
			if slices.ContainsFunc(views, func(v []byte) bool { return bytes.Contains(v, []byte(text)) }) {
				found = append(found, text+" in "+path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func gunzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// columnTexts is every value of every column of a Parquet file, dictionaries among them, and its page index.
func columnTexts(t testing.TB, path string, content []byte) []byte {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var out bytes.Buffer
	for _, g := range f.RowGroups() {
		for _, chunk := range g.ColumnChunks() {
			pages := chunk.Pages()
			for {
				page, err := pages.ReadPage()
				if err != nil {
					break
				}
				if d := page.Dictionary(); d != nil {
					for i := range d.Len() {
						out.WriteString(d.Index(int32(i)).String() + "\n")
					}
				}
				all := make([]parquet.Value, page.NumValues())
				n, _ := page.Values().ReadValues(all)
				for _, v := range all[:n] {
					out.WriteString(v.String() + "\n")
				}
				parquet.Release(page)
			}
			closeIt(t, pages)
		}
	}
	return out.Bytes()
}

// purgeEnv is a lake with a history in which a person stands in many places.
type purgeEnv struct {
	*lakeEnv
	corpus *corpus
	want   map[string]bool // message ids of all others
	gone   int             // rows of the person
}

func newPurgeEnv(t testing.TB, seed uint64) *purgeEnv {
	e := &purgeEnv{lakeEnv: newEnv(t), corpus: newCorpus(seed, testStart), want: map[string]bool{}}
	e.o.Purge = filepath.Join(e.dir, "purge")
	e.corpus.pass(0)
	e.o.Now = func() time.Time { return time.UnixMicro(e.corpus.clock.Load()).UTC() }
	return e
}

// traffic appends calls of many, and some of the person among them. What is of the person is told by count.
func (e *purgeEnv) traffic(n, theirs int) {
	r := rand.New(rand.NewPCG(uint64(n), uint64(theirs)))
	for i := range n {
		c := e.corpus.call()
		c.TS -= int64(r.IntN(3)) * microsPerDay
		e.want[c.MessageID] = true
		e.journal.calls("production", c)
		if i < theirs {
			e.gone += 3
			mine := of(e.corpus.call(), victim, victimAnon)
			mine.TS -= int64(r.IntN(3)) * microsPerDay
			alias := e.corpus.call()
			alias.Type, alias.Event = "alias", "alias"
			alias.Payload = bytes.Replace(alias.Payload, []byte(`"context"`), []byte(`"previousId":"`+victim+`","context"`), 1)
			only := of(e.corpus.call(), "", victimAnon)
			e.journal.calls("production", mine, alias, only)
			e.journal.append(c.ReceivedAt, item{dead: &event.DeadLetter{
				ReceivedAt: c.ReceivedAt, Source: "production", Reason: "missing_event", Payload: []byte(`{"userId":"` + victim + `"}`)}})
		}
	}
	e.journal.append(e.corpus.now.UnixMicro(), item{dead: &event.DeadLetter{ReceivedAt: e.corpus.now.UnixMicro(), Source: "production", Reason: "missing_event", Payload: []byte(`{"userId":"x` + victim + `"}`)}})
	e.corpus.next = e.journal.end()
}

// live opens the lake with its writer running, for as long as fn takes.
func (e *purgeEnv) live(fn func(l *Lake, w *Writer) error) error {
	e.t.Helper()
	l, err := Open(context.Background(), e.o)
	if err != nil {
		return err
	}
	w := l.Writer(e.journal, e.journal)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	err = fn(l, w)
	cancel()
	return errors.Join(err, <-done, l.Close())
}

// settled waits until the lake has all of the journal.
func (e *purgeEnv) settled(w *Writer) {
	e.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for w.Stats().Position < e.journal.end() {
		if time.Now().After(deadline) {
			e.t.Fatalf("the writer stands at %d of %d: %+v", w.Stats().Position, e.journal.end(), w.State())
		}
		time.Sleep(time.Millisecond)
	}
}

func (e *purgeEnv) options(before uint64) PurgeOptions {
	return PurgeOptions{
		ID: "p1", UserIDs: []string{victim}, AnonymousIDs: []string{victimAnon}, Log: testLog, Before: before, Suppressed: true,
		Merge: MergeOptions{Temp: e.dir},
	}
}

// suppress puts the order into the journal and waits until it is carried out.
func (e *purgeEnv) suppress(l *Lake, w *Writer) (uint64, error) {
	e.t.Helper()
	user, err := l.SuppressionHash(KindUser, victim)
	if err != nil {
		return 0, err
	}
	anonymous, err := l.SuppressionHash(KindAnonymous, victimAnon)
	if err != nil {
		return 0, err
	}
	at := e.journal.order(event.Order{Op: event.OrderSuppress, Hashes: []event.Hash{user, anonymous}})
	e.corpus.next = e.journal.end()
	e.settled(w)
	return at, nil
}

// check compares what the tables hold with the rows of the others.
func (e *purgeEnv) check() {
	e.t.Helper()
	seen := map[string]bool{}
	for _, c := range e.rows("production") {
		if seen[c.MessageID] || !e.want[c.MessageID] {
			e.t.Errorf("row %s of %s is there, twice or at all", c.MessageID, c.UserID)
		}
		seen[c.MessageID] = true
	}
	if len(seen) != len(e.want) {
		e.t.Errorf("%d rows of others are there, want %d", len(seen), len(e.want))
	}
	for _, left := range traces(e.t, e.dir, `"`+victim, "\n"+victim, victimAnon) {
		e.t.Errorf("a trace is left: %s", left)
	}
	bare := strings.ReplaceAll(victim, "victim", "Qvictim") // a text of the same length, which is nowhere
	if len(traces(e.t, e.dir, bare)) > 0 {
		e.t.Error("the search finds what is not there")
	}
}

// A person goes from tables, dead letters, window and all metadata, before and after merges, and what comes later is not stored.
func TestPurge(t *testing.T) {
	for _, merged := range []bool{false, true} {
		t.Run(fmt.Sprintf("merged %t", merged), func(t *testing.T) {
			e := newPurgeEnv(t, 3)
			for range 6 {
				e.traffic(20, 2)
				e.mustDrain()
			}
			if len(traces(t, e.o.Dir, victim, victimAnon)) == 0 {
				t.Fatal("the search finds nothing where the person is")
			}
			err := e.live(func(l *Lake, w *Writer) error {
				e.settled(w)
				if merged {
					if _, err := l.Merger(MergeOptions{Temp: e.dir}).Merge(t.Context(), MergeAll, "", nil); err != nil {
						return err
					}
				}
				e.traffic(5, 1)
				before, err := e.suppress(l, w)
				if err != nil {
					return err
				}
				kept := e.gone
				e.traffic(5, 2) // of which those of the person are not stored
				e.settled(w)
				if w.Stats().Suppressed != 8 {
					t.Errorf("%d calls were suppressed, want 8", w.Stats().Suppressed)
				}
				dry := e.options(before)
				dry.DryRun = true
				looked, err := l.Purge(t.Context(), dry, nil)
				if err != nil {
					return err
				}
				report, err := l.Purge(t.Context(), e.options(before), nil)
				if err != nil {
					return err
				}
				for _, r := range []PurgeReport{looked, report} {
					rows := map[string]int64{}
					for _, table := range r.Tables {
						rows[table.Table] = table.Rows
					}
					if rows["production"] != int64(kept) || rows[DeadLetters] != int64(kept/3) {
						t.Errorf("the report has the rows %v, want %d and %d", rows, kept, kept/3)
					}
				}
				if _, err := l.Bury(t.Context(), "", nil); err != nil {
					return err
				}
				return l.PurgeDone(t.Context(), "p1")
			})
			if err != nil {
				t.Fatal(err)
			}
			e.check()
			e.mustDrain()
			e.check()
			if p := e.metadata("production").Properties(); p[purgeKey+"p1"] != "" {
				t.Error("the counts are left in the table")
			}
			if snap := e.snapshot(DeadLetters); snap.Rows != 8 {
				t.Errorf("%d dead letters of others are left, want 8", snap.Rows)
			}
		})
	}
}

// TestPurgeIsKilledAtEachStep ends the process before each durable step of a purge, and after each. The next one goes on, and its report
// tells of all that was done.
func TestPurgeIsKilledAtEachStep(t *testing.T) {
	killed := errors.New("killed")
	const done = -2
	run := func(t *testing.T, at int) (steps []string, rows, removed int64) {
		e := newPurgeEnv(t, 5)
		for range 3 {
			e.traffic(10, 1)
			e.mustDrain()
		}
		e.traffic(3, 1)
		kept := int64(e.gone)
		var armed atomic.Bool
		e.o.step = func(name string) error {
			if armed.Load() {
				if steps = append(steps, name); at >= 0 && len(steps) > at {
					return fmt.Errorf("%w before %s", killed, name)
				}
			}
			return nil
		}
		e.o.final = func(err error) bool { return errors.Is(err, killed) }
		var before uint64
		purge := func() error {
			return e.live(func(l *Lake, w *Writer) error {
				if before == 0 {
					var err error
					if before, err = e.suppress(l, w); err != nil {
						return err
					}
				}
				armed.Store(at != done)
				report, err := l.Purge(t.Context(), e.options(before), nil)
				if err == nil {
					_, err = l.Bury(t.Context(), "", nil)
				}
				armed.Store(false)
				for _, table := range report.Tables {
					if table.Table == "production" {
						rows, removed = table.Rows, table.Removed
					}
				}
				return err
			})
		}
		err := purge()
		if at >= 0 {
			if !errors.Is(err, killed) {
				t.Fatalf("it was to be killed: %v", err)
			}
			at = done
			err = purge()
		}
		if err != nil {
			t.Fatal(err)
		}
		e.check()
		if rows != kept || removed != kept {
			t.Errorf("%d rows found and %d removed in all, want %d", rows, removed, kept)
		}
		return steps, rows, removed
	}
	steps, _, _ := run(t, -1)
	seen := map[string]bool{}
	for i, name := range steps {
		if seen[name] && i%5 > 0 {
			continue
		}
		seen[name] = true
		t.Run(fmt.Sprintf("%d %s", i, name), func(t *testing.T) { run(t, i) })
	}
	for _, name := range []string{"purge search", "purge write", "purge", "done purge", "purge expire", "purge window", "purge sweep"} {
		if !seen[name+" production"] {
			t.Errorf("no step %q was taken: %q", name, steps)
		}
	}
}

// A restored backup does not bring suppressed people back, whenever it was made, and brings all others.
func TestRestoreLeavesOutWhoIsSuppressed(t *testing.T) {
	e := newPurgeEnv(t, 9)
	for range 3 {
		e.traffic(10, 2)
		e.mustDrain()
	}
	backup := filepath.Join(t.TempDir(), "backup")
	err := e.live(func(l *Lake, w *Writer) error {
		e.settled(w)
		if _, err := l.Backup(t.Context(), backup, nil); err != nil {
			return err
		}
		_, err := e.suppress(l, w)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{e.o.Dir, e.o.Window, e.o.Catalog, e.o.Catalog + "-wal", e.o.Catalog + "-shm"} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	e.journal = newMemJournal("0b0c2f1e-7a31-4c0e-9d55-0f6a2f3f7c22")
	err = e.live(func(l *Lake, _ *Writer) error {
		_, err := l.Restore(t.Context(), backup, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	e.check()
	if snap := e.snapshot(DeadLetters); snap.Rows != 3 {
		t.Errorf("%d dead letters are restored, want 3", snap.Rows)
	}
}

// A process that ends before a suppression is kept meets the order again, and keeps it then; lifted, it is forgotten for good.
func TestSuppressionIsKilled(t *testing.T) {
	e := newPurgeEnv(t, 13)
	killed := errors.New("killed")
	e.traffic(3, 0)
	e.o.final = func(err error) bool { return errors.Is(err, killed) }
	e.mustDrain()
	l, err := Open(t.Context(), e.o)
	if err != nil {
		t.Fatal(err)
	}
	h, err := l.SuppressionHash(KindUser, victim)
	if err != nil {
		t.Fatal(err)
	}
	closeIt(t, l)
	at := e.journal.order(event.Order{Op: event.OrderSuppress, Hashes: []event.Hash{h}})
	e.corpus.next = e.journal.end()
	e.journal.calls("production", of(e.corpus.call(), victim, "x"))
	e.o.step = func(name string) error {
		if name == "suppress" {
			return killed
		}
		return nil
	}
	if err := e.drain(); !errors.Is(err, killed) {
		t.Fatalf("it was to be killed: %v", err)
	}
	if kept, err := ReadSuppressions(e.o.Purge); err != nil || len(kept) > 0 {
		t.Fatalf("%v is kept, %v", kept, err)
	}
	e.o.step = nil
	e.mustDrain()
	kept, err := ReadSuppressions(e.o.Purge)
	if err != nil || len(kept) != 1 || kept[0].Offset != at || kept[0].Kind != KindUser {
		t.Fatalf("%+v is kept, %v", kept, err)
	}
	if rows := e.rows("production"); len(rows) != len(e.want) {
		t.Errorf("%d rows, want %d", len(rows), len(e.want))
	}
	e.journal.order(event.Order{Op: event.OrderLift, Hashes: []event.Hash{h}})
	e.corpus.next = e.journal.end()
	e.journal.calls("production", of(e.corpus.call(), victim, "x"))
	e.mustDrain()
	if kept, err := ReadSuppressions(e.o.Purge); err != nil || len(kept) > 0 {
		t.Errorf("%v is kept after it was lifted, %v", kept, err)
	}
	if rows := e.rows("production"); len(rows) != len(e.want)+1 {
		t.Errorf("%d rows after it was lifted, want %d", len(rows), len(e.want)+1)
	}
}
