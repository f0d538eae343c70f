package iceberg

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
)

// change is what a commit does to one table.
type change struct {
	table *tbl // with the fields that it is to have

	remove []dataFile         // files of table.files
	add    []iceberg.DataFile // of write
	set    iceberg.Properties
	unset  []string

	// touch makes a snapshot although no file changes, so that one of two that commit at a time fails.
	touch bool
	// purge leaves no snapshot but the new one and no word of files that are gone.
	purge bool

	// drop takes the table out of the catalog; the other fields mean nothing then.
	drop bool
	// rename is the table's name from now on; a table that has the name is dropped.
	rename string
}

// keepSnapshots bounds a table's history.
const keepSnapshots = 50

// manifestsAtMost is how many manifests a snapshot lists before small ones are put together.
const manifestsAtMost = 16

// manifestEntries is how many entries go into one manifest.
const manifestEntries = 2000

// commit makes changes to tables of one schema at once: readers see all of them or none. Nothing has happened after an error that is
// table.ErrCommitFailed, which another committer may be the cause of, or errUntouched; another leaves it open. Files that were added are looked after: they are removed where it is certain that no
// commit names them, and else left to Tend.
func (d *DB) commit(ctx context.Context, schema string, changes []change) error {
	err := d.tryCommit(ctx, schema, changes)
	for _, c := range changes {
		for _, f := range c.add {
			path, perr := d.o.IO.Path(f.FilePath())
			if perr != nil {
				continue
			}
			if errors.Is(err, table.ErrCommitFailed) || errors.Is(err, errUntouched) {
				d.discard(path)
			}
			d.setWriting(path, false)
		}
		if err == nil && c.table.isNew() {
			d.setMaking(schema, c.table.at, false)
			c.table.at = c.table.name
		}
	}
	return err
}

// errUntouched says that a commit failed before the catalog was asked.
var errUntouched = errors.New("nothing was committed")

func (d *DB) tryCommit(ctx context.Context, schema string, changes []change) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", errUntouched, err)
	}
	s, err := d.space(ctx, schema)
	if err != nil {
		return fmt.Errorf("%w: %w", errUntouched, err)
	}
	out := make([]catalog.Change, len(changes))
	for i, c := range changes {
		if err := d.o.Step("snapshot " + c.table.name); err != nil {
			return fmt.Errorf("%w: %w", errUntouched, err)
		}
		if out[i], err = d.prepare(s, c); err != nil {
			return fmt.Errorf("%w: table %s.%s: %w", errUntouched, schema, c.table.name, err)
		}
	}
	if err := d.o.Step("commit " + schema); err != nil {
		return fmt.Errorf("%w: %w", errUntouched, err)
	}
	if err := s.catalog.CommitAll(ctx, out); err != nil {
		return fmt.Errorf("commit to schema %s: %w", schema, err)
	}
	return d.o.Step("done " + schema)
}

// prepare writes the snapshot of a change and says what the catalog is to do.
func (d *DB) prepare(s *space, c change) (catalog.Change, error) {
	t := c.table
	out := catalog.Change{Table: t.at, Requirements: []table.Requirement{table.AssertTableUUID(t.t.Metadata().TableUUID())}, Drop: c.drop, Rename: c.rename}
	if c.drop {
		return out, nil
	}
	if t.isNew() && c.rename == "" {
		out.Rename = t.name
	}
	m := t.t.Metadata()
	schema := m.CurrentSchema()
	if !sameFields(schema.Fields(), t.fields) {
		schema = iceberg.NewSchema(highestSchema(m)+1, t.fields...)
		const lastAdded = -1
		out.Requirements = append(out.Requirements, table.AssertCurrentSchemaID(m.CurrentSchema().ID))
		out.Updates = append(out.Updates, table.NewAddSchemaUpdate(schema), table.NewSetCurrentSchemaUpdate(lastAdded))
	}
	if len(c.set) > 0 {
		out.Updates = append(out.Updates, table.NewSetPropertiesUpdate(c.set))
	}
	if len(c.unset) > 0 {
		out.Updates = append(out.Updates, table.NewRemovePropertiesUpdate(c.unset))
	}
	if !c.touch && !c.purge && len(c.add)+len(c.remove) == 0 {
		if drop := d.expired(m); len(drop) > 0 {
			out.Updates = append(out.Updates, table.NewRemoveSnapshotsUpdate(drop, false))
		}
		return out, nil
	}
	next, err := d.snapshot(s, c, schema)
	if err != nil {
		return out, err
	}
	var current *int64
	if now := m.CurrentSnapshot(); now != nil {
		current = &now.SnapshotID
	}
	out.Requirements = append(out.Requirements, table.AssertRefSnapshotID(table.MainBranch, current))
	out.Updates = append(out.Updates, table.NewAddSnapshotUpdate(next), table.NewSetSnapshotRefUpdate(table.MainBranch, next.SnapshotID, table.BranchRef, 0, 0, 0))
	drop := d.expired(m)
	if c.purge {
		drop = oldest(m, 0)
	}
	if len(drop) > 0 {
		out.Updates = append(out.Updates, table.NewRemoveSnapshotsUpdate(drop, false))
	}
	return out, nil
}

