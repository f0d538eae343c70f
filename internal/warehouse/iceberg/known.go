package iceberg

import (
	"sync"

	"github.com/apache/iceberg-go"
)

// knownBytes bounds what is kept of manifests, about.
const knownBytes = 16 << 20

// known keeps the live entries of manifests that were read lately: a manifest never changes, and each load reads all of its tables'. It is safe
// for use by several goroutines.
type known struct {
	mu    sync.Mutex
	of    map[string]readManifest // by location
	bytes int
}

type readManifest struct {
	entries []iceberg.ManifestEntry
	bytes   int
}

// entries are the live entries of a manifest, which are for reading only.
func (d *DB) entries(s *space, mf iceberg.ManifestFile) ([]iceberg.ManifestEntry, error) {
	d.known.mu.Lock()
	r, ok := d.known.of[mf.FilePath()]
	d.known.mu.Unlock()
	if ok {
		return r.entries, nil
	}
	for entry, err := range mf.Entries(s.io, true) {
		if err != nil {
			return nil, err
		}
		r.entries = append(r.entries, entry)
		r.bytes += weight(entry.DataFile())
	}
	d.known.keep(mf.FilePath(), r)
	return r.entries, nil
}

func (k *known) keep(at string, r readManifest) {
	if r.bytes > knownBytes/2 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of == nil {
		k.of = map[string]readManifest{}
	}
	if _, ok := k.of[at]; ok {
		return
	}
	k.of[at] = r
	k.bytes += r.bytes
	for at, old := range k.of { // in no order: what is needed again is read again
		if k.bytes <= knownBytes {
			break
		}
		delete(k.of, at)
		k.bytes -= old.bytes
	}
}

// weight is about what an entry takes in memory.
func weight(f iceberg.DataFile) int {
	n := 1 << 10
	for _, bounds := range []map[int][]byte{f.LowerBoundValues(), f.UpperBoundValues()} {
		for _, b := range bounds {
			n += 96 + len(b)
		}
	}
	return n + 3*48*len(f.ColumnSizes())
}
