package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/rowfile"
)

// boundBytes is how much of a long id is looked for in bounds, which are cut.
const boundBytes = 48

// cleanMetadata takes the person out of what the metadata says: manifests of the present snapshot that tell of it are written anew,
// and older snapshots whose manifests name files that held it are expired. Hit are the paths of files that did; what a purge that was
// killed had removed is found again on the disk.
func (p *purge) cleanMetadata(ctx context.Context, s *store, hit map[string]bool) error {
	p.tell(PurgeProgress{Step: "metadata", Table: s.name})
	if s.current().CurrentSnapshot() == nil {
		return nil
	}
	if err := p.searchOld(ctx, s, hit); err != nil {
		return err
	}
	for {
		touch, err := p.telling(s, hit)
		if err != nil {
			return err
		}
		if len(touch) == 0 {
			break
		}
		err = s.swap(ctx, "purge manifests", swap{op: table.OpReplace, touch: touch})
		if err != nil {
			return errors.Join(err, s.reload(ctx))
		}
		if again, err := p.telling(s, hit); err != nil || len(again) >= len(touch) {
			if err != nil {
				return err
			}
			break // a bound of somebody else's row says the same
		}
	}
	return p.expire(ctx, s, hit)
}

// searchOld adds the files on disk that the present snapshot does not name and that hold the person, or cannot be read.
func (p *purge) searchOld(ctx context.Context, s *store, hit map[string]bool) error {
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, f := range snap.Files {
		named[f.Path] = true
	}
	list, err := listTable(p.l, s.name)
	if err != nil {
		return err
	}
	var todo []string
	for n := range list.files {
		path := filepath.Join(p.l.o.Dir, filepath.FromSlash(n.Value()))
		if strings.HasSuffix(path, parquetExt) && !named[path] && !hit[path] && !p.l.beingWritten(path) {
			todo = append(todo, path)
		}
	}
	held := make([]bool, len(todo))
	err = p.each(ctx, s.name, "search", len(todo), func(i int) (err error) {
		held[i], err = p.heldBy(s.name, todo[i])
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return err
	})
	for i, path := range todo {
		if held[i] {
			hit[path] = true
		}
	}
	return err
}

// heldBy reports whether a file outside the present snapshot holds the person.
func (p *purge) heldBy(table, path string) (held bool, err error) {
	handle, err := p.l.o.FS.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return false, fmt.Errorf("open old lake file: %w", err)
	}
	defer func() { err = errors.Join(err, handle.Close()) }()
	info, err := handle.Stat()
	if err != nil {
		return false, fmt.Errorf("stat old lake file: %w", err)
	}
	var in *rowfile.Input
	if table == DeadLetters {
		in, err = rowfile.OpenInput(p.l.dead, handle, info.Size())
	} else {
		in, err = rowfile.OpenInput(p.l.calls, handle, info.Size())
	}
	if err != nil {
		return true, nil //nolint:nilerr // nobody can tell, so nobody keeps it
	}
	if table != DeadLetters && !p.o.Mentions && p.o.Suppressed {
		held, err := p.holds(table, in)
		return held || err != nil, nil //nolint:nilerr // the same
	}
	h, err := p.searchInput(table, &File{Path: path, Rows: in.Rows(), Bytes: info.Size()}, in)
	if err != nil {
		return true, nil //nolint:nilerr // the same
	}
	return len(h.gone(p.o.Mentions)) > 0, nil
}

// errHeld ends a search that has its answer.
var errHeld = errors.New("it holds the person")