// oldest lists the snapshots to leave out so that at most keep remain: none that another name than main's stands for.
func oldest(m table.Metadata, keep int) []int64 {
	named := map[int64]bool{}
	for name, ref := range m.Refs() {
		named[ref.SnapshotID] = name != table.MainBranch
	}
	var drop []int64
	all := m.Snapshots() // in the order of their commits
	for i := range max(0, len(all)-keep) {
		if id := all[i].SnapshotID; !named[id] {
			drop = append(drop, id)
		}
	}
	return drop
}

func highestSchema(m table.Metadata) (id int) {
	for _, s := range m.Schemas() {
		id = max(id, s.ID)
	}
	return id
}

func sameFields(a, b []iceberg.NestedField) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID || a[i].Name != b[i].Name || a[i].Doc != b[i].Doc || !a[i].Type.Equals(b[i].Type) {
			return false
		}
	}
	return true
}

// snapshot writes the manifests and the manifest list of what a table holds after a change.
func (d *DB) snapshot(s *space, c change, schema *iceberg.Schema) (*table.Snapshot, error) {
	m := c.table.t.Metadata()
	mark, err := d.random(16)
	if err != nil {
		return nil, err
	}
	drawn, err := hex.DecodeString(mark[:16])
	if err != nil {
		return nil, err
	}
	next := &table.Snapshot{
		SnapshotID: int64(binary.LittleEndian.Uint64(drawn)>>1) | 1, SequenceNumber: m.LastSequenceNumber() + 1,
		TimestampMs: d.o.Now().UnixMilli(), SchemaID: &schema.ID, Summary: c.summary(),
	}
	parent := m.CurrentSnapshot()
	if parent != nil && !c.purge {
		next.ParentSnapshotID = &parent.SnapshotID
	}
	folder, err := s.folder(c.table.t)
	if err != nil {
		return nil, err
	}
	w := &manifests{io: s.io, meta: m, schema: schema, folder: filepath.Join(folder, "metadata"), mark: mark, snapshot: next.SnapshotID}
	var kept []iceberg.ManifestFile
	if parent != nil {
		if kept, err = w.sort(parent, c); err != nil {
			return nil, err
		}
	}
	for _, f := range c.add {
		w.added = append(w.added, iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &next.SnapshotID, nil, nil, f))
	}
	written, err := w.write()
	if err != nil {
		return nil, err
	}
	next.ManifestList = s.io.Location(filepath.Join(w.folder, fmt.Sprintf("snap-%d-0-%s.avro", next.SnapshotID, mark)))
	return next, writeFile(s.io, next.ManifestList, func(out io.Writer) error {
		return iceberg.WriteManifestList(m.Version(), out, next.SnapshotID, next.ParentSnapshotID, &next.SequenceNumber, 0, append(written, kept...))
	})
}

// summary counts as the specification asks for (table specification, "Optional Snapshot Summary Fields").
func (c change) summary() *table.Summary {
	p := iceberg.Properties{}
	var added, addedBytes, removed, removedBytes, rows, bytes int64
	for _, f := range c.table.files {
		rows, bytes = rows+f.Count(), bytes+f.FileSizeBytes()
	}
	for _, f := range c.add {
		added, addedBytes = added+f.Count(), addedBytes+f.FileSizeBytes()
	}
	for _, f := range c.remove {
		removed, removedBytes = removed+f.Count(), removedBytes+f.FileSizeBytes()
	}
	for key, n := range map[string]int64{
		"added-data-files": int64(len(c.add)), "added-records": added, "added-files-size": addedBytes,
		"deleted-data-files": int64(len(c.remove)), "deleted-records": removed, "removed-files-size": removedBytes,
	} {
		if n > 0 {
			p[key] = strconv.FormatInt(n, 10)
		}
	}
	for key, n := range map[string]int64{
		"total-data-files": int64(len(c.table.files) + len(c.add) - len(c.remove)), "total-records": rows + added - removed,
		"total-files-size": bytes + addedBytes - removedBytes, "total-delete-files": 0, "total-position-deletes": 0, "total-equality-deletes": 0,
	} {
		p[key] = strconv.FormatInt(n, 10)
	}
	op := table.OpAppend
	switch {
	case len(c.remove) == 0:
	case len(c.add) == 0:
		op = table.OpDelete
	case added == removed:
		op = table.OpReplace
	default:
		op = table.OpOverwrite
	}
	return &table.Summary{Operation: op, Properties: p}
}
