package lake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/google/uuid"

	"firth/internal/disk"
)

// BackupProgress says how far a backup or a restore is.
type BackupProgress struct {
	Table      string `json:"table"` // that is being worked on
	Files      int    `json:"files"` // done, of all tables
	FilesTotal int    `json:"files_total"`
	Bytes      int64  `json:"bytes"`
	BytesTotal int64  `json:"bytes_total"`
}

// BackupReport says what a backup or a restore did.
type BackupReport struct {
	Dir    string        `json:"dir"`
	Made   time.Time     `json:"made"` // when the backup was made
	Tables []BackupTable `json:"tables"`
	Took   time.Duration `json:"took_ns"`
}

// BackupTable is one table of a [BackupReport].
type BackupTable struct {
	Table   string `json:"table"`
	State   string `json:"state"` // BackupDone, BackupRestored or BackupThere
	Rows    int64  `json:"rows"`  // in the backup
	Bytes   int64  `json:"bytes"`
	Files   int    `json:"files"`
	Copied  int    `json:"copied"`  // files written by this run
	Kept    int    `json:"kept"`    // files that were there already
	Removed int    `json:"removed"` // files of an earlier backup that are not needed any more
}

// What became of a table.
const (
	BackupDone     = "backed up"
	BackupRestored = "restored"
	BackupThere    = "already there" // the table has all of it; nothing was done
)

// maxBackupPlans bounds how often a backup follows a table whose files are removed under it.
const maxBackupPlans = 10

// Backup copies the present state of all tables into dir, an absolute path outside of the lake, while the lake is written,
// merged and tended. Each table is as one of its commits left it: its files, and its positions in the journals. What was
// acknowledged before is in the backup if the writer had passed it: the caller waits for its [Stats], Position.
//
// Into the folder of an earlier backup of the same lake only what is missing there is copied. The earlier one stays whole until
// the new one is, and takes its place in one step; files that are not needed any more are removed after that. Every file is
// verified by the checksum in its name as it is copied, and one that is there already as it is kept. One backup or restore runs
// at a time.
func (l *Lake) Backup(ctx context.Context, dir string, progress func(BackupProgress)) (BackupReport, error) {
	began := l.o.Now()
	if !l.backing.TryLock() {
		return BackupReport{}, errBackingUp
	}
	defer l.backing.Unlock()
	if err := l.checkBackupDir(dir); err != nil {
		return BackupReport{}, fmt.Errorf("back up into %s: %w", dir, err)
	}
	b := &backup{l: l, dir: dir, progress: progress, held: map[string]func(){}}
	defer b.release()
	report, err := b.run(ctx)
	if err != nil {
		return BackupReport{}, fmt.Errorf("back up into %s: %w", dir, err)
	}
	report.Took = l.o.Now().Sub(began)
	return report, nil
}

var errBackingUp = errors.New("a backup or a restore is going on")

// checkBackupDir makes the folder, and makes sure that it is one for backups: files in it are replaced and removed.
func (l *Lake) checkBackupDir(dir string) error {
	if !filepath.IsAbs(dir) {
		return errors.New("the path is not absolute")
	}
	inside := func(a, b string) bool { return a == b || strings.HasPrefix(a, strings.TrimSuffix(b, "/")+"/") }
	for _, own := range []string{l.o.Dir, l.o.Window} {
		if own = filepath.Clean(own); own != "." && (inside(filepath.Clean(dir), own) || inside(own, filepath.Clean(dir))) {
			return fmt.Errorf("the folder lies in, or around, the lake's own folder %s: choose another one", own)
		}
	}
	if err := disk.MakeDir(l.o.FS, dir, 0o750); err != nil {
		return err
	}
	entries, err := l.o.FS.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains([]string{backupName, backupName + tmpExt, backupFiles, "lost+found"}, e.Name()) {
			return fmt.Errorf("the folder holds %s, which is no part of a backup: choose an empty folder or one with an earlier backup", e.Name())
		}
	}
	return nil
}

// backup is one run.
type backup struct {
	l        *Lake
	dir      string
	progress func(BackupProgress)
	known    map[string]string // checksums that the earlier backup states, by path below dir
	tables   []*backupTable
	reports  []BackupTable
	at       BackupProgress
	held     map[string]func() // by table
}

