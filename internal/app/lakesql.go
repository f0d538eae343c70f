package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"firth/internal/disk"
	"firth/internal/lake"
	"firth/internal/load"
	"firth/internal/object"
	"firth/internal/query"
	"firth/internal/warehouse/duckdb"
)

// lakeSQL is the lake as statements read it beside its views: old states, lists of files, and the files of a lake at an object store.
type lakeSQL struct {
	reader *lake.Reader
	fs     disk.FS
	tables *derivedTables
	cache  int64 // bytes that files may take here, where they are elsewhere; 0: they are on local disk

	mu     sync.Mutex
	damage map[string]string // what is wrong with a table whose files are elsewhere, by [query.SchemaKey]
}

// newLakeSQL makes the lake of a place readable. The views that it returns are those that a loader keeps.
func newLakeSQL(reader *lake.Reader, place *lakePlace, cache int64, views load.Views) (*lakeSQL, load.Views) {
	l := &lakeSQL{reader: reader, fs: place.FS, damage: map[string]string{}}
	if place.remoteFS() == nil {
		return l, views
	}
	l.cache = cache
	return l, &distantViews{Views: views, lake: l}
}

// Remote implements query.Lakes.
func (l *lakeSQL) Remote() bool { return l.cache > 0 }

// Tables implements query.Lakes.
func (l *lakeSQL) Tables(ctx context.Context) ([]string, error) { return l.reader.Sources(ctx) }

// source is the table behind the name of a view.
func (l *lakeSQL) source(ctx context.Context, view string) (string, error) {
	if view == query.DeadLetters {
		return lake.DeadLetters, nil
	}
	names, err := l.reader.Sources(ctx)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if query.SchemaKey(name) == query.SchemaKey(view) {
			return name, nil
		}
	}
	return "", query.NewError(query.CodeUnknownTable, "", "the lake has no table "+view)
}

// Snapshot implements query.Lakes.
func (l *lakeSQL) Snapshot(ctx context.Context, table string, at *query.LakeTime) ([]query.LakeFile, error) {
	name, err := l.source(ctx, table)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	damage := l.damage[query.SchemaKey(table)]
	l.mu.Unlock()
	if damage != "" {
		return nil, query.NewError(query.CodeFailed, "firth lake verify lists what is damaged; put the files back with firth lake restore and a backup", damage)
	}
	var snap *lake.Snapshot
	if at == nil {
		snap, err = l.reader.Snapshot(ctx, name)
	} else {
		snap, err = l.reader.SnapshotAt(ctx, name, lake.At{ID: at.Snapshot, Time: at.Time})
	}
	var none *lake.NoSnapshot
	if errors.As(err, &none) {
		return nil, query.NewError(query.CodeNoSnapshot, none.Hint(), none.Error())
	}
	if err != nil {
		return nil, l.unreachable(err)
	}
	out := make([]query.LakeFile, len(snap.Files))
	for i, f := range snap.Files {
		out[i] = query.LakeFile{
			Path: f.Path, URL: l.reader.Location(f), Day: f.Day, Rows: f.Rows, Bytes: f.Bytes, MinTS: f.MinTS, MaxTS: f.MaxTS,
			MinReceived: f.MinReceived, MaxReceived: f.MaxReceived, MinEvent: f.MinEvent, MaxEvent: f.MaxEvent,
		}
	}
	return out, nil
}

// Near implements query.Lakes.
func (l *lakeSQL) Near(files []query.LakeFile) bool {
	paths := make([]string, len(files))
	for i := range files {
		paths[i] = files[i].Path
	}
	return disk.Near(l.fs, paths)
}

// Open implements query.Lakes.
func (l *lakeSQL) Open(ctx context.Context, files []query.LakeFile) (names []string, release func(), err error) {
	paths := make([]string, len(files))
	var bytes int64
	for i := range files {
		paths[i] = files[i].Path
		bytes += files[i].Bytes
	}
	if l.cache > 0 && bytes > l.cache {
		return nil, nil, query.NewError(query.CodeTooLarge, "filter by ts, received_at or event, which leaves out files, or raise lake.cache.bytes",
			fmt.Sprintf("the statement needs %d files of the lake with %s, and lake.cache holds %s", len(files), sizeText(bytes), sizeText(l.cache)))
	}
	names, release, err = disk.Fetch(ctx, l.fs, paths)
	if err != nil {
		return nil, nil, l.unreachable(err)
	}
	return names, release, nil
}

// unreachable words the trouble of a store for the person who asked.
func (l *lakeSQL) unreachable(err error) error {
	var trouble *object.Error
	switch {
	case errors.As(err, &trouble):
		return query.NewError(query.CodeStore, trouble.Hint, "the lake's store: "+trouble.Error())
	case errors.Is(err, fs.ErrNotExist):
		return query.NewError(query.CodeStore, "try again", "a file of the lake has just been merged away")
	}
	return fmt.Errorf("read the lake: %w", err)
}

// Select implements query.Lakes.
func (l *lakeSQL) Select(table string, names []string) string {
	return duckdb.LakeSelect(table == query.DeadLetters, names)
}

// Probe implements query.Lakes.
func (l *lakeSQL) Probe(table string) string { return duckdb.LakeProbe(table == query.DeadLetters) }

// distantViews are the views of a lake whose files are elsewhere. They have the names and columns; whoever reads rows reads files that were brought
// here for the statement, and a view itself, which nothing reads, fails rather than answers.
type distantViews struct {
	load.Views
	lake *lakeSQL
}

const distantText = "the files of this table are at an object store, and are read by statements of firth query and /api/sql alone"

func (v *distantViews) note(view, damage string) {
	v.lake.mu.Lock()
	defer v.lake.mu.Unlock()
	v.lake.damage[query.SchemaKey(view)] = damage
}

// SetLakeFiles implements load.Views.
func (v *distantViews) SetLakeFiles(ctx context.Context, name string, _ []string) error {
	v.note(name, "")
	return v.Views.SetLakeDamage(ctx, name, distantText)
}

// SetDeadLetterFiles implements load.Views.
func (v *distantViews) SetDeadLetterFiles(ctx context.Context, _ []string) error {
	v.note(query.DeadLetters, "")
	return v.Views.SetDeadLetterDamage(ctx, distantText)
}

// SetLakeDamage implements load.Views.
func (v *distantViews) SetLakeDamage(ctx context.Context, name, text string) error {
	v.note(name, text)
	return v.Views.SetLakeDamage(ctx, name, text)
}

// SetDeadLetterDamage implements load.Views.
func (v *distantViews) SetDeadLetterDamage(ctx context.Context, text string) error {
	v.note(query.DeadLetters, text)
	return v.Views.SetDeadLetterDamage(ctx, text)
}
