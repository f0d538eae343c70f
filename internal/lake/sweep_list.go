package lake

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unique"
)

// listing is what lies in a table's folder.
type listing struct {
	files   map[fileName]fs.DirEntry // named as Firth and the library name files, and orphans
	orphans map[fileName]bool        // those of files that another engine wrote
	days    map[string][]fileName    // folder of a day, or of another engine, as a path: its files
	mixed   map[string]bool          // those with something else in them
	foreign int64                    // everything else

	tree map[string][]fs.DirEntry // the folders by path, where they were all listed at once
}

// Names of files in a table's two folders. What bears another name is somebody else's.
var (
	dataName     = regexp.MustCompile(`^[0-9a-f]{16}-[0-9a-f]{16}(-[0-9a-f]{8}-[0-9a-f]{8})?\.parquet(\.tmp)?$`)
	metadataName = regexp.MustCompile(`^(\d{5,}-` + uuidText + `(\.gz)?\.metadata\.json|` + uuidText + `-m\d+\.avro|snap-\d+-\d+-` + uuidText + `\.avro)(\.tmp)?$`)
	dayName      = regexp.MustCompile(`^[a-z_]+=(\d{4,}-\d{2}-\d{2})$`)
)

const uuidText = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`

// forest is a file system in which folders are only names, and which lists all files below one in a few requests.
type forest interface {
	// Tree lists a folder and all folders below it, each by its absolute path.
	Tree(dir string) (map[string][]fs.DirEntry, error)
}

// listTable reads the folders of a table. Any error means that nothing is known; a folder that is missing is empty.
func listTable(l *Lake, table string) (*listing, error) {
	out := &listing{files: map[fileName]fs.DirEntry{}, orphans: map[fileName]bool{}, days: map[string][]fileName{}, mixed: map[string]bool{}}
	if far, ok := l.o.FS.(forest); ok {
		var err error
		if out.tree, err = far.Tree(filepath.Join(l.o.Dir, table)); err != nil {
			return nil, fmt.Errorf("list table %s: %w", table, err)
		}
	}
	top, err := out.read(l, table)
	if err != nil {
		return nil, err
	}
	for _, e := range top {
		if !e.IsDir() || e.Name() != "data" && e.Name() != "metadata" {
			out.foreign++
		}
	}
	metadata, err := out.read(l, table, "metadata")
	if err != nil {
		return nil, err
	}
	for _, e := range metadata {
		if e.Type().IsRegular() && metadataName.MatchString(e.Name()) {
			out.files[unique.Make(table+"/metadata/"+e.Name())] = e
		} else {
			out.other("", table+"/metadata", e)
		}
	}
	days, err := out.read(l, table, "data")
	if err != nil {
		return nil, err
	}
	for _, day := range days {
		switch {
		case !day.IsDir():
			out.other("", table+"/data", day)
		case isDay(day.Name()):
			err = out.day(l, table, day.Name())
		default:
			err = out.strange(l, table+"/data/"+day.Name(), 1)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (out *listing) day(l *Lake, table, day string) error {
	list, err := out.read(l, table, "data", day)
	if err != nil {
		return err
	}
	dir := filepath.Join(l.o.Dir, table, "data", day)
	out.days[dir] = nil
	for _, e := range list {
		if !e.Type().IsRegular() || !dataName.MatchString(e.Name()) {
			out.other(dir, table+"/data/"+day, e)
			continue
		}
		n := unique.Make(table + "/data/" + day + "/" + e.Name())
		out.files[n] = e
		out.days[dir] = append(out.days[dir], n)
	}
	return nil
}

func (out *listing) read(l *Lake, path ...string) ([]fs.DirEntry, error) {
	dir := filepath.Join(l.o.Dir, filepath.Join(path...))
	if out.tree != nil {
		return out.tree[dir], nil
	}
	list, err := l.o.FS.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	return list, nil
}

func isDay(name string) bool {
	m := dayName.FindStringSubmatch(name)
	if m == nil {
		return false
	}
	_, err := time.Parse(time.DateOnly, m[1])
	return err == nil
}

func isData(n fileName) bool {
	return strings.HasSuffix(n.Value(), parquetExt) || strings.HasSuffix(n.Value(), parquetExt+tmpExt)
}
