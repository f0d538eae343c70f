package lake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/window"
)

// PurgeOptions say who is to be forgotten by the tables of the lake.
type PurgeOptions struct {
	ID     string // of the purge: what it removed is counted under it in the tables, through failures and kills
	Source string // the one source; "" for all

	UserIDs, AnonymousIDs []string
	MessageIDs            map[string][]string // by table: rows that go, whoever's they are
	Mentions              bool                // rows of others that mention an id go too

	// Rows of the journal Log from Before on are left alone: they came after the purge began. With Suppressed there are none of the person.
	Log        string
	Before     uint64
	Suppressed bool

	DryRun bool // only look
	Merge  MergeOptions

	// Found, when set, is told the message ids of rows that go although their own ids are none of those, before they do.
	Found func(table string, messageIDs []string) error
}

// PurgeProgress says how far a purge of the lake is.
type PurgeProgress struct {
	Step        string // "wait", "search", "rewrite", "metadata", "window", "sweep"
	Table       string
	Done, Total int64 // files
}

// PurgeReport says what a purge found or did in the lake.
type PurgeReport struct {
	Tables []PurgeTable `json:"tables"`
	// Linked are anonymous ids that stand beside the user ids in rows, as far as they were not asked for.
	Linked []string `json:"-"`
}

// PurgeTable is the part of a table.
type PurgeTable struct {
	Table    string      `json:"table"`
	Files    int64       `json:"files"`          // in the table, when it was searched
	Searched int64       `json:"searched"`       // read, those that went by bounds left out
	Hit      int64       `json:"files_hit"`      // that held the person
	Rows     int64       `json:"rows"`           // of the person
	Mentions int64       `json:"mentions"`       // rows of others that mention an id
	Removed  int64       `json:"removed"`        // rows that were removed
	Written  int64       `json:"files_written"`  // anew
	List     []PurgeFile `json:"list,omitempty"` // in a dry run: the files that hold the person
}

// PurgeFile is a file that holds rows of the person.
type PurgeFile struct {
	Path     string `json:"path"` // or URL at an object store
	Rows     int64  `json:"rows"`
	Mentions int64  `json:"mentions"`
	Of       int64  `json:"of"` // rows in the file
	Bytes    int64  `json:"bytes"`
}

// place is where a file lies, as a person would look for it: its path on disk, its URL at an object store.
func (p *purge) place(f *File) string {
	if at := p.l.catalog.IO().Location(f.Path); !strings.HasPrefix(at, "file:") {
		return at
	}
	return f.Path
}

// purge is one run.
type purge struct {
	l    *Lake
	o    PurgeOptions
	m    *Merger // for its options: what it writes is none of its merges
	look *search
	tell func(PurgeProgress)

	linked map[string]bool
}

// Purge takes the rows of a person out of the tables of the lake, beside the writer, the mergers and readers: files that hold one are
// written anew without it, what manifests say of the old ones loses its bounds, snapshots that name them are expired, and the ids of the
// rows leave the dedup window. The old files are no longer named then; [Lake.Bury] removes them. Before it is called the journal up to
// Before must be in the lake. It may be called again with the same after a failure or a kill, and counts what all calls did.
func (l *Lake) Purge(ctx context.Context, o PurgeOptions, progress func(PurgeProgress)) (PurgeReport, error) {
	p := &purge{l: l, o: o, m: &Merger{l: l, o: o.Merge.withDefaults()}, tell: progress, linked: map[string]bool{}}
	if progress == nil {
		p.tell = func(PurgeProgress) {}
	}
	p.look = newSearch(o)
	defer l.suppress.forget()
	if err := p.lock(ctx); err != nil {
		return PurgeReport{}, err
	}
	defer l.purging.Unlock()
	var out PurgeReport
	tables, err := l.catalog.Tables(ctx)
	if err != nil {
		return out, err
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if o.Source != "" && name != o.Source && name != DeadLetters {
			continue
		}
		t, err := p.table(ctx, name)
		if err != nil {
			return out, fmt.Errorf("purge table %s: %w", name, err)
		}
		out.Tables = append(out.Tables, *t)
	}
	out.Linked = slices.Sorted(maps.Keys(p.linked))
	return out, nil
}

