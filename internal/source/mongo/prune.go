package mongo

import (
	"slices"
	"strings"

	"firth/internal/document"
)

// pruner drops what is not wanted of a document that has come: what the server could not be asked to leave out, and fields whose own
// name has a dot, which a projection does not reach. The nil *pruner drops nothing.
type pruner struct {
	include *branch // nil: everything
	exclude *branch
	drop    bool // _id
}

// branch is the paths that begin alike.
type branch struct {
	leaf bool
	next map[string]*branch
}

func (w wanted) pruner() *pruner {
	if w.all && len(w.exclude) == 0 {
		return nil
	}
	p := &pruner{drop: w.drop}
	if !w.all {
		p.include = branches(w.include)
	}
	if len(w.exclude) > 0 {
		p.exclude = branches(w.exclude)
	}
	return p
}

func branches(paths []string) *branch {
	root := &branch{}
	for _, path := range paths {
		b := root
		for part := range strings.SplitSeq(path, ".") {
			if b.next == nil {
				b.next = map[string]*branch{}
			}
			if b.next[part] == nil {
				b.next[part] = &branch{}
			}
			b = b.next[part]
		}
		b.leaf = true
	}
	return root
}

// step follows a field's name, which may have dots itself. It is nil where no path goes on so.
func (b *branch) step(name string) *branch {
	if next := b.next[name]; next != nil || !strings.Contains(name, ".") {
		return next
	}
	for part := range strings.SplitSeq(name, ".") {
		if b = b.next[part]; b == nil || b.leaf {
			return b
		}
	}
	return b
}

// document drops fields in place.
func (p *pruner) document(v *document.Value) {
	if p == nil {
		return
	}
	if p.drop {
		v.Fields = slices.DeleteFunc(v.Fields, func(f document.Field) bool { return f.Name == "_id" })
	}
	if p.include != nil {
		keep(v, p.include)
	}
	if p.exclude != nil {
		leaveOut(v, p.exclude)
	}
}

// keep drops what no path leads to. Of a value that a path goes through but that is no object or array nothing is kept, as a server
// does it.
func keep(v *document.Value, b *branch) {
	fields := v.Fields[:0]
	for _, f := range v.Fields {
		next := b.step(f.Name)
		switch {
		case next == nil:
			continue
		case next.leaf:
		case f.Value.Kind == document.Object:
			keep(&f.Value, next)
		case f.Value.Kind == document.Array:
			keepItems(&f.Value, next)
		default:
			continue
		}
		fields = append(fields, f)
	}
	v.Fields = fields
}

func keepItems(v *document.Value, b *branch) {
	items := v.Items[:0]
	for _, item := range v.Items {
		switch item.Kind {
		case document.Object:
			keep(&item, b)
		case document.Array:
			keepItems(&item, b)
		default:
			continue
		}
		items = append(items, item)
	}
	v.Items = items
}

// leaveOut drops what a path leads to.
func leaveOut(v *document.Value, b *branch) {
	if v.Kind == document.Array {
		for i := range v.Items {
			leaveOut(&v.Items[i], b)
		}
		return
	}
	if v.Kind != document.Object {
		return
	}
	fields := v.Fields[:0]
	for _, f := range v.Fields {
		if next := b.step(f.Name); next != nil {
			if next.leaf {
				continue
			}
			leaveOut(&f.Value, next)
		}
		fields = append(fields, f)
	}
	v.Fields = fields
}
