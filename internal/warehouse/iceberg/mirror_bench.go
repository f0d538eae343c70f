package iceberg

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"firth/internal/disk"
	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
)

// bench is the workshop in which rows wait for becoming files of a stage. It is for one goroutine at a time.
type bench struct {
	shop   *duckdb.Workshop
	stages map[string]*Stage // that take rows, by mirror
	tables int               // made so far, for their names
}

// atBench runs fn at the bench, and names what goes wrong.
func (m *Mirrors) atBench(ctx context.Context, op, name string, fn func(*bench) error) error {
	select {
	case m.seat <- struct{}{}:
	case <-ctx.Done():
		return m.fail(ctx, op, name, ctx.Err())
	}
	defer func() { <-m.seat }()
	if m.bench.shop == nil {
		shop, err := m.db.takeShop(ctx)
		if err != nil {
			return m.fail(ctx, op, name, err)
		}
		m.bench.shop, m.bench.stages = shop, map[string]*Stage{}
	}
	return m.fail(ctx, op, name, fn(&m.bench))
}

// open gives a buffer a table with columns, in the place of the one that it had, which is empty.
func (b *bench) open(ctx context.Context, f *buffer, columns []vector.Column) error {
	if err := b.close(ctx, f); err != nil {
		return err
	}
	b.tables++
	f.table, f.columns = "buffer_"+strconv.Itoa(b.tables), storedColumns(columns)
	return b.shop.CreateTable(ctx, f.table, f.columns)
}

// close drops the table of a buffer.
func (b *bench) close(ctx context.Context, f *buffer) error {
	if f.table == "" {
		return nil
	}
	err := b.shop.Exec(ctx, "DROP TABLE "+quote(f.table))
	f.table, f.rows, f.bytes = "", 0, 0
	return err
}

// spill makes a file of the rows of a buffer, durable when it returns; without rows it does nothing.
func (b *bench) spill(ctx context.Context, f *buffer, dir stageDir) error {
	if f.rows == 0 {
		return nil
	}
	path := dir.part(f.prefix, f.parts)
	fresh := path + ".tmp"
	if err := b.shop.Exec(ctx, "COPY (FROM "+quote(f.table)+") TO "+constant(fresh)+" (FORMAT parquet, COMPRESSION snappy)"); err != nil {
		return err
	}
	if err := b.shop.Exec(ctx, "DELETE FROM "+quote(f.table)); err != nil {
		return err
	}
	if err := settle(fresh, path); err != nil {
		return fmt.Errorf("stage rows: %w", err)
	}
	f.parts, f.rows, f.bytes, f.since = f.parts+1, 0, 0, dir.m.db.o.Now()
	return nil
}

// settle makes a file durable and gives it its name.
func settle(from, to string) error {
	f, err := disk.OS{}.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Datasync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return disk.OS{}.SyncDir(filepath.Dir(to))
}

// rejected is a value as a text that every table of rejects can hold.
func rejected(v *vector.Vector, row int) string {
	text := v.Text(row)
	if !utf8.ValidString(text) {
		return strconv.QuoteToASCII(text)
	}
	return text
}

// note says what the files of a stage stand for.
type note struct {
	Name     string          `json:"name"`
	Schema   string          `json:"schema"`
	Table    string          `json:"table"`
	Run      string          `json:"run"`
	Mark     string          `json:"mark"` // tells this stage from all others
	Columns  []vector.Column `json:"columns"`
	Shapes   []shape         `json:"shapes"`
	Parts    int             `json:"parts"` // files that hold rows, numbered from 0
	Rows     int64           `json:"rows"`
	Progress json.RawMessage `json:"progress,omitempty"`
}

// shape is the columns of the files from one on.
type shape struct {
	From    int             `json:"from"`
	Columns []vector.Column `json:"columns"`
}

// prefix begins the names of the files that hold rows. No two stages have a name in common: the engine remembers footers by name, and tells a
// file that was written anew by its size and time alone.
func (n *note) prefix() string { return partPrefix + n.Mark + "-" }

