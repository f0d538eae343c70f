package lake

import (
	encoding "encoding/json" // the package has a helper named json
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/disk"
)

// A backup is a folder with the data files, under backupFiles/<table>/<day>/, and the file that describes them, backupName:
// a line with the CRC32C of the rest in hexadecimal digits, less the last line break, then JSON. docs/backup.md has the keys.
const (
	backupName    = "BACKUP"
	backupFiles   = "lake"
	backupVersion = 1
	maxLog        = 64 // bytes of a journal's name
)

// ErrNoBackup says that the folder has no backup that was brought to its end.
var ErrNoBackup = errors.New("there is no backup")

// description is the content of the file.
type description struct {
	Version int            `json:"version"`
	ID      string         `json:"id"`
	Made    time.Time      `json:"made"`
	Tables  []*backupTable `json:"tables"`

	Suppressed *keptSuppressions `json:"suppressed,omitempty"` // who is suppressed when the backup is complete
}

// backupTable is one table as one of its commits left it.
type backupTable struct {
	Name      string              `json:"name"`
	UUID      string              `json:"uuid"`
	Format    string              `json:"format"` // firth.format
	Schema    encoding.RawMessage `json:"schema"` // as in Iceberg's metadata; for other programs
	Partition string              `json:"partition"`
	Positions map[string]uint64   `json:"positions"` // by journal: every row below the offset is in
	Rows      int64               `json:"rows"`
	Bytes     int64               `json:"bytes"`
	Files     []*backupFile       `json:"files"`
}

// backupFile is a data file with what its manifest says of it.
type backupFile struct {
	Path    string               `json:"path"` // below the table's folder
	Rows    int64                `json:"rows"`
	Bytes   int64                `json:"bytes"`
	CRC32C  string               `json:"crc32c"`
	Splits  []int64              `json:"splits,omitempty"`
	Sorted  bool                 `json:"sorted"` // in the table's order
	Columns map[int]backupColumn `json:"columns"`
}

// backupColumn is what a manifest says of a column; absent numbers and bounds are not stated.
type backupColumn struct {
	Size   *int64 `json:"size,omitempty"`
	Values *int64 `json:"values,omitempty"`
	Nulls  *int64 `json:"nulls,omitempty"`
	Lower  []byte `json:"lower,omitempty"`
	Upper  []byte `json:"upper,omitempty"`
}

func newBackupTable(name string, m table.Metadata, positions map[string]uint64) (*backupTable, error) {
	schema, err := encoding.Marshal(m.CurrentSchema())
	if err != nil {
		return nil, fmt.Errorf("describe schema: %w", err)
	}
	spec := m.PartitionSpec()
	return &backupTable{
		Name: name, UUID: m.TableUUID().String(), Format: m.Properties().Get(formatKey, ""), Schema: schema,
		Partition: spec.Field(0).Name, Positions: positions, Files: []*backupFile{},
	}, nil
}

// place is where a file of the table lies below the backup's folder.
func (t *backupTable) place(f *backupFile) string { return filepath.Join(backupFiles, t.Name, f.Path) }

func newBackupFile(d iceberg.DataFile, path, partition string) (*backupFile, error) {
	day := filepath.Base(filepath.Dir(path))
	f := &backupFile{
		Path: filepath.Join(day, filepath.Base(path)), Rows: d.Count(), Bytes: d.FileSizeBytes(),
		Splits: slices.Clone(d.SplitOffsets()), Sorted: d.SortOrderID() != nil && *d.SortOrderID() != 0, Columns: map[int]backupColumn{},
	}
	of, err := f.day(partition)
	if err != nil {
		return nil, err
	}
	if stated, ok := d.Partition()[dayFieldID].(iceberg.Date); !ok || int64(stated) != of {
		return nil, fmt.Errorf("%s lies in the folder of another day than its manifest says, %v", path, d.Partition()[dayFieldID])
	}
	ids := map[int]bool{}
	for _, counts := range []map[int]int64{d.ColumnSizes(), d.ValueCounts(), d.NullValueCounts()} {
		for id := range counts {
			ids[id] = true
		}
	}
	lower, upper := d.LowerBoundValues(), d.UpperBoundValues()
	number := func(m map[int]int64, id int) *int64 {
		if v, ok := m[id]; ok {
			return &v
		}
		return nil
	}
	for id := range ids {
		f.Columns[id] = backupColumn{
			Size: number(d.ColumnSizes(), id), Values: number(d.ValueCounts(), id), Nulls: number(d.NullValueCounts(), id),
			Lower: lower[id], Upper: upper[id],
		}
	}
	return f, nil
}

// day is the day of the folder in which the file lies.
func (f *backupFile) day(partition string) (int64, error) {
	text, ok := strings.CutPrefix(filepath.Dir(f.Path), partition+"=")
	at, err := time.Parse(time.DateOnly, text)
	if !ok || err != nil || filepath.Clean(f.Path) != f.Path || strings.HasPrefix(filepath.Base(f.Path), ".") || filepath.Ext(f.Path) != parquetExt {
		return 0, fmt.Errorf("file %q is not named as the lake names its files", f.Path)
	}
	return dayOf(at.UnixMicro()), nil
}

