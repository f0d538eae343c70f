package infer

import (
	"strings"

	"firth/internal/vector"
)

// Names of the fields that an element of an array gets besides its own. None can be a field of MongoDB.
const (
	itemParent  = "$parent"
	itemOrdinal = "$ordinal"
	itemValue   = "$value"
)

// itemStep is the filter within a field of an element.
func itemStep(f filter, name string) (within filter, wanted bool) {
	switch {
	case name == itemValue:
		return f, true
	case name == itemOrdinal || strings.HasPrefix(name, itemParent):
		return filter{}, true
	}
	return f.step(name)
}

// below are the options for the elements of an array: what is said of paths below it.
func (o *Options) below(path string) Options {
	prefix := path + "."
	out := Options{
		Depth: o.Depth, Threshold: o.Threshold, MaxColumns: o.MaxColumns, Lower: o.Lower, Lists: o.Lists, UUIDSubtype3: o.UUIDSubtype3,
		Key: o.keys(), Overrides: map[string]Override{},
	}
	for p, v := range o.Overrides {
		if rest, ok := strings.CutPrefix(p, prefix); ok {
			v.Arrays = ""
			out.Overrides[rest] = v
		}
	}
	return out
}

// keys are the paths that identify a document.
func (o *Options) keys() []string {
	if len(o.Key) > 0 {
		return o.Key
	}
	return []string{"_id"}
}

// child plans the table of an array.
func (d *draft) child(n *node) {
	p := n.table.Plan()
	c := newDraft(&Plan{Columns: []vector.Column{}, Fields: []Field{}}, &n.table.o)
	c.itemColumns(func(path string) vector.Type {
		for _, f := range d.plan.Fields {
			if f.Path == path && f.Own > 0 {
				return d.plan.Columns[f.Own-1].Type
			}
		}
		return vector.Type{Kind: vector.Text}
	})
	c.take(p)
	name, _ := NewNamer(d.o.Lower).Name(n.path)
	d.plan.Children = append(d.plan.Children, ChildPlan{Path: n.path, Name: name, Plan: c.plan})
}

// itemColumns are the first columns of the table: the document's key, and the place in the array from 1.
func (d *draft) itemColumns(keyType func(path string) vector.Type) {
	for _, key := range d.o.Key {
		f := Field{Path: JoinPath("", itemParent+key)}
		want := "_parent"
		if len(d.o.Key) > 1 {
			want += "_" + key
		}
		f.Own = d.add(f.Path, want, keyType(key))
		d.plan.Fields = append(d.plan.Fields, f)
	}
	f := Field{Path: itemOrdinal}
	f.Own = d.add(f.Path, "_ordinal", vector.Type{Kind: vector.Int, Bits: 64})
	d.plan.Fields = append(d.plan.Fields, f)
}

// take adds the columns and fields of a plan behind those that are there.
func (d *draft) take(p *Plan) {
	number := make([]int, len(p.Columns)+1)
	for i, c := range p.Columns {
		number[i+1] = d.add(c.Path, c.Name, c.Type)
	}
	for _, f := range p.Fields {
		f.Own, f.Nested, f.Order = number[f.Own], number[f.Nested], number[f.Order]
		d.plan.Fields = append(d.plan.Fields, f)
	}
	d.plan.Extra = number[p.Extra]
	d.plan.Collisions = append(d.plan.Collisions, p.Collisions...)
}