// holds reports whether a file has rows of the person, without a look at what the rows of others mention, which is most of the work.
func (p *purge) holds(table string, in *rowfile.Input) (bool, error) {
	among := func(ids map[string]bool) func(int64, []byte) error {
		return func(_ int64, text []byte) error {
			if ids[string(text)] {
				return errHeld
			}
			return nil
		}
	}
	err := in.Find("user_id", p.look.userNeedles, among(p.look.users))
	if err == nil {
		err = in.Find("anonymous_id", p.look.anonymousNeedles, among(p.look.anonymous))
	}
	if wanted := p.look.messages[table]; err == nil && len(wanted) > 0 {
		err = in.Each(colMessageID, func(_ int64, text []byte, _ int64, _ bool) error { return among(wanted)(0, text) })
	}
	var aliases []int64
	if err == nil {
		err = in.Find("type", [][]byte{[]byte("alias")}, func(row int64, _ []byte) error {
			aliases = append(aliases, row)
			return nil
		})
	}
	if err == nil {
		slices.Sort(aliases)
		err = in.Pick(colPayload, slices.Compact(aliases), func(_ int64, text []byte, _ int64, _ bool) error {
			if slices.ContainsFunc(previousIDs(text), func(id string) bool { return p.look.users[id] || p.look.anonymous[id] }) {
				return errHeld
			}
			return nil
		})
	}
	if errors.Is(err, errHeld) {
		return true, nil
	}
	return false, err
}

// telling finds the manifests of the present snapshot that tell of the person.
func (p *purge) telling(s *store, hit map[string]bool) (map[string]bool, error) {
	current := s.current().CurrentSnapshot()
	list, err := current.Manifests(s.l.catalog.IO())
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, mf := range list {
		yes, err := p.tells(s, mf, hit)
		if err != nil {
			return nil, err
		}
		if yes {
			out[mf.FilePath()] = true
		}
	}
	return out, nil
}

// tells reports whether a manifest has an entry, live or not, with bounds of a file that held the person, or with an id in its bounds.
func (p *purge) tells(s *store, mf iceberg.ManifestFile, hit map[string]bool) (bool, error) {
	for entry, err := range mf.Entries(s.l.catalog.IO(), false) {
		if err != nil {
			return false, fmt.Errorf("read manifest: %w", err)
		}
		d := entry.DataFile()
		lower, upper := d.LowerBoundValues(), d.UpperBoundValues()
		if len(lower)+len(upper) == 0 {
			continue
		}
		path, err := s.l.catalog.IO().Path(d.FilePath())
		if err != nil {
			return false, err
		}
		if hit[path] || p.inBounds(lower) || p.inBounds(upper) {
			return true, nil
		}
	}
	return false, nil
}

func (p *purge) inBounds(bounds map[int][]byte) bool {
	for _, b := range bounds {
		for _, id := range p.look.ids {
			if bytes.Contains(b, id[:min(len(id), boundBytes)]) {
				return true
			}
		}
	}
	return false
}

// expire forgets the older snapshots that name files which held the person, or whose manifests tell of it.
func (p *purge) expire(ctx context.Context, s *store, hit map[string]bool) error {
	m := s.current().Metadata()
	known := map[string]bool{} // manifests: whether they tell, or name such a file
	var drop []int64
	for _, snap := range m.Snapshots() {
		if snap.SnapshotID == m.CurrentSnapshot().SnapshotID {
			continue
		}
		list, err := snap.Manifests(s.l.catalog.IO())
		if err != nil {
			return err
		}
		for _, mf := range list {
			if _, ok := known[mf.FilePath()]; !ok {
				if known[mf.FilePath()], err = p.names(s, mf, hit); err != nil {
					return err
				}
			}
			if known[mf.FilePath()] {
				drop = append(drop, snap.SnapshotID)
				break
			}
		}
	}
	if len(drop) == 0 {
		return nil
	}
	return s.alter(ctx, "purge expire", []table.Update{table.NewRemoveSnapshotsUpdate(drop, false)})
}

// names is tells, and whether the manifest has a live entry of a file that held the person.
func (p *purge) names(s *store, mf iceberg.ManifestFile, hit map[string]bool) (bool, error) {
	for entry, err := range mf.Entries(s.l.catalog.IO(), true) {
		if err != nil {
			return false, fmt.Errorf("read manifest: %w", err)
		}
		path, err := s.l.catalog.IO().Path(entry.DataFile().FilePath())
		if err != nil {
			return false, err
		}
		if hit[path] {
			return true, nil
		}
	}
	return p.tells(s, mf, hit)
}

