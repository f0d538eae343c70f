package event

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"firth/internal/name"
	"firth/internal/table"
)

// overflow gathers what a row has no column for: a JSON object from original path to value, as it came.
type overflow struct {
	nodes  []*pathNode
	raws   []string
	places map[*pathNode]int
}

func (o *overflow) reset() {
	o.nodes, o.raws = o.nodes[:0], o.raws[:0]
	clear(o.places)
}

// add puts a value in, in the place of an earlier one of the same path.
func (o *overflow) add(n *pathNode, raw string) {
	if o.places == nil {
		o.places = make(map[*pathNode]int)
	}
	if at, ok := o.places[n]; ok {
		o.raws[at] = raw
		return
	}
	o.places[n] = len(o.nodes)
	o.nodes, o.raws = append(o.nodes, n), append(o.raws, raw)
}

// text is the JSON object; empty when there is nothing.
func (o *overflow) text() string {
	var text string
	for i, n := range o.nodes {
		text = withMember(text, n.path, compactJSON(o.raws[i]))
	}
	return text
}

// withMember returns a JSON object with one more member; the object may be empty text.
func withMember(object, key, raw string) string {
	b := make([]byte, 0, len(object)+len(key)+len(raw)+6)
	if object == "" {
		b = append(b, '{')
	} else {
		b = append(b, strings.TrimSuffix(object, "}")...)
		b = append(b, ',')
	}
	// The error can only be of text that is not UTF-8; U+FFFD is appended in its place all the same.
	b, _ = jsontext.AppendQuote(b, key)
	b = append(b, ':')
	b = append(b, raw...)
	return string(append(b, '}'))
}

// overflowAt is the place of the overflow column, which is made when it is first needed.
func (t *shapeTable) overflowAt(r name.Rules) int32 {
	if t.overflow < 0 {
		t.overflow = t.add(table.Column{Name: r.Standard(overflowColumn), Type: table.String}, true)
	}
	return t.overflow
}
