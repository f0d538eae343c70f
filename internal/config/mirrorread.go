package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// keyTypes are the types of Redis keys that a get reads.
var keyTypes = []string{"string", "json", "hash", "set", "zset", "list", "stream"} //nolint:gochecknoglobals // a constant list

func (c *Columns) read(d *decoder, key string, n ast.Node) {
	d.lines[key] = line(n)
	switch t := n.(type) {
	case *ast.SequenceNode:
		for _, item := range t.Values {
			c.item(d, key, item)
		}
	case *ast.MappingNode, *ast.MappingValueNode:
		for _, pair := range d.pairs(key, n) {
			c.pair(d, key, pair)
		}
	default:
		c.item(d, key, n)
	}
	seen := map[string]bool{}
	for _, col := range *c {
		if seen[col.Name] {
			d.fault(col.line, key, "%q is there twice", col.Name)
		}
		seen[col.Name] = true
	}
}

// item reads one of a list: a name, or {name, as, mask, type}.
func (c *Columns) item(d *decoder, key string, n ast.Node) {
	col := Column{Listed: true, line: line(n)}
	if _, list := n.(*ast.SequenceNode); list {
		d.fault(line(n), key, "a column is a name or a mapping, not a list")
		return
	}
	if !isMapping(n) {
		d.scalar(key, n, func(text string) error {
			col.Name = text
			return nil
		})
	} else {
		c.settings(d, key, n, &col, map[string]*string{"name": &col.Name, "as": &col.As, "mask": &col.Mask, "type": &col.Type})
	}
	if col.Name == "" {
		d.fault(line(n), key, "a column needs its name: write NAME, or { name: NAME, as: OTHER, mask: hash }")
		return
	}
	*c = append(*c, col)
}

// pair reads one of a mapping: its type, {as, mask, type}, or the key of Redis that it is read from.
func (c *Columns) pair(d *decoder, key string, pair *ast.MappingValueNode) {
	col := Column{Name: pair.Key.GetToken().Value, line: line(pair.Key)}
	d.lines[join(key, col.Name)] = col.line
	switch n := pair.Value.(type) {
	case *ast.NullNode:
	case *ast.MappingNode, *ast.MappingValueNode:
		known := map[string]*string{"as": &col.As, "mask": &col.Mask, "type": &col.Type}
		templates := map[string]*string{}
		for _, of := range keyTypes {
			text := ""
			templates[of], known[of] = &text, &text
		}
		c.settings(d, join(key, col.Name), n, &col, known)
		for _, of := range keyTypes {
			if *templates[of] == "" {
				continue
			}
			if col.Of != "" {
				d.fault(col.line, join(key, col.Name), "is read from one key: keep one of %s and %s", col.Of, of)
			}
			col.Of, col.Template = of, *templates[of]
		}
	default:
		d.scalar(join(key, col.Name), n, func(text string) error {
			col.Type = text
			return nil
		})
	}
	*c = append(*c, col)
}

func (c *Columns) settings(d *decoder, key string, n ast.Node, col *Column, known map[string]*string) {
	for _, pair := range d.pairs(key, n) {
		name := pair.Key.String()
		into, ok := known[name]
		if !ok {
			d.unknown(key, name, line(pair.Key), indexed(known))
			continue
		}
		d.scalar(join(key, name), pair.Value, func(text string) error {
			*into = text
			return nil
		})
	}
}

func indexed[V any](m map[string]V) map[string]int {
	out := map[string]int{}
	for k := range m {
		out[k] = 0
	}
	return out
}

func (m *Missing) read(d *decoder, key string, n ast.Node) {
	d.lines[key] = line(n)
	if _, null := n.(*ast.NullNode); null {
		*m = "null"
		return
	}
	d.scalar(key, n, func(text string) error {
		if !slices.Contains([]string{"null", "none", "zero"}, text) {
			return fmt.Errorf("%q is not one of null, none, zero", text)
		}
		*m = Missing(text)
		return nil
	})
}

func (a *Arrays) read(d *decoder, key string, n ast.Node) {
	d.lines[key] = line(n)
	if isMapping(n) {
		d.mapping(key, n, reflect.ValueOf(&a.Path).Elem())
	} else {
		d.scalar(key, n, func(text string) error {
			if text != "json" {
				return fmt.Errorf("%q is not json, the default; arrays that become tables are named: { items: table }", text)
			}
			return nil
		})
	}
	for _, what := range values(a.Path) {
		if what != "json" && what != "table" {
			d.fault(line(n), key, "%q is not one of json, table", what)
		}
	}
}

