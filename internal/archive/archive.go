// Package archive reads what Segment's and RudderStack's object storage destinations wrote: folders of files with a call a line, packed by
// gzip or zstd or not at all, below a folder or the prefix of an object store, at any depth.
//
// The layouts are those of https://segment.com/docs/connections/storage/catalog/aws-s3/ (segment-logs/<source id>/<day in Unix
// milliseconds>/*.gz) and https://www.rudderstack.com/docs/destinations/streaming-destinations/amazon-s3/
// (rudder-logs/<source id>/<YYYY-MM-DD>/*.json.gz, earlier <MM-DD-YYYY>); what lies otherwise is read all the same, in the order of names.
package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"firth/internal/object"
)

// NoDay is the day of a file whose place does not say when its events were received.
const NoDay = math.MinInt64

// ErrNothing says that there is no file in the place.
var ErrNothing = errors.New("there is no file in it")

// File is one file of an archive.
type File struct {
	Name string // below the archive's place, with slashes
	Size int64  // bytes, packed
	Day  int64  // when its events were received, by its place: the beginning of a day in Unix microseconds, or NoDay
	tag  string // of its content
}

// Archive is the files of a place as they were listed. Walk serves one caller at a time, all else is safe for concurrent use.
type Archive struct {
	// Thread, when set, is run as the goroutine that unpacks, and gives it its thread.
	Thread func(run func())

	place string
	files []File
	open  func(ctx context.Context, f File) (io.ReadCloser, error)
	size  func(f File) (int64, error) // now; nil: files there never change
	read  atomic.Int64
}

// Open lists a folder, a single file, or s3://bucket/prefix?endpoint=... (see [object.Open]). Hidden files are left out.
func Open(ctx context.Context, where string) (*Archive, error) {
	var a *Archive
	var err error
	if strings.HasPrefix(where, "s3://") {
		a, err = openStore(ctx, where)
	} else {
		a, err = openFolder(where)
	}
	if err != nil {
		return nil, fmt.Errorf("list archive: %w", err)
	}
	if len(a.files) == 0 {
		return nil, fmt.Errorf("list archive %s: %w", a.place, ErrNothing)
	}
	for i := range a.files {
		a.files[i].Day = dayOf(a.files[i].Name)
	}
	slices.SortFunc(a.files, func(x, y File) int { return cmp.Or(cmp.Compare(x.Day, y.Day), cmp.Compare(x.Name, y.Name)) })
	return a, nil
}

// Only returns the archive without the files that keep does not want.
func (a *Archive) Only(keep func(File) bool) *Archive {
	own := &Archive{Thread: a.Thread, place: a.place, open: a.open, size: a.size}
	for _, f := range a.files {
		if keep(f) {
			own.files = append(own.files, f)
		}
	}
	return own
}

func openFolder(where string) (*Archive, error) {
	root, err := filepath.Abs(where)
	if err != nil {
		return nil, err
	}
	a := &Archive{place: root}
	at := func(f File) string { return filepath.Join(root, filepath.FromSlash(f.Name)) }
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		root = filepath.Dir(root)
	}
	a.open = func(_ context.Context, f File) (io.ReadCloser, error) { return os.Open(at(f)) }
	a.size = func(f File) (int64, error) {
		info, err := os.Stat(at(f))
		if err != nil {
			return 0, err
		}
		return info.Size(), nil
	}
	err = filepath.WalkDir(a.place, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), ".") && path != a.place {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := os.Stat(path) // what a link leads to
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f := File{Name: filepath.ToSlash(name), Size: info.Size()}
		if f.tag, err = tagOf(path, f.Size); err != nil {
			return err
		}
		a.files = append(a.files, f)
		return nil
	})
	return a, err
}

// tagBytes is how much of either end of a file its tag is made from; a gzip stream ends with a checksum of all of it.
const tagBytes = 512

// tagOf tells files of one size apart by their ends.
func tagOf(path string, size int64) (_ string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	for _, at := range [...]int64{0, max(0, size-tagBytes)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, at, min(tagBytes, size))); err != nil {
			return "", err
		}
	}
	return string(h.Sum(nil)), nil
}

func openStore(ctx context.Context, where string) (*Archive, error) {
	store, err := object.Open(ctx, where)
	if err != nil {
		return nil, err
	}
	a := &Archive{place: store.String()}
	a.open = func(ctx context.Context, f File) (io.ReadCloser, error) { return openObject(ctx, store, f) }
	for o, err := range store.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if base := o.Key[strings.LastIndexByte(o.Key, '/')+1:]; base == "" || strings.HasPrefix(base, ".") {
			continue
		}
		a.files = append(a.files, File{Name: o.Key, Size: o.Size, tag: o.Modified.UTC().Format(time.RFC3339)})
	}
	return a, nil
}

// Identity tells archives apart: by names, sizes and ends of their files, wherever they lie.
func (a *Archive) Identity() []byte {
	h := sha256.New()
	for _, f := range a.files {
		fmt.Fprintf(h, "%d %s %d %x\n", len(f.Name), f.Name, f.Size, f.tag)
	}
	return h.Sum(nil)
}

// Place is where the files lie, without parameters.
func (a *Archive) Place() string { return a.place }

// List returns the files, in their order. It is not to be changed.
func (a *Archive) List() []File { return a.files }

// Files is how many files there are.
func (a *Archive) Files() int { return len(a.files) }

// Name is the name of a file.
func (a *Archive) Name(i int) string { return a.files[i].Name }

// Day is the day of a file, or [NoDay].
func (a *Archive) Day(i int) int64 { return a.files[i].Day }

// Bytes is the size of all files.
func (a *Archive) Bytes() (n int64) {
	for _, f := range a.files {
		n += f.Size
	}
	return n
}

// Read is how much of them has been read.
func (a *Archive) Read() int64 { return a.read.Load() }
