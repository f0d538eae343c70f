package config

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	spell "firth/internal/name"
)

// Fault is one thing wrong with the file.
type Fault struct {
	File string
	Line int // 1-based; 0 when no line is at fault
	Key  string
	Msg  string
}

// Error is file:line: key: message.
func (f *Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		b.WriteString(":" + strconv.Itoa(f.Line))
	}
	b.WriteString(": ")
	if f.Key != "" {
		b.WriteString(f.Key + ": ")
	}
	b.WriteString(f.Msg)
	return b.String()
}

// decoder walks the YAML tree beside the Go tree, so that every fault has its line.
type decoder struct {
	file   string
	faults []error
	lines  map[string]int
}

func (d *decoder) fault(line int, key, format string, args ...any) {
	d.faults = append(d.faults, &Fault{File: d.file, Line: line, Key: key, Msg: fmt.Sprintf(format, args...)})
}

func (d *decoder) err() error { return errors.Join(d.faults...) }

func (d *decoder) decode(text []byte, into *Config) {
	d.lines = map[string]int{}
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		msg, _, _ := strings.Cut(err.Error(), "\n")
		d.fault(0, "", "not valid YAML: %s", msg)
		return
	}
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			d.fault(line(doc.Body), "", "only one YAML document is read: remove the second")
			return
		}
		d.value("", doc.Body, reflect.ValueOf(into).Elem())
	}
}

func line(n ast.Node) int {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0
	}
	return n.GetToken().Position.Line
}

// switchable is a block that false in its place switches off.
type switchable interface{ off(bool) }

// listable is a block that a list in its place stands for, or a single value.
type listable interface{ list() any }

// own is a value that reads its part of the tree by itself.
type own interface {
	read(d *decoder, key string, n ast.Node)
}

func (d *decoder) value(key string, n ast.Node, v reflect.Value) {
	d.lines[key] = line(n)
	switch t := n.(type) {
	case *ast.AnchorNode:
		n = t.Value
	case *ast.TagNode:
		n = t.Value
	}
	if o, ok := v.Addr().Interface().(own); ok {
		o.read(d, key, n)
		return
	}
	if _, none := n.(*ast.NullNode); none {
		return
	}
	if s, ok := v.Addr().Interface().(scalar); ok {
		d.scalar(key, n, func(text string) error { return s.parse(text) })
		return
	}
	if w, ok := v.Addr().Interface().(switchable); ok {
		if b, isBool := n.(*ast.BoolNode); isBool {
			w.off(!b.Value)
			return
		}
	}
	if l, ok := v.Addr().Interface().(listable); ok && !isMapping(n) {
		d.list(key, n, reflect.ValueOf(l.list()).Elem())
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(key, n, v.Elem())
	case reflect.Struct:
		d.structure(key, n, v)
	case reflect.Map:
		d.mapping(key, n, v)
	case reflect.Slice:
		d.list(key, n, v)
	case reflect.String:
		d.scalar(key, n, func(text string) error { v.SetString(text); return nil })
	case reflect.Bool:
		d.scalar(key, n, func(text string) error { return setBool(v, text) })
	case reflect.Int:
		d.scalar(key, n, func(text string) error { return setInt(v, text) })
	default:
		d.fault(line(n), key, "cannot be set here")
	}
}

func setBool(v reflect.Value, text string) error {
	if text != "true" && text != "false" {
		return fmt.Errorf("%q is neither true nor false", text)
	}
	v.SetBool(text == "true")
	return nil
}

func setInt(v reflect.Value, text string) error {
	i, err := strconv.Atoi(strings.ReplaceAll(text, "_", ""))
	if err != nil {
		return fmt.Errorf("%q is no whole number", text)
	}
	v.SetInt(int64(i))
	return nil
}

// glued is the text of a plain scalar with a colon inside, such as env:NAME, which the parser takes for a mapping when it
// stands in a flow sequence. YAML wants a space behind the colon of a mapping.
func glued(n ast.Node) (string, bool) {
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) == 1 {
		n = m.Values[0]
	}
	pair, ok := n.(*ast.MappingValueNode)
	if !ok {
		return "", false
	}
	key, value := pair.Key.GetToken(), pair.Value.GetToken()
	if key == nil || value == nil || value.Position.Line != key.Position.Line ||
		value.Position.Column != key.Position.Column+len(key.Value)+1 {
		return "", false
	}
	return key.Value + ":" + value.Value, true
}

func (d *decoder) scalar(key string, n ast.Node, set func(string) error) {
	if text, ok := glued(n); ok {
		if err := set(text); err != nil {
			d.fault(line(n), key, "%s", err)
		}
		return
	}
	s, ok := n.(ast.ScalarNode)
	if !ok {
		d.fault(line(n), key, "one value is expected here, not a list or a mapping")
		return
	}
	text := s.GetToken().Value
	if lit, isLiteral := n.(*ast.LiteralNode); isLiteral {
		text = lit.Value.Value
	}
	if err := set(text); err != nil {
		d.fault(line(n), key, "%s", err)
	}
}

// pairs returns the key-value pairs of a mapping; a mapping with one pair has a node type of its own.
func (d *decoder) pairs(key string, n ast.Node) []*ast.MappingValueNode {
	switch t := n.(type) {
	case *ast.MappingNode:
		return t.Values
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{t}
	}
	d.fault(line(n), key, "a mapping (name: value) is expected here")
	return nil
}

func isMapping(n ast.Node) bool {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return true
	}
	return false
}

func (d *decoder) structure(key string, n ast.Node, v reflect.Value) {
	fields := map[string]int{}
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "-" {
			fields[tag] = i
		}
	}
	for _, pair := range d.pairs(key, n) {
		name := pair.Key.String()
		i, ok := fields[name]
		if !ok {
			d.unknown(key, name, line(pair.Key), fields)
			continue
		}
		d.value(join(key, name), pair.Value, v.Field(i))
	}
}

func (d *decoder) unknown(key, name string, at int, fields map[string]int) {
	if key == "" {
		if why, ok := laterKeys[name]; ok {
			d.fault(at, name, "%s", why)
			return
		}
	}
	names := make([]string, 0, len(fields))
	for f := range fields {
		names = append(names, f)
	}
	sort.Strings(names)
	if near := spell.Nearest(name, names); near != "" {
		d.fault(at, join(key, name), "unknown key; did you mean %s?", near)
		return
	}
	d.fault(at, join(key, name), "unknown key; known here: %s", strings.Join(names, ", "))
}

func (d *decoder) mapping(key string, n ast.Node, v reflect.Value) {
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, pair := range d.pairs(key, n) {
		name := keyText(pair.Key)
		item := reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(reflect.ValueOf(name)); old.IsValid() {
			item.Set(old)
		}
		d.value(join(key, name), pair.Value, item)
		d.lines[join(key, name)] = line(pair.Key)
		v.SetMapIndex(reflect.ValueOf(name), item)
	}
}

// keyText is a key as it is meant: what is quoted without its quotes and escapes.
func keyText(n ast.MapKeyNode) string {
	if s, ok := n.(*ast.StringNode); ok {
		return s.Value
	}
	return strings.Trim(n.String(), `"'`)
}

func (d *decoder) list(key string, n ast.Node, v reflect.Value) {
	items := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		items = seq.Values
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		d.value(key, item, v.Index(i))
	}
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}
