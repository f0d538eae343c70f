package lake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"strconv"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// swap takes files out of a table and puts others in, in one snapshot. Only the manifests that name a file to be taken out are
// read and written anew: the library's own replacement reads all of a table's manifests, twice, while nobody else can commit.
type swap struct {
	op     table.Operation
	remove []*File
	pick   func(*Snapshot) []*File // chooses the files to take out, in place of remove, from the snapshot that is replaced
	add    []iceberg.DataFile
	note   iceberg.Properties

	// For a purge. Bare writes what is said of removed files without their bounds, touch names manifests to be written anew without what
	// they say of files that went before, and set chooses properties for the same commit by the present ones.
	bare  bool
	touch map[string]bool
	set   func(present iceberg.Properties) iceberg.Properties
}

// errChanged says that another commit took a file away.
var errChanged = errors.New("a file to be replaced is no longer in the table")

// manifestEntries is how many entries of files that stay go into one manifest.
const manifestEntries = 2000

// swap commits s. It is errChanged, and nothing is done, when a file to be taken out is not in the table. Another error
// leaves open whether the commit took place; [store.reload] tells.
func (s *store) swap(ctx context.Context, step string, sw swap) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	t := s.current()
	if err := s.l.o.step(step + " " + s.name); err != nil {
		return err
	}
	snap, err := s.snapshot()
	if err != nil {
		return err
	}
	if sw.pick != nil {
		sw.remove = sw.pick(snap)
	}
	if len(sw.remove)+len(sw.add)+len(sw.touch) == 0 {
		return nil
	}
	touched, err := s.touched(snap, sw.remove)
	if err != nil {
		return err
	}
	maps.Copy(touched, sw.touch)
	next, err := s.writeSwap(t, snap, sw, touched)
	if err != nil {
		return fmt.Errorf("replace files of table %s: %w", s.name, err)
	}
	current := t.CurrentSnapshot().SnapshotID
	updates := []table.Update{
		table.NewAddSnapshotUpdate(next), table.NewSetSnapshotRefUpdate(table.MainBranch, next.SnapshotID, table.BranchRef, 0, 0, 0),
	}
	set, err := sw.properties(t.Properties())
	if err != nil {
		return err
	}
	if len(set) > 0 {
		updates = append(updates, table.NewSetPropertiesUpdate(set))
	}
	_, _, err = s.l.catalog.CommitTable(ctx, t.Identifier(),
		[]table.Requirement{table.AssertRefSnapshotID(table.MainBranch, &current)}, updates)
	if err != nil {
		return fmt.Errorf("commit table %s: %w", s.name, err)
	}
	if err := s.reloadLocked(ctx); err != nil {
		return err
	}
	return s.l.o.step("done " + step + " " + s.name)
}

// touched returns the locations of the manifests that name the files, all of which must be in the snapshot.
func (s *store) touched(snap *Snapshot, files []*File) (map[string]bool, error) {
	wanted := make(map[string]bool, len(files))
	for _, f := range files {
		wanted[f.Path] = true
	}
	for _, f := range snap.Files {
		delete(wanted, f.Path)
	}
	for path := range wanted {
		return nil, fmt.Errorf("%w: %s", errChanged, path)
	}
	for _, f := range files {
		wanted[f.Path] = true
	}
	s.planning.Lock()
	defer s.planning.Unlock()
	out := map[string]bool{}
	for manifest, of := range s.planner.manifests {
		for _, f := range of {
			if wanted[f.Path] {
				out[manifest] = true
				break
			}
		}
	}
	return out, nil
}

// writeSwap writes manifests and their list, and describes the snapshot.
func (s *store) writeSwap(t *table.Table, snap *Snapshot, sw swap, touched map[string]bool) (*table.Snapshot, error) {
	m := t.Metadata()
	var random [8]byte
	if _, err := io.ReadFull(s.l.o.Rand, random[:]); err != nil {
		return nil, err
	}
	parent, schema := m.CurrentSnapshot(), m.CurrentSchema().ID
	next := &table.Snapshot{
		SnapshotID: int64(binary.LittleEndian.Uint64(random[:])>>1) | 1, ParentSnapshotID: &parent.SnapshotID,
		SequenceNumber: m.LastSequenceNumber() + 1, TimestampMs: s.l.o.Now().UnixMilli(), SchemaID: &schema,
		Summary: &table.Summary{Operation: sw.op, Properties: sw.summary(snap)},
	}
	w := &swapped{s: s, t: t, id: uuid.NewString(), snapshot: next.SnapshotID, bare: sw.bare}
	list, err := parent.Manifests(s.l.catalog.IO())
	if err != nil {
		return nil, err
	}
	kept := make([]iceberg.ManifestFile, 0, len(list))
	for _, mf := range list {
		if !touched[mf.FilePath()] {
			kept = append(kept, mf)
			continue
		}
		if err := w.sort(mf, sw.remove); err != nil {
			return nil, err
		}
	}
	for _, d := range sw.add {
		w.added = append(w.added, iceberg.NewManifestEntry(iceberg.EntryStatusADDED, &next.SnapshotID, nil, nil, d))
	}
	if len(w.removed) != len(sw.remove) {
		return nil, fmt.Errorf("the manifests name %d of %d files", len(w.removed), len(sw.remove))
	}
	written, err := w.write()
	if err != nil {
		return nil, err
	}
	next.ManifestList = w.place(fmt.Sprintf("snap-%d-0-%s.avro", next.SnapshotID, w.id))
	err = writeFileTo(s.l.catalog.IO(), next.ManifestList, func(out io.Writer) error {
		return iceberg.WriteManifestList(m.Version(), out, next.SnapshotID, next.ParentSnapshotID, &next.SequenceNumber, 0, append(written, kept...))
	})
	return next, err
}

