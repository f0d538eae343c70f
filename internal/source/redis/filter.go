package redis

import (
	"slices"
	"strings"

	"firth/internal/document"
)

// filter says which fields leave the source, by dotted paths.
type filter struct {
	columns []string // nil: all
	exclude []string
}

func newFilter(columns, exclude []string) filter { return filter{columns: columns, exclude: exclude} }

// only narrows it to some paths; nil: none are left out.
func (f filter) only(paths []string) filter {
	if paths != nil {
		f.columns = paths
	}
	return f
}

func (f *filter) all() bool { return f.columns == nil && f.exclude == nil }

// wants reports whether anything at or below a path is wanted; whole: all of it.
func (f *filter) wants(path string) (wanted, whole bool) {
	if slices.Contains(f.exclude, path) {
		return false, false
	}
	whole = !slices.ContainsFunc(f.exclude, func(e string) bool { return below(e, path) })
	if f.columns == nil {
		return true, whole
	}
	for _, c := range f.columns {
		switch {
		case c == path || below(path, c):
			return true, whole
		case below(c, path):
			wanted = true
		}
	}
	return wanted, false
}

// below reports whether a path is that of a field inside of an object.
func below(path, object string) bool {
	return len(path) > len(object) && path[len(object)] == '.' && strings.HasPrefix(path, object)
}

// prune takes the fields away that are not wanted, in place.
func (f *filter) prune(fields []document.Field, prefix string) []document.Field {
	out := fields[:0]
	for _, x := range fields {
		path := prefix + escape(x.Name)
		wanted, whole := f.wants(path)
		if !wanted {
			continue
		}
		if !whole && x.Value.Kind == document.Object {
			x.Value.Fields = f.prune(x.Value.Fields, path+".")
		}
		out = append(out, x)
	}
	return out
}

// flat are the columns where each is the name of a field of a hash by itself: they are asked for alone. Nil: all are.
func (f *filter) flat(except ...string) []string {
	var out []string
	for _, c := range f.columns {
		if !slices.Contains(except, c) && !slices.Contains(f.exclude, c) {
			out = append(out, unescape(c))
		}
	}
	return out
}

// escape is a name as the part of a path: a dot of its own has a backslash before it.
func escape(name string) string {
	if !strings.ContainsAny(name, `.\`) {
		return name
	}
	return strings.NewReplacer(`\`, `\\`, `.`, `\.`).Replace(name)
}

// unescape is the name that a path of one part stands for.
func unescape(path string) string {
	if !strings.Contains(path, `\`) {
		return path
	}
	return strings.NewReplacer(`\\`, `\`, `\.`, `.`).Replace(path)
}
