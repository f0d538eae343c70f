package disk

import "context"

// Fetcher is an FS whose files need not be on this machine's disk. A program that opens files by name itself, as an SQL engine does, asks
// for them first.
type Fetcher interface {
	// Fetch brings files here, each whole, and returns for each the path on local disk under which it can be opened until release is called,
	// whatever is evicted or removed meanwhile. A file that does not exist is fs.ErrNotExist, and none is held then.
	Fetch(ctx context.Context, paths []string) (local []string, release func(), err error)
	// Near reports whether all files were here a moment ago, so that fetching them costs next to nothing.
	Near(paths []string) bool
}

// Fetch is [Fetcher] for any FS: the files of one that is no Fetcher are where they are.
func Fetch(ctx context.Context, fsys FS, paths []string) (local []string, release func(), err error) {
	if f, ok := fsys.(Fetcher); ok {
		return f.Fetch(ctx, paths)
	}
	return paths, func() {}, nil
}

// Near is [Fetcher.Near] for any FS.
func Near(fsys FS, paths []string) bool {
	f, ok := fsys.(Fetcher)
	return !ok || f.Near(paths)
}