func values(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for _, k := range keys(m) {
		out = append(out, m[k])
	}
	return out
}

func (p *Part) parse(s string) error {
	number, percent := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return fmt.Errorf("%q is no part of a whole: write it as 10%%, at most 100%%", s)
	}
	*p = Part(v)
	return nil
}

func (l *Late) parse(s string) error {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 {
		l.Number = n
		return nil
	}
	var span Duration
	if err := span.parse(s); err != nil {
		return fmt.Errorf("%q is neither a time span (15m, 2h, 1d) nor a whole number, for a cursor that is one", s)
	}
	l.Span = time.Duration(span)
	return nil
}

func (doc *Document) read(d *decoder, key string, n ast.Node) {
	d.lines[key] = line(n)
	if _, null := n.(*ast.NullNode); null {
		return
	}
	if text, ok := plainText(n); ok {
		out, err := compactJSON(text)
		if err != nil {
			d.fault(line(n), key, "is no Extended JSON: %s; write it as a YAML mapping or as JSON", err)
			return
		}
		*doc = out
		return
	}
	out, err := appendExtended(nil, n)
	if err != nil {
		d.fault(line(n), key, "%s", err)
		return
	}
	*doc = out
}

// plainText is the content of a string; plain words count as such.
func plainText(n ast.Node) (string, bool) {
	switch t := n.(type) {
	case *ast.StringNode:
		return t.Value, true
	case *ast.LiteralNode:
		return t.Value.Value, true
	}
	return "", false
}

func compactJSON(text string) ([]byte, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind its end")
	}
	var out bytes.Buffer
	err := json.Compact(&out, raw)
	return out.Bytes(), err
}

// appendExtended writes a YAML tree as Extended JSON, with its order, and the text of numbers as far as JSON has it.
func appendExtended(dst []byte, n ast.Node) ([]byte, error) {
	switch t := n.(type) {
	case *ast.MappingNode:
		return appendObject(dst, t.Values)
	case *ast.MappingValueNode:
		return appendObject(dst, []*ast.MappingValueNode{t})
	case *ast.SequenceNode:
		dst = append(dst, '[')
		for i, item := range t.Values {
			if i > 0 {
				dst = append(dst, ',')
			}
			if text, ok := glued(item); ok && !braced(item) {
				dst = strconv.AppendQuote(dst, text)
				continue
			}
			var err error
			if dst, err = appendExtended(dst, item); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	case *ast.NullNode:
		return append(dst, "null"...), nil
	case *ast.BoolNode:
		return strconv.AppendBool(dst, t.Value), nil
	case *ast.IntegerNode:
		if text := t.GetToken().Value; json.Valid([]byte(text)) {
			return append(dst, text...), nil
		}
		return fmt.Append(dst, t.Value), nil
	case *ast.FloatNode:
		if text := t.GetToken().Value; json.Valid([]byte(text)) {
			return append(dst, text...), nil
		}
		return strconv.AppendFloat(dst, t.Value, 'g', -1, 64), nil
	case *ast.InfinityNode:
		if math.IsInf(t.Value, -1) {
			return append(dst, `{"$numberDouble":"-Infinity"}`...), nil
		}
		return append(dst, `{"$numberDouble":"Infinity"}`...), nil
	case *ast.NanNode:
		return append(dst, `{"$numberDouble":"NaN"}`...), nil
	}
	if text, ok := plainText(n); ok {
		quoted, err := json.Marshal(text)
		return append(dst, quoted...), err
	}
	return dst, fmt.Errorf("line %d: %s has no place in a query: write values, lists and mappings, or JSON in a string", line(n), strings.ToLower(n.Type().String()))
}

// braced says whether a mapping was written with braces.
func braced(n ast.Node) bool {
	m, ok := n.(*ast.MappingNode)
	return ok && m.Start != nil && m.Start.Value == "{"
}

func appendObject(dst []byte, pairs []*ast.MappingValueNode) ([]byte, error) {
	dst = append(dst, '{')
	for i, pair := range pairs {
		if i > 0 {
			dst = append(dst, ',')
		}
		name, err := json.Marshal(pair.Key.GetToken().Value)
		if err != nil {
			return dst, err
		}
		dst = append(append(dst, name...), ':')
		if dst, err = appendExtended(dst, pair.Value); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}