func (b *backup) run(ctx context.Context) (BackupReport, error) {
	names, err := b.l.catalog.Tables(ctx)
	if err != nil {
		return BackupReport{}, err
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		t, err := b.plan(ctx, name)
		if err != nil {
			return BackupReport{}, err
		}
		b.tables = append(b.tables, t)
	}
	if err := b.look(); err != nil {
		return BackupReport{}, err
	}
	for i := range b.tables {
		if err := b.copyTable(ctx, i); err != nil {
			return BackupReport{}, err
		}
	}
	d := &description{Version: backupVersion, ID: uuid.NewString(), Made: b.l.o.Now().UTC().Truncate(time.Second), Tables: b.tables}
	d.Suppressed = b.l.suppress.kept() // last: who was purged while files were copied is among them
	if err := b.l.o.step("backup description"); err != nil {
		return BackupReport{}, err
	}
	if err := writeDescription(b.l.o.FS, b.dir, d); err != nil {
		return BackupReport{}, err
	}
	if err := b.sweep(); err != nil {
		return BackupReport{}, err
	}
	return BackupReport{Dir: b.dir, Made: d.Made, Tables: b.reports}, nil
}

// look reads what an earlier run left. A description that is damaged is as good as none.
func (b *backup) look() error {
	b.known = map[string]string{}
	before, err := readDescription(b.l.o.FS, b.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, ErrDamaged):
		b.l.o.Log.Warn("the earlier backup is damaged and replaced by the new one", "error", err)
		return nil
	case err != nil:
		return err
	}
	for _, t := range before.Tables {
		same := slices.ContainsFunc(b.tables, func(now *backupTable) bool { return now.Name == t.Name && now.UUID == t.UUID })
		if !same {
			return fmt.Errorf("the folder has the backup of another lake, with another table %s: choose an empty folder", t.Name)
		}
		for _, f := range t.Files {
			b.known[t.place(f)] = f.CRC32C
		}
	}
	return nil
}

// plan describes a table as its last commit left it and keeps the sweeper off its files.
func (b *backup) plan(ctx context.Context, name string) (*backupTable, error) {
	st, err := b.l.store(ctx, name)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		t, paths, err := st.describeTable()
		if errors.Is(err, fs.ErrNotExist) && try < maxBackupPlans {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("plan table %s: %w", name, err)
		}
		if release := b.held[name]; release != nil {
			release()
		}
		b.held[name] = b.l.hold(paths)
		return t, nil
	}
}

func (b *backup) release() {
	for _, release := range b.held {
		release()
	}
}

// describeTable describes the table for a backup, with the paths of its files.
func (s *store) describeTable() (*backupTable, []string, error) {
	t := s.current()
	m := t.Metadata()
	positions, err := offsets(m.Properties(), positionKey)
	if err != nil {
		return nil, nil, err
	}
	out, err := newBackupTable(s.name, m, positions)
	if err != nil {
		return nil, nil, err
	}
	current := m.CurrentSnapshot()
	if current == nil {
		return out, nil, nil
	}
	text, err := s.l.catalog.IO().ReadFile(current.ManifestList)
	if err != nil {
		return nil, nil, err
	}
	list, err := iceberg.ReadManifestList(bytes.NewReader(text))
	if err != nil {
		return nil, nil, fmt.Errorf("read manifest list: %w", err)
	}
	var paths []string
	for _, mf := range list {
		for entry, err := range mf.Entries(s.l.catalog.IO(), true) {
			if err != nil {
				return nil, nil, fmt.Errorf("read manifest: %w", err)
			}
			path, err := s.l.catalog.IO().Path(entry.DataFile().FilePath())
			if err != nil {
				return nil, nil, err
			}
			f, err := newBackupFile(entry.DataFile(), path, out.Partition)
			if err != nil {
				return nil, nil, err
			}
			out.Files, paths = append(out.Files, f), append(paths, path)
			out.Rows += f.Rows
			out.Bytes += f.Bytes
		}
	}
	return out, paths, nil
}

// hold keeps the sweeper off data files until release is called: a backup reads them that tables may not name any more.
func (l *Lake) hold(paths []string) (release func()) {
	change := func(by int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, p := range paths {
			if l.held[p] += by; l.held[p] == 0 {
				delete(l.held, p)
			}
		}
	}
	change(1)
	return func() { change(-1) }
}