// of reports whether the stage is one of the table.
func (n *note) of(t warehouse.MirrorTable) bool {
	return n != nil && n.Name == t.Name && strings.EqualFold(n.Schema, t.Schema) && strings.EqualFold(n.Table, t.Table)
}

const (
	noteName   = "stage.json"
	partPrefix = "part-"
	keysPrefix = "keys-"
)

// stageDir is the folder of a mirror's stage.
type stageDir struct {
	path string
	m    *Mirrors
}

// stageDir is named by a hash: names of mirrors may have characters that names of files have not.
func (m *Mirrors) stageDir(name string) stageDir {
	sum := sha256.Sum256([]byte(name))
	return stageDir{filepath.Join(m.db.o.Stages, hex.EncodeToString(sum[:12])), m}
}

func (d stageDir) part(prefix string, n int) string {
	return filepath.Join(d.path, fmt.Sprintf("%s%08d.parquet", prefix, n))
}

// readNote reads what is staged; nil: nothing is, or nothing that can be gone on with.
func readNote(d stageDir) (*note, error) {
	text, err := os.ReadFile(filepath.Join(d.path, noteName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // nothing is staged
	}
	if err != nil {
		return nil, fmt.Errorf("read what is staged: %w", err)
	}
	n := &note{}
	if known := json.Unmarshal(text, n) == nil; !known || len(n.Shapes) == 0 {
		return nil, nil //nolint:nilnil // of another version: it begins anew
	}
	for i := range n.Parts {
		switch _, err := os.Stat(d.part(n.prefix(), i)); {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil //nolint:nilnil // somebody removed a part of it
		case err != nil:
			return nil, fmt.Errorf("read what is staged: %w", err)
		}
	}
	return n, nil
}

// note is what a stage begins with: what is staged under the same run already, unless it is the one that was published, or nothing.
func (d stageDir) note(t warehouse.MirrorTable, o *warehouse.StageOptions, published string) (*note, error) {
	left, err := readNote(d)
	if err != nil {
		return nil, err
	}
	if o.Resume && left.of(t) && left.Run == o.Run && left.Mark != published {
		return left, d.tidy(left)
	}
	n := &note{Name: t.Name, Schema: t.Schema, Table: t.Table, Run: o.Run, Columns: slices.Clone(o.Columns)}
	n.Shapes = []shape{{Columns: n.Columns}}
	if n.Mark, err = d.m.db.random(8); err != nil {
		return nil, err
	}
	return n, d.begin(n)
}

// begin makes the folder anew.
func (d stageDir) begin(n *note) error {
	if err := d.remove(); err != nil {
		return err
	}
	if err := disk.MakeDir(disk.OS{}, d.path, 0o700); err != nil {
		return fmt.Errorf("make the stage: %w", err)
	}
	return d.save(n)
}

// save writes the note, durably.
func (d stageDir) save(n *note) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := disk.WriteFile(disk.OS{}, filepath.Join(d.path, noteName), text, 0o600); err != nil {
		return fmt.Errorf("note what is staged: %w", err)
	}
	return nil
}

// tidy removes files that the note does not count: of rows that were on their way, and of keys.
func (d stageDir) tidy(n *note) error {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return fmt.Errorf("read the stage: %w", err)
	}
	counted := map[string]bool{noteName: true}
	for i := range n.Parts {
		counted[filepath.Base(d.part(n.prefix(), i))] = true
	}
	for _, e := range entries {
		if !counted[e.Name()] {
			if err := os.Remove(filepath.Join(d.path, e.Name())); err != nil {
				return fmt.Errorf("tidy the stage: %w", err)
			}
		}
	}
	return nil
}

// remove removes the stage; the note goes first, so that a stage without a file is none.
func (d stageDir) remove() error {
	err := os.Remove(filepath.Join(d.path, noteName))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = errors.Join(err, os.RemoveAll(d.path)); err != nil {
		return fmt.Errorf("remove the stage: %w", err)
	}
	return nil
}
