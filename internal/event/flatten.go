package event

import (
	"firth/internal/table"
)

// pathNode is a place in the documents of one kind: the root or a key below a node. It is the unit that columns are cached by.
type pathNode struct {
	path     string // properties, properties.fooBar, context.app.version; keys are joined with dots
	id       int32  // counts from 0 within its tree
	children map[string]*pathNode
}

// pathTree holds the paths that documents of one kind have shown. It is a cache: it may be cleared between two calls.
type pathTree struct {
	root  *pathNode
	nodes int32
	era   int // grows when the tree is cleared: ids of another era mean nothing
	bytes *int
}

// nodeBytes is about what a node costs beside its path.
const nodeBytes = 200

func newPathTree(root string, bytes *int) *pathTree {
	t := &pathTree{bytes: bytes}
	t.root = t.node(root)
	return t
}

func (t *pathTree) node(path string) *pathNode {
	n := &pathNode{path: path, id: t.nodes}
	t.nodes++
	*t.bytes += nodeBytes + 2*len(path)
	return n
}

// clear forgets all paths but the root.
func (t *pathTree) clear() {
	root := t.root.path
	t.nodes, t.era = 0, t.era+1
	t.root = t.node(root)
}

// leaf is one value of a flattened document: a scalar that is not null, an array, or an object beyond the depth cap.
type leaf struct {
	node  *pathNode
	value table.Value
	raw   string // the JSON text as it came
	exact bool   // the column holds all of it, see table.Value.Exact
}

// flattener reads JSON documents into leaves, each in one pass over its tokens.
type flattener struct {
	w         walker
	text      string // the document
	tree      *pathTree
	leaves    []leaf
	maxDepth  int
	dropEmpty bool // leave out empty strings
}

// run appends the leaves of a document to dst, in document order. A document that is not an object is itself a leaf, at the root;
// an absent one and null have none. Of a document that is not JSON the leaves are those before the fault. Strings of the leaves
// are their own copy; nodes are good until the tree is cleared.
func (f *flattener) run(dst []leaf, doc []byte, tree *pathTree) ([]leaf, error) {
	if len(doc) == 0 {
		return dst, nil
	}
	f.text, f.tree, f.leaves = string(doc), tree, dst
	f.w.reset(doc, true)
	err := f.value(tree.root, 0)
	dst = f.leaves
	f.text, f.leaves = "", nil
	f.w.release()
	return dst, err
}

// value reads what stands at a node; depth is the number of keys that lead to it.
func (f *flattener) value(n *pathNode, depth int) error {
	kind := f.w.dec.PeekKind()
	if kind == '{' && depth < f.maxDepth {
		return f.object(n, depth)
	}
	v, err := f.w.dec.ReadValue()
	if err != nil {
		return err
	}
	end := f.w.offset()
	raw := f.text[end-len(v) : end]
	l := leaf{node: n, raw: raw, exact: true}
	switch kind {
	case 'n':
		return nil
	case 't', 'f':
		l.value = table.Bool(kind == 't')
	case '0':
		l.value = table.Number(raw)
		l.exact = l.value.Exact()
	case '"':
		l.value, l.exact = stringValue(raw)
		if f.dropEmpty && l.value.Text == "" {
			return nil
		}
	default:
		l.value = table.Text(compactJSON(raw))
	}
	f.leaves = append(f.leaves, l)
	return nil
}

func (f *flattener) object(n *pathNode, depth int) error {
	dec := &f.w.dec
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		key, err := f.w.name()
		if err != nil {
			return err
		}
		child, ok := n.children[string(key)]
		if !ok {
			child = f.child(n, string(key))
		}
		if err := f.value(child, depth+1); err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

func (f *flattener) child(n *pathNode, key string) *pathNode {
	if n.children == nil {
		n.children = make(map[string]*pathNode)
	}
	child := f.tree.node(n.path + "." + key)
	n.children[key] = child
	return child
}

// stringValue is the value of a JSON string.
func stringValue(raw string) (v table.Value, exact bool) {
	text := raw[1 : len(raw)-1]
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			text = string(appendUnquoted(nil, []byte(raw)))
			break
		}
	}
	if us, exact, ok := table.ParseTimestamp(text); ok {
		return table.Value{Type: table.Timestamp, Bits: uint64(us), Text: text}, exact
	}
	return table.Text(text), true
}

// compactJSON leaves out the white space between the tokens of a JSON text; strings and numbers stay as they came.
func compactJSON(raw string) string {
	var out []byte
	inString, from := false, 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\\' && inString:
			i++
		case c == '"':
			inString = !inString
		case !inString && isSpace(c):
			out = append(out, raw[from:i]...)
			from = i + 1
		}
	}
	if from == 0 {
		return raw
	}
	return string(append(out, raw[from:]...))
}
