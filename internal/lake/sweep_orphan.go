package lake

import (
	"context"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unique"
)

// An orphan is a file that another engine wrote into a table's folder for a commit that was refused: the catalog is read-only, but an engine whose
// keys or rights let it write has written its files by then. It is told by its name, which is none that Firth gives, by its ending, which only
// the files of Iceberg's tables have, and by that nothing names it.

// orphanName matches what Spark, Trino, PyIceberg and DuckDB leave below data and metadata: data and delete files, deletion vectors, statistics,
// manifests and metadata, and Hadoop's checksum beside each of them on a local disk.
var orphanName = regexp.MustCompile(`^[^.].*\.(parquet|orc|avro|puffin|stats|metadata\.json(\.gz)?)$`)

func isOrphan(e fs.DirEntry) bool {
	if !e.Type().IsRegular() {
		return false
	}
	name := e.Name()
	if strings.HasPrefix(name, ".") && strings.HasSuffix(name, ".crc") {
		name = strings.TrimSuffix(name[1:], ".crc")
		if dataName.MatchString(name) || metadataName.MatchString(name) {
			return true // of a manifest whose name is as Firth's are
		}
	}
	return orphanName.MatchString(name)
}

// deepest is how many folders of other engines within one another are looked into.
const deepest = 8

// strange lists a folder below data that is none of Firth's days: of a path that is relative to the folder of all tables. One with a name that
// begins with a dot, such as the snapshots of some file servers, is somebody else's.
func (out *listing) strange(l *Lake, at string, depth int) error {
	if depth == deepest || strings.HasPrefix(path.Base(at), ".") {
		out.foreign++
		return nil
	}
	list, err := out.read(l, filepath.FromSlash(at))
	if err != nil {
		return err
	}
	dir := filepath.Join(l.o.Dir, filepath.FromSlash(at))
	out.days[dir] = nil
	for _, e := range list {
		switch {
		case e.IsDir():
			if err := out.strange(l, at+"/"+e.Name(), depth+1); err != nil {
				return err
			}
		default:
			out.other(dir, at, e)
		}
	}
	return nil
}

// other notes a file that is not named as Firth names files: in a folder below data, whose path is dir, or in another.
func (out *listing) other(dir, at string, e fs.DirEntry) {
	if !isOrphan(e) {
		out.foreign++
		out.mixed[dir] = true
		return
	}
	n := unique.Make(at + "/" + e.Name())
	out.files[n] = e
	out.orphans[n] = true
	if _, ok := out.days[dir]; ok {
		out.days[dir] = append(out.days[dir], n)
	}
}

// spare takes the orphans out of a listing where a table of another name has its metadata in the folder: what its rows name is not known here.
func (t *Tender) spare(ctx context.Context, table string, files *listing) error {
	if len(files.orphans) == 0 {
		return nil
	}
	shared, err := t.shared(ctx, table)
	if err != nil || !shared {
		return err
	}
	for n := range files.orphans {
		delete(files.files, n)
		files.foreign++
		files.mixed[filepath.Dir(t.path(n))] = true
	}
	clear(files.orphans)
	return nil
}

// shared says whether a row of the catalog other than the table's own names metadata in its folder.
func (t *Tender) shared(ctx context.Context, table string) (bool, error) {
	c := t.l.catalog
	names, err := c.Namespaces(ctx)
	if err != nil {
		return false, err
	}
	folder := filepath.Join(filepath.Clean(t.l.o.Dir), table) + string(filepath.Separator)
	for _, namespace := range names {
		space := c
		if namespace != c.Namespace() {
			if space, err = c.Space(ctx, namespace, c.IO(), 0); err != nil {
				return false, err
			}
		}
		rows, err := space.Tables(ctx)
		if err != nil {
			return false, err
		}
		for name, location := range rows {
			if namespace == c.Namespace() && name == table {
				continue
			}
			if at, err := c.IO().Path(location); err == nil && strings.HasPrefix(at, folder) {
				return true, nil
			}
		}
	}
	return false, nil
}

// grace is how long a dead file stays.
func (t *Tender) grace(c corpse) time.Duration {
	if c.orphan {
		return t.o.Orphans
	}
	return t.o.Grace
}
