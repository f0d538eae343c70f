package infer

import (
	"strings"

	"firth/internal/document"
)

// branch is a set of paths as a tree; one without children means all below it.
type branch struct{ below map[string]*branch }

func plant(paths []string) *branch {
	if len(paths) == 0 {
		return nil
	}
	root := &branch{below: map[string]*branch{}}
	for _, p := range paths {
		root.add(SplitPath(p))
	}
	return root
}

func (b *branch) add(parts []string) {
	for i, part := range parts {
		next := b.below[part]
		switch {
		case next == nil:
			next = &branch{below: map[string]*branch{}}
			b.below[part] = next
		case next.below == nil:
			return // all of it is in already
		}
		if i == len(parts)-1 {
			next.below = nil
		}
		b = next
	}
}

// filter says what of an object may leave: the zero filter all.
type filter struct {
	keep *branch // nil: all
	drop *branch // nil: nothing
}

func newFilter(o *Options) filter {
	f := filter{drop: plant(o.Exclude)}
	if len(o.Columns) > 0 {
		f.keep = plant(append(append([]string{}, o.Columns...), o.Key...))
	}
	return f
}

// all reports whether nothing is left out.
func (f filter) all() bool { return f.keep == nil && f.drop == nil }

// scalar reports whether a value without fields may leave: where only fields below are wanted, it may not.
func (f filter) scalar() bool { return f.keep == nil }

// wants reports whether a path may leave.
func (f filter) wants(parts []string) bool {
	for _, part := range parts {
		var wanted bool
		if f, wanted = f.step(part); !wanted {
			return false
		}
	}
	return f.scalar()
}

// step is the filter within a field. A dot in the field's own name is looked up as a step of a path, too, so that whatever the path of
// something secret is called, it stays out.
func (f filter) step(name string) (within filter, wanted bool) {
	within, wanted = f.one(name)
	if wanted && strings.Contains(name, ".") && f.drop != nil {
		d := filter{drop: f.drop}
		for part := range strings.SplitSeq(name, ".") {
			if d, wanted = d.one(part); !wanted {
				return filter{}, false
			}
		}
		if within.drop == nil {
			within.drop = d.drop
		}
	}
	return within, wanted
}

func (f filter) one(name string) (within filter, wanted bool) {
	if f.keep != nil {
		k := f.keep.below[name]
		if k == nil {
			return filter{}, false
		}
		if k.below != nil {
			within.keep = k
		}
	}
	if f.drop != nil {
		if d := f.drop.below[name]; d != nil {
			if d.below == nil {
				return filter{}, false
			}
			within.drop = d
		}
	}
	return within, true
}

// appendJSON is document.AppendJSON without what may not leave.
func (f filter) appendJSON(dst []byte, v *document.Value) []byte {
	switch {
	case f.all() || v.Kind != document.Object && v.Kind != document.Array:
		return document.AppendJSON(dst, v)
	case v.Kind == document.Array:
		dst = append(dst, '[')
		from := len(dst)
		for i := range v.Items {
			if k := v.Items[i].Kind; k != document.Object && k != document.Array && !f.scalar() {
				continue
			}
			if len(dst) > from {
				dst = append(dst, ',')
			}
			dst = f.appendJSON(dst, &v.Items[i])
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	from := len(dst)
	for i := range v.Fields {
		x := &v.Fields[i]
		within, wanted := f.step(x.Name)
		if !wanted || !within.scalar() && x.Value.Kind != document.Object && x.Value.Kind != document.Array {
			continue
		}
		if len(dst) > from {
			dst = append(dst, ',')
		}
		dst = append(document.AppendQuoted(dst, x.Name), ':')
		dst = within.appendJSON(dst, &x.Value)
	}
	return append(dst, '}')
}