// Buried says what [Lake.Bury] removed.
type Buried struct {
	Files   int64 `json:"files"`
	Bytes   int64 `json:"bytes"`
	Foreign int64 `json:"foreign"` // files in the tables' folders that are none of the lake's, which stay
}

// Bury removes the files of the lake that nothing names, at once: who calls it has waited until nobody reads them. Files that were being
// written or read by a backup when it began are waited for. A source restricts it to that table and the dead letters. It may be called
// beside everything, and again.
func (l *Lake) Bury(ctx context.Context, source string, progress func(PurgeProgress)) (Buried, error) {
	var out Buried
	if progress == nil {
		progress = func(PurgeProgress) {}
	}
	if err := l.waitForWriting(ctx, progress); err != nil {
		return out, err
	}
	tables, err := l.catalog.Tables(ctx)
	if err != nil {
		return out, err
	}
	t := l.Tender(TendOptions{})
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if source != "" && name != source && name != DeadLetters {
			continue
		}
		if err := t.buryTable(ctx, name, &out, progress); err != nil {
			return out, fmt.Errorf("remove old files of table %s: %w", name, err)
		}
	}
	return out, nil
}

// waitForWriting waits for the end of all writes and backups that are under way: what they write may be of rows that are gone.
func (l *Lake) waitForWriting(ctx context.Context, progress func(PurgeProgress)) error {
	l.mu.Lock()
	writing, held, merges := maps.Clone(l.writing), maps.Clone(l.held), maps.Clone(l.merges)
	l.mu.Unlock()
	for {
		l.mu.Lock()
		left := 0
		for merge := range merges {
			if _, yes := l.merges[merge]; yes {
				left++
			}
		}
		for stem := range writing {
			if _, yes := l.writing[stem]; yes {
				left++
			}
		}
		for path := range held {
			if l.held[path] > 0 {
				left++
			}
		}
		l.mu.Unlock()
		if left == 0 {
			return nil
		}
		progress(PurgeProgress{Step: "wait"})
		if !sleep(ctx, minPause) {
			return ctx.Err()
		}
	}
}

// beginMerge notes a merge: until the function that it returns is called, it may have read rows that are gone meanwhile.
func (l *Lake) beginMerge() (end func()) {
	merge := new(byte)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.merges[merge] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.merges, merge)
	}
}

// buryTable removes the files of a table that are dead now. What dies meanwhile is the sweeper's.
func (t *Tender) buryTable(ctx context.Context, name string, out *Buried, progress func(PurgeProgress)) error {
	var total TendStats
	w, err := t.examine(ctx, name, &total)
	if err != nil {
		return err
	}
	out.Foreign += total.ForeignFiles
	all := int64(len(w.dead))
	for left := w.dead; len(left) > 0; {
		if err := t.l.o.step("purge sweep " + name); err != nil {
			return err
		}
		next := left[min(len(left), sweepBatch):]
		part := left[:min(len(left), sweepBatch)]
		removed, err := t.remove(ctx, w, part)
		var gone []string
		for _, c := range removed {
			out.Files++
			out.Bytes += c.bytes
			gone = append(gone, c.name.Value())
		}
		if err != nil {
			return err
		}
		if err := t.l.catalog.Acquit(ctx, gone); err != nil {
			return err
		}
		if len(removed) == 0 { // the table is committed to all the time, or a backup has begun to read them
			progress(PurgeProgress{Step: "wait", Table: name})
			if !sleep(ctx, minPause) {
				return ctx.Err()
			}
		}
		left = slices.Concat(next, without(part, removed))
		progress(PurgeProgress{Step: "sweep", Table: name, Done: all - int64(len(left)), Total: all})
	}
	return t.empty(w, w.dead)
}

// without are the files that were not removed.
func without(files, removed []corpse) []corpse {
	return slices.DeleteFunc(slices.Clone(files), func(c corpse) bool {
		return slices.ContainsFunc(removed, func(r corpse) bool { return r.name == c.name })
	})
}