// describe is what a manifest is to say of the file at another place.
func (f *backupFile) describe(t *table.Table, location string, day int64) (iceberg.DataFile, error) {
	b, err := iceberg.NewDataFileBuilder(t.Spec(), iceberg.EntryContentData, location, iceberg.ParquetFile,
		map[int]any{dayFieldID: iceberg.Date(day)}, nil, nil, f.Rows, f.Bytes)
	if err != nil {
		return nil, fmt.Errorf("describe lake file: %w", err)
	}
	sizes, values, nulls := map[int]int64{}, map[int]int64{}, map[int]int64{}
	lower, upper := map[int][]byte{}, map[int][]byte{}
	for _, id := range slices.Sorted(maps.Keys(f.Columns)) {
		c := f.Columns[id]
		for _, n := range []struct {
			to   map[int]int64
			from *int64
		}{{sizes, c.Size}, {values, c.Values}, {nulls, c.Nulls}} {
			if n.from != nil {
				n.to[id] = *n.from
			}
		}
		if c.Lower != nil {
			lower[id] = c.Lower
		}
		if c.Upper != nil {
			upper[id] = c.Upper
		}
	}
	b.ColumnSizes(sizes).ValueCounts(values).NullValueCounts(nulls).LowerBoundValues(lower).UpperBoundValues(upper)
	if len(f.Splits) > 0 {
		b.SplitOffsets(f.Splits)
	}
	if f.Sorted {
		b.SortOrderID(t.SortOrder().OrderID())
	}
	return b.Build(), nil
}

func damagedBackup(path, format string, args ...any) error {
	return fmt.Errorf("%w: the backup's %s: %s", ErrDamaged, path, fmt.Sprintf(format, args...))
}

func writeDescription(fsys disk.FS, dir string, d *description) error {
	body, err := encoding.Marshal(d)
	if err != nil {
		return fmt.Errorf("describe the backup: %w", err)
	}
	text := fmt.Appendf(nil, "%08x\n%s\n", crc32.Checksum(body, castagnoli), body)
	return disk.WriteFile(fsys, filepath.Join(dir, backupName), text, 0o640)
}

func readDescription(fsys disk.FS, dir string) (*description, error) {
	path := filepath.Join(dir, backupName)
	text, err := disk.ReadFile(fsys, path)
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	return parseDescription(path, text)
}

// parseDescription never panics on foreign bytes, and lets nothing through that names a file outside of the backup.
func parseDescription(path string, text []byte) (*description, error) {
	const line = 9 // the checksum and a line break
	if len(text) < line+1 || text[line-1] != '\n' || text[len(text)-1] != '\n' {
		return nil, damagedBackup(path, "it is cut short")
	}
	body := text[line : len(text)-1]
	if sum, err := strconv.ParseUint(string(text[:line-1]), 16, 32); err != nil || uint32(sum) != crc32.Checksum(body, castagnoli) {
		return nil, damagedBackup(path, "its checksum is not the one that it tells")
	}
	d := &description{}
	var first struct {
		Version int `json:"version"`
	}
	if err := encoding.Unmarshal(body, &first); err != nil {
		return nil, damagedBackup(path, "%v", err)
	}
	if first.Version > backupVersion {
		return nil, fmt.Errorf("the backup %s has version %d and this version of Firth reads up to %d: restore it with the version that made it, or a newer one",
			path, first.Version, backupVersion)
	}
	if err := encoding.Unmarshal(body, d); err != nil {
		return nil, damagedBackup(path, "%v", err)
	}
	return d, d.check(path)
}

func (d *description) check(path string) error {
	if d.Version < 1 {
		return damagedBackup(path, "version %d", d.Version)
	}
	seen := map[string]bool{}
	for _, t := range d.Tables {
		if t == nil || !tableName(t.Name) || seen[t.Name] {
			return damagedBackup(path, "it names no table, or the same twice")
		}
		seen[t.Name] = true
		for log, position := range t.Positions {
			if log == "" || len(log) > maxLog || position > math.MaxInt64 {
				return damagedBackup(path, "table %s: position %d of journal %q", t.Name, position, log)
			}
		}
		files := map[string]bool{}
		for _, f := range t.Files {
			if f == nil || files[f.Path] {
				return damagedBackup(path, "table %s: it names no file, or the same twice", t.Name)
			}
			files[f.Path] = true
			_, err := f.day(t.Partition)
			if _, cerr := strconv.ParseUint(f.CRC32C, 16, 32); err != nil || cerr != nil || len(f.CRC32C) != 8 || f.Rows < 0 || f.Bytes <= 0 {
				return damagedBackup(path, "table %s: file %q is not described as a file of the lake", t.Name, f.Path)
			}
		}
	}
	return nil
}

// tableName reports whether a name can be that of a source or of the table of dead letters.
func tableName(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 63
}