// lock keeps out who brings in rows that did not come through the journal.
func (p *purge) lock(ctx context.Context) error {
	p.l.purges.Add(1)
	defer p.l.purges.Add(-1)
	for !p.l.purging.TryLock() {
		p.tell(PurgeProgress{Step: "wait"})
		if !sleep(ctx, minPause) {
			return ctx.Err()
		}
	}
	return nil
}

// besidePurge lets rows come in that did not come through the journal, until the function that it returns is called: no purge searches
// the tables meanwhile. It waits for those that do, and for those that wait to. What was read before is to be looked at again.
func (l *Lake) besidePurge(ctx context.Context) (end func(), err error) {
	for l.purges.Load() > 0 || !l.purging.TryRLock() {
		if !sleep(ctx, minPause) {
			return nil, ctx.Err()
		}
	}
	return l.purging.RUnlock, nil
}

// maxPurgeRounds bounds how often a table is searched again because it was merged or flushed meanwhile.
const maxPurgeRounds = 1000

// table purges one table.
func (p *purge) table(ctx context.Context, name string) (*PurgeTable, error) {
	s, err := p.l.store(ctx, name)
	if err != nil {
		return nil, err
	}
	out := &PurgeTable{Table: name}
	clean, hit := map[string]bool{}, map[string]bool{}
	ids := map[window.ID]bool{}
	for round := 0; ; round++ {
		if round == maxPurgeRounds {
			return nil, errors.New("the table changes faster than it can be searched")
		}
		found, err := p.searchTable(ctx, s, clean, out)
		if errors.Is(err, ErrFileGone) || errors.Is(err, errChanged) {
			if err := errors.Join(s.reload(ctx), ctx.Err()); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, h := range found {
			hit[h.file.Path] = true
			for _, id := range h.ids {
				ids[window.Hash(id)] = true
			}
		}
		if p.o.DryRun {
			p.list(found, out)
			return out, nil
		}
		if len(found) == 0 {
			break
		}
		if err := p.rewrite(ctx, s, found); err != nil && !errors.Is(err, errChanged) {
			return nil, err
		}
	}
	if err := p.cleanMetadata(ctx, s, hit); err != nil {
		return nil, err
	}
	if err := p.forget(s, ids); err != nil {
		return nil, err
	}
	return out, p.count(s, out)
}

func (p *purge) list(found []*hits, out *PurgeTable) {
	for _, h := range found {
		f := PurgeFile{Path: p.place(h.file), Rows: int64(len(h.own)), Mentions: int64(len(h.mentions)), Of: h.file.Rows, Bytes: h.file.Bytes}
		out.Rows += f.Rows
		out.Mentions += f.Mentions
		if f.Rows > 0 || p.o.Mentions {
			out.Hit++
			out.List = append(out.List, f)
		}
	}
	slices.SortFunc(out.List, func(a, b PurgeFile) int { return strings.Compare(a.Path, b.Path) })
}

// forget takes the ids of removed rows out of the dedup window.
func (p *purge) forget(s *store, ids map[window.ID]bool) error {
	if len(ids) == 0 {
		return nil
	}
	p.tell(PurgeProgress{Step: "window", Table: s.name})
	if err := p.l.o.step("purge window " + s.name); err != nil {
		return err
	}
	s.flushing.Lock()
	defer s.flushing.Unlock()
	p.l.mu.Lock()
	w := p.l.windows[s.name]
	p.l.mu.Unlock()
	if w == nil {
		return nil
	}
	_, err := w.Forget(slices.Collect(maps.Keys(ids)))
	if errors.Is(err, window.ErrCorrupt) {
		return nil // the flush that meets it makes the window again, from the rows that are left
	}
	if err != nil {
		return fmt.Errorf("forget ids of the dedup window of %s: %w", s.name, err)
	}
	return nil
}

// purgeKey, followed by the id of a purge, is the property of a table that counts what the purge did: it changes in the commits that do it.
const purgeKey = "firth.purge."

// counted is the value of that property.
type counted struct{ rows, mentions, removed, hit, written int64 }

func (c counted) String() string {
	return fmt.Sprintf("%d %d %d %d %d", c.rows, c.mentions, c.removed, c.hit, c.written)
}

func parseCounted(text string) (c counted, err error) {
	if text == "" {
		return c, nil
	}
	if _, err := fmt.Sscanf(text, "%d %d %d %d %d", &c.rows, &c.mentions, &c.removed, &c.hit, &c.written); err != nil {
		return c, fmt.Errorf("the counts of a purge are %q: %w", text, err)
	}
	return c, nil
}

// count fills in what all calls of the purge removed; mentions that were left are those of the last look.
func (p *purge) count(s *store, out *PurgeTable) error {
	c, err := parseCounted(s.current().Properties()[purgeKey+p.o.ID])
	if err != nil {
		return err
	}
	out.Rows, out.Removed, out.Hit, out.Written = c.rows, c.removed, c.hit, c.written
	if p.o.Mentions {
		out.Mentions = c.mentions
	}
	return nil
}

// PurgeDone forgets the counts of a purge, once its report is kept elsewhere. Calling it again does no harm.
func (l *Lake) PurgeDone(ctx context.Context, id string) error {
	tables, err := l.catalog.Tables(ctx)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		s, err := l.store(ctx, name)
		if err != nil {
			return err
		}
		if _, ok := s.current().Properties()[purgeKey+id]; !ok {
			continue
		}
		if err := s.alter(ctx, "purge done", []table.Update{table.NewRemovePropertiesUpdate([]string{purgeKey + id})}); err != nil {
			return fmt.Errorf("forget the counts of a purge in table %s: %w", name, err)
		}
	}
	return nil
}

