package lake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/google/uuid"

	"firth/internal/lake/catalog"
)

// mend writes the table's metadata for its new place and makes it the current one.
func (m *moved) mend(ctx context.Context, c *catalog.Catalog, o Options) error {
	if err := o.step("mend " + m.name); err != nil {
		return err
	}
	kept := map[string]bool{}
	list, err := m.writeList(c, kept)
	if err != nil {
		return err
	}
	metadata, err := catalog.Relocated(m.metadata, catalog.Location(m.to), list)
	if err != nil {
		return err
	}
	at, err := c.Relocate(ctx, m.name, m.row, metadata)
	if err != nil {
		return err
	}
	kept[filepath.Base(at)] = true
	if err := o.step("mended " + m.name); err != nil {
		return err
	}
	m.tidy(o, kept)
	return nil
}

// tidy removes the metadata files that are not named any more: they have the old paths, or a start that was cut short left them.
// What cannot be removed does no harm.
func (m *moved) tidy(o Options, kept map[string]bool) {
	dir := filepath.Join(m.to, "metadata")
	entries, err := o.FS.ReadDir(dir)
	for _, e := range entries {
		if name := e.Name(); !kept[name] && (strings.HasSuffix(name, ".avro") || strings.HasSuffix(name, ".metadata.json")) {
			err = errors.Join(err, o.FS.Remove(filepath.Join(dir, name)))
		}
	}
	if err != nil {
		o.Log.Warn("metadata with the old paths could not be removed", "table", m.name, "error", err)
	}
}

// writeList writes the current snapshot's manifests and their list; it returns the list's location, "" for a table without rows.
func (m *moved) writeList(c *catalog.Catalog, kept map[string]bool) (string, error) {
	current := m.metadata.CurrentSnapshot()
	if current == nil {
		return "", nil
	}
	id := uuid.NewString()
	var manifests []iceberg.ManifestFile
	for i, old := range m.list {
		name := fmt.Sprintf("%s-m%d.avro", id, i)
		mf, err := m.writeManifest(c, old, m.place(name), current.SnapshotID)
		if err != nil {
			return "", fmt.Errorf("write manifest: %w", err)
		}
		if mf != nil {
			manifests = append(manifests, mf)
			kept[name] = true
		}
	}
	name := fmt.Sprintf("snap-%d-0-%s.avro", current.SnapshotID, id)
	kept[name] = true
	err := writeFileTo(c.IO(), m.place(name), func(w io.Writer) error {
		return iceberg.WriteManifestList(m.metadata.Version(), w, current.SnapshotID, current.ParentSnapshotID, &current.SequenceNumber, 0, manifests)
	})
	if err != nil {
		return "", fmt.Errorf("write manifest list: %w", err)
	}
	return m.place(name), nil
}

func (m *moved) place(name string) string {
	return catalog.Location(filepath.Join(m.to, "metadata", name))
}

// writeManifest writes what is live of a manifest for the new place; nil when nothing is.
func (m *moved) writeManifest(c *catalog.Catalog, old iceberg.ManifestFile, at string, snapshot int64) (iceberg.ManifestFile, error) {
	specs := m.metadata.PartitionSpecs()
	spec := specByID(specs, int(old.PartitionSpecID()))
	if spec == nil {
		return nil, fmt.Errorf("%s has the unknown partition spec %d", old.FilePath(), old.PartitionSpecID())
	}
	var live []iceberg.ManifestEntry
	for entry, err := range old.Entries(movedIO{c.IO(), m}, true) {
		if err != nil {
			return nil, err
		}
		location, err := m.now(entry.DataFile().FilePath())
		if err != nil {
			return nil, err
		}
		d, err := relocatedFile(entry.DataFile(), *spec, location)
		if err != nil {
			return nil, err
		}
		of, number := entry.SnapshotID(), entry.SequenceNum()
		live = append(live, iceberg.NewManifestEntry(iceberg.EntryStatusEXISTING, &of, &number, entry.FileSequenceNum(), d))
	}
	if len(live) == 0 {
		return nil, nil
	}
	return writeManifest(c.IO(), at, m.metadata, *spec, snapshot, manifestParts{existing: live})
}

func specByID(specs []iceberg.PartitionSpec, id int) *iceberg.PartitionSpec {
	for i := range specs {
		if specs[i].ID() == id {
			return &specs[i]
		}
	}
	return nil
}

// relocatedFile describes a data file as before, at another place.
func relocatedFile(d iceberg.DataFile, spec iceberg.PartitionSpec, location string) (iceberg.DataFile, error) {
	b, err := iceberg.NewDataFileBuilder(spec, d.ContentType(), location, d.FileFormat(), d.Partition(), nil, nil, d.Count(), d.FileSizeBytes())
	if err != nil {
		return nil, err
	}
	if v := d.ColumnSizes(); v != nil {
		b.ColumnSizes(v)
	}
	if v := d.ValueCounts(); v != nil {
		b.ValueCounts(v)
	}
	if v := d.NullValueCounts(); v != nil {
		b.NullValueCounts(v)
	}
	if v := d.NaNValueCounts(); v != nil {
		b.NaNValueCounts(v)
	}
	if v := d.LowerBoundValues(); v != nil {
		b.LowerBoundValues(v)
	}
	if v := d.UpperBoundValues(); v != nil {
		b.UpperBoundValues(v)
	}
	if v := d.KeyMetadata(); v != nil {
		b.KeyMetadata(v)
	}
	if v := d.SplitOffsets(); v != nil {
		b.SplitOffsets(v)
	}
	if v := d.SortOrderID(); v != nil {
		b.SortOrderID(*v)
	}
	return b.Build(), nil
}
