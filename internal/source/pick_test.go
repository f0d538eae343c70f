package source_test

import (
	"testing"

	"firth/internal/document"
	"firth/internal/source"
)

// sketch is a document of nested objects: a name, or a name with what is below it.
type sketch struct {
	name  string
	below []sketch
	array bool
}

func draw(s []sketch) document.Value {
	v := document.Value{Kind: document.Object}
	for _, f := range s {
		value := document.Value{Kind: document.Int64, Num: 1}
		if f.below != nil {
			value = draw(f.below)
		}
		if f.array {
			value = document.Value{Kind: document.Array, Items: []document.Value{value, draw(f.below)}}
		}
		v.Fields = append(v.Fields, document.Field{Name: f.name, Value: value})
	}
	return v
}

func outline(v *document.Value) string {
	switch v.Kind {
	case document.Array:
		out := "["
		for i := range v.Items {
			out += outline(&v.Items[i])
		}
		return out + "]"
	case document.Object:
		out := "{"
		for i := range v.Fields {
			out += v.Fields[i].Name + outline(&v.Fields[i].Value) + " "
		}
		return out + "}"
	}
	return ""
}

func TestPick(t *testing.T) {
	leaf := func(names ...string) (out []sketch) {
		for _, n := range names {
			out = append(out, sketch{name: n})
		}
		return out
	}
	for _, tt := range []struct {
		columns, exclude, always []string
		want                     string
	}{
		{nil, nil, nil, "{id a{b c{d e } } list[{x y }{x y }] }"},
		{[]string{"id"}, nil, nil, "{id }"},
		{[]string{"a.c"}, nil, []string{"id"}, "{id a{c{d e } } }"},
		{[]string{"a", "a.c.d"}, nil, nil, "{a{b c{d e } } }"},
		{[]string{"a.c.d", "a"}, nil, nil, "{a{b c{d e } } }"},
		{[]string{"a"}, []string{"a.c.e"}, nil, "{a{b c{d } } }"},
		{nil, []string{"a.c", "list.x"}, nil, "{id a{b } list[{y }{y }] }"},
		{[]string{"list.x"}, nil, nil, "{list[{x }{x }] }"},
		{nil, []string{"id", "a"}, []string{"id"}, "{id list[{x y }{x y }] }"},
		{[]string{"none"}, nil, nil, "{}"},
	} {
		d := draw([]sketch{{name: "id"}, {name: "a", below: []sketch{{name: "b"}, {name: "c", below: leaf("d", "e")}}}, {name: "list", below: leaf("x", "y"), array: true}})
		source.NewPick(tt.columns, tt.exclude, tt.always...).Apply(&d)
		if got := outline(&d); got != tt.want {
			t.Errorf("columns %v, exclude %v: %s, want %s", tt.columns, tt.exclude, got, tt.want)
		}
	}
}
