package source

import (
	"slices"
	"strings"

	"firth/internal/document"
)

// Pick chooses which fields of documents are handed out. It is for sources that cannot leave fields out by themselves.
type Pick struct {
	keep, drop *branch
}

// branch is a set of dotted paths as a tree; one without children means all below it.
type branch struct{ below map[string]*branch }

func tree(paths []string) *branch {
	if len(paths) == 0 {
		return nil
	}
	root := &branch{}
	for _, p := range paths {
		at := root
		steps := strings.Split(p, ".")
		for i, step := range steps {
			if at.below == nil {
				at.below = map[string]*branch{}
			}
			next := at.below[step]
			if next == nil {
				next = &branch{}
				at.below[step] = next
			} else if next.below == nil {
				break // all of it is meant already
			}
			if i == len(steps)-1 {
				next.below = nil
			}
			at = next
		}
	}
	return root
}

// NewPick makes a choice of the paths in columns, none: all, without those in exclude. The paths in always are kept whatever else is said.
func NewPick(columns, exclude []string, always ...string) *Pick {
	p := &Pick{}
	if len(columns) > 0 {
		p.keep = tree(slices.Concat(columns, always))
	}
	p.drop = tree(slices.DeleteFunc(slices.Clone(exclude), func(path string) bool { return slices.Contains(always, path) }))
	return p
}

// Apply takes what is not wanted out of a document, also out of the objects within its arrays. The slices of fields are changed.
func (p *Pick) Apply(d *document.Value) { prune(d, p.keep, p.drop) }

func prune(v *document.Value, keep, drop *branch) {
	if keep == nil && drop == nil {
		return
	}
	if v.Kind == document.Array {
		for i := range v.Items {
			prune(&v.Items[i], keep, drop)
		}
		return
	}
	if v.Kind != document.Object {
		return
	}
	kept := v.Fields[:0]
	for i := range v.Fields {
		f := &v.Fields[i]
		within, without, wanted := step(f.Name, keep, drop)
		if !wanted {
			continue
		}
		prune(&f.Value, within, without)
		kept = append(kept, *f)
	}
	clear(v.Fields[len(kept):])
	v.Fields = kept
}

// step follows a field's name down both trees; wanted: at least a part of the field is.
func step(name string, keep, drop *branch) (within, without *branch, wanted bool) {
	if keep != nil {
		within = keep.below[name]
		if within == nil {
			return nil, nil, false
		}
		if within.below == nil {
			within = nil
		}
	}
	if drop != nil {
		without = drop.below[name]
		if without != nil && without.below == nil {
			return nil, nil, false
		}
	}
	return within, without, true
}