// alter commits updates of a table's metadata that touch no file of the present snapshot.
func (s *store) alter(ctx context.Context, step string, updates []table.Update) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	if err := s.l.o.step(step + " " + s.name); err != nil {
		return err
	}
	_, _, err := s.l.catalog.CommitTable(ctx, s.current().Identifier(), nil, updates)
	if rerr := s.reloadLocked(ctx); err == nil {
		err = rerr
	}
	if err != nil {
		return err
	}
	return s.l.o.step("done " + step + " " + s.name)
}

// mayHold reports whether a file can hold rows that are to go: not when all of them came after the purge began.
func (p *purge) mayHold(f *File) bool {
	after := p.o.Log != "" && f.MinLog == p.o.Log && f.MaxLog == p.o.Log && f.MinOffset >= p.o.Before && f.MinOffset != math.MaxUint64
	return !after
}

// bareFile is a data file of which nothing is said but its place and size.
func bareFile(d iceberg.DataFile, spec iceberg.PartitionSpec) (iceberg.DataFile, error) {
	b, err := iceberg.NewDataFileBuilder(spec, d.ContentType(), d.FilePath(), d.FileFormat(), d.Partition(), nil, nil, d.Count(), d.FileSizeBytes())
	if err != nil {
		return nil, fmt.Errorf("describe a removed file: %w", err)
	}
	return b.Build(), nil
}

// purgeNice is the niceness of the threads that search.
const purgeNice = 10

// Rows is how many rows a table has now. An unknown one is [ErrNoTable].
func (l *Lake) Rows(ctx context.Context, name string) (int64, error) {
	tables, err := l.catalog.Tables(ctx)
	if err != nil {
		return 0, err
	}
	if _, ok := tables[name]; !ok {
		return 0, fmt.Errorf("%w: %s", ErrNoTable, name)
	}
	s, err := l.store(ctx, name)
	if err != nil {
		return 0, err
	}
	snap, err := s.snapshot()
	if err != nil {
		return 0, err
	}
	return snap.Rows, nil
}

// OnStep lets fn be told the name of each durable step before it is taken, in tests that end the process there. It is called before anything runs.
func (l *Lake) OnStep(fn func(name string) error) {
	if fn != nil {
		l.o.step = fn
	}
}
