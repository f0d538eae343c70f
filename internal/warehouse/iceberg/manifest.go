package iceberg

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
)

// manifests are those that a snapshot writes.
type manifests struct {
	io       *catalog.FileIO
	meta     table.Metadata
	schema   *iceberg.Schema
	folder   string
	mark     string
	snapshot int64

	added, removed, existing []iceberg.ManifestEntry
	written                  int
}

// sort takes the manifests of the parent apart that name files to be removed, or that are to be put together; the others are kept.
func (w *manifests) sort(parent *table.Snapshot, c change) ([]iceberg.ManifestFile, error) {
	list, err := parent.Manifests(w.io)
	if err != nil {
		return nil, fmt.Errorf("read manifest list: %w", err)
	}
	touched, out := map[string]bool{}, map[string]bool{}
	for _, f := range c.remove {
		touched[f.manifest], out[f.FilePath()] = true, true
	}
	var kept []iceberg.ManifestFile
	for _, mf := range list {
		live := int(mf.ExistingDataFiles()) + int(mf.AddedDataFiles())
		join := len(list) >= manifestsAtMost && live < manifestEntries/2
		if !touched[mf.FilePath()] && !join && (!c.purge || mf.DeletedDataFiles() == 0) {
			kept = append(kept, mf)
			continue
		}
		if err := w.takeApart(mf, out, c.purge); err != nil {
			return nil, err
		}
	}
	if len(out) > 0 {
		return nil, fmt.Errorf("%d files to be removed are not in the table", len(out))
	}
	return kept, nil
}

// takeApart sorts the live entries of a manifest; files that are found are taken from out.
func (w *manifests) takeApart(mf iceberg.ManifestFile, out map[string]bool, purge bool) error {
	for entry, err := range mf.Entries(w.io, true) {
		if err != nil {
			return fmt.Errorf("read manifest: %w", err)
		}
		f, of, number := entry.DataFile(), entry.SnapshotID(), entry.SequenceNum()
		if !out[f.FilePath()] {
			w.existing = append(w.existing, iceberg.NewManifestEntry(iceberg.EntryStatusEXISTING, &of, &number, entry.FileSequenceNum(), f))
			continue
		}
		delete(out, f.FilePath())
		if !purge {
			w.removed = append(w.removed, iceberg.NewManifestEntry(iceberg.EntryStatusDELETED, &w.snapshot, &number, entry.FileSequenceNum(), f))
		}
	}
	return nil
}

// write writes what was added and removed together with the first of what stays.
func (w *manifests) write() ([]iceberg.ManifestFile, error) {
	var out []iceberg.ManifestFile
	for len(w.added)+len(w.removed)+len(w.existing) > 0 {
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

func (w *manifests) manifest(existing []iceberg.ManifestEntry) (out iceberg.ManifestFile, err error) {
	at := w.io.Location(filepath.Join(w.folder, fmt.Sprintf("%s-m%d.avro", w.mark, w.written)))
	w.written++
	err = writeFile(w.io, at, func(to io.Writer) error {
		counted := &counter{w: to}
		mw, err := iceberg.NewManifestWriter(w.meta.Version(), counted, w.meta.PartitionSpec(), w.schema, w.snapshot)
		if err != nil {
			return err
		}
		for _, part := range []struct {
			entries []iceberg.ManifestEntry
			put     func(iceberg.ManifestEntry) error
		}{{w.added, mw.Add}, {existing, mw.Existing}, {w.removed, mw.Delete}} {
			for _, entry := range part.entries {
				if err := part.put(entry); err != nil {
					return errors.Join(err, mw.Close())
				}
			}
		}
		if err := mw.Close(); err != nil {
			return err
		}
		out, err = mw.ToManifestFile(at, counted.n)
		return err
	})
	return out, err
}

// writeFile writes a file of a table; its name is durable with the next commit.
func writeFile(files *catalog.FileIO, location string, write func(io.Writer) error) error {
	w, err := files.Create(location)
	if err != nil {
		return err
	}
	return errors.Join(write(w), w.Close())
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