// summary counts as the specification asks for (table specification, "Optional Snapshot Summary Fields").
func (sw swap) summary(snap *Snapshot) iceberg.Properties {
	p := iceberg.Properties{}
	for key, value := range sw.note {
		p[key] = value
	}
	files, rows, bytes := int64(len(snap.Files)), snap.Rows, snap.Bytes
	set := func(key string, v int64) {
		if v != 0 {
			p[key] = strconv.FormatInt(v, 10)
		}
	}
	days := map[any]bool{}
	var addedRows, addedBytes, removedRows, removedBytes int64
	for _, d := range sw.add {
		addedRows, addedBytes = addedRows+d.Count(), addedBytes+d.FileSizeBytes()
		if day, ok := d.Partition()[dayFieldID].(iceberg.Date); ok {
			days[int64(day)] = true
		}
	}
	for _, f := range sw.remove {
		removedRows, removedBytes = removedRows+f.Rows, removedBytes+f.Bytes
		days[dayOf(f.Day.UnixMicro())] = true
	}
	set("added-data-files", int64(len(sw.add)))
	set("added-records", addedRows)
	set("added-files-size", addedBytes)
	set("deleted-data-files", int64(len(sw.remove)))
	set("deleted-records", removedRows)
	set("removed-files-size", removedBytes)
	set("changed-partition-count", int64(len(days)))
	for key, v := range map[string]int64{
		"total-data-files": files + int64(len(sw.add)-len(sw.remove)), "total-records": rows + addedRows - removedRows,
		"total-files-size":   bytes + addedBytes - removedBytes,
		"total-delete-files": 0, "total-position-deletes": 0, "total-equality-deletes": 0,
	} {
		p[key] = strconv.FormatInt(v, 10)
	}
	return p
}

// swapped are the manifests that a swap writes.
type swapped struct {
	s        *store
	t        *table.Table
	id       string
	snapshot int64
	bare     bool

	added, removed, existing []iceberg.ManifestEntry
	written                  int
}

func (w *swapped) place(name string) string {
	return w.s.l.catalog.IO().Location(w.s.l.o.Dir + "/" + w.s.name + "/metadata/" + name)
}

// sort takes the live entries of a manifest apart: those of files to be removed, and the rest.
func (w *swapped) sort(mf iceberg.ManifestFile, remove []*File) error {
	out := make(map[string]bool, len(remove))
	for _, f := range remove {
		out[w.s.l.catalog.IO().Location(f.Path)] = true
	}
	for entry, err := range mf.Entries(w.s.l.catalog.IO(), true) {
		if err != nil {
			return fmt.Errorf("read manifest: %w", err)
		}
		d, of, number := entry.DataFile(), entry.SnapshotID(), entry.SequenceNum()
		if out[d.FilePath()] {
			if w.bare {
				if d, err = bareFile(d, w.t.Spec()); err != nil {
					return err
				}
			}
			w.removed = append(w.removed, iceberg.NewManifestEntry(iceberg.EntryStatusDELETED, &w.snapshot, &number, entry.FileSequenceNum(), d))
			continue
		}
		w.existing = append(w.existing, iceberg.NewManifestEntry(iceberg.EntryStatusEXISTING, &of, &number, entry.FileSequenceNum(), d))
	}
	return nil
}

// write writes what was added and removed together with the first of what stays.
func (w *swapped) write() ([]iceberg.ManifestFile, error) {
	var out []iceberg.ManifestFile
	for first := true; first || len(w.existing) > 0; first = false {
		n := min(len(w.existing), manifestEntries)
		mf, err := w.manifest(w.existing[:n])
		if err != nil {
			return nil, fmt.Errorf("write manifest: %w", err)
		}
		w.added, w.removed, w.existing = nil, nil, w.existing[n:]
		out = append(out, mf)
	}
	return out, nil
}

func (w *swapped) manifest(existing []iceberg.ManifestEntry) (iceberg.ManifestFile, error) {
	at := w.place(fmt.Sprintf("%s-m%d.avro", w.id, w.written))
	w.written++
	m := w.t.Metadata()
	return writeManifest(w.s.l.catalog.IO(), at, m, m.PartitionSpec(), w.snapshot, manifestParts{w.added, existing, w.removed})
}
