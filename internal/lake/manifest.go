package lake

import (
	"errors"
	"io"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"firth/internal/lake/catalog"
)

// manifestParts are what a manifest says of files, by their status.
type manifestParts struct{ added, existing, removed []iceberg.ManifestEntry }

// writeManifest writes a manifest of a table's snapshot and describes it for the snapshot's list.
func writeManifest(
	files *catalog.FileIO, at string, m table.Metadata, spec iceberg.PartitionSpec, snapshot int64, e manifestParts,
) (out iceberg.ManifestFile, err error) {
	err = writeFileTo(files, at, func(to io.Writer) error {
		counted := &counter{w: to}
		mw, err := iceberg.NewManifestWriter(m.Version(), counted, spec, m.CurrentSchema(), snapshot)
		if err != nil {
			return err
		}
		for _, part := range []struct {
			entries []iceberg.ManifestEntry
			put     func(iceberg.ManifestEntry) error
		}{{e.added, mw.Add}, {e.existing, mw.Existing}, {e.removed, mw.Delete}} {
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

// writeFileTo writes a file of the lake's metadata; its name is durable after the next Settle.
func writeFileTo(io *catalog.FileIO, location string, write func(io.Writer) error) error {
	w, err := io.Create(location)
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
