package infer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firth/internal/document"
	"firth/internal/vector"
)

// Report says what was counted and what the columns would be. It can be marshalled as JSON.
type Report struct {
	Documents  int64         `json:"documents"`
	Fields     []FieldReport `json:"fields"`
	Collisions []Collision   `json:"collisions,omitempty"`
	// Cut counts the values of paths beyond those that are kept.
	Cut int64 `json:"cut,omitempty"`
	// Extra are the paths that had no column left; they go to the column Extra.
	Extra []string `json:"extra,omitempty"`
	// Override is the YAML to paste where a choice is not to one's liking: the types that were in doubt, as they were chosen.
	Override string        `json:"override,omitempty"`
	Children []ChildReport `json:"children,omitempty"`
}

// ChildReport is the report of a table that an array becomes.
type ChildReport struct {
	Path   string  `json:"path"`
	Name   string  `json:"name"`
	Report *Report `json:"report"`
}

// FieldReport is one path.
type FieldReport struct {
	Path   string `json:"path"`
	Column string `json:"column,omitempty"`
	Type   string `json:"type,omitempty"` // empty: no column, or only columns of its fields
	// Nested is the column that holds objects and arrays as JSON beside Column.
	Nested string `json:"nested,omitempty"`
	Fixed  bool   `json:"fixed,omitempty"` // the type is a person's choice
	Flat   bool   `json:"flat,omitempty"`  // its objects become columns of their fields
	Table  string `json:"table,omitempty"` // what follows parent__ in the name of the table that its arrays become
	// Probability is the part of the values, null and missing left out, that the columns hold exactly.
	Probability float64          `json:"probability"`
	Counts      map[string]int64 `json:"counts"`             // by type, null included
	Elements    map[string]int64 `json:"elements,omitempty"` // of its arrays, by type
	Missing     int64            `json:"missing"`
	Min         string           `json:"min,omitempty"`
	Max         string           `json:"max,omitempty"`
	MaxLength   int              `json:"max_length,omitempty"` // of text in characters, of binary in bytes
	Distinct    int64            `json:"distinct,omitempty"`   // an estimate
	// Losing are values that the column would not hold, and the documents that they are in.
	Losing []Losing `json:"losing,omitempty"`
	Notes  []string `json:"notes,omitempty"`
}

// Losing are the values of one type that a column does not hold.
type Losing struct {
	Type     string    `json:"type"`
	Count    int64     `json:"count"`
	Examples []Example `json:"examples"`
}

// Report makes the report of what was counted so far.
func (c *Counter) Report() *Report {
	p := c.Plan()
	r := &Report{Documents: c.docs, Collisions: p.Collisions, Cut: c.cut, Fields: []FieldReport{}}
	planned := map[string]*Field{}
	for i := range p.Fields {
		planned[p.Fields[i].Path] = &p.Fields[i]
	}
	var doubts []doubt
	c.root.walk(func(n *node) {
		f := planned[n.path]
		if f == nil {
			f = &Field{Path: n.path}
			if n.stats.values() > 0 && n.table == nil && c.columnsOf(n) > 0 {
				r.Extra = append(r.Extra, n.path)
			}
		}
		out, d := c.fieldReport(n, f, p)
		r.Fields = append(r.Fields, out)
		doubts = append(doubts, d...)
	})
	r.Override = overrides(doubts)
	for _, child := range p.Children {
		n := c.root
		for _, part := range SplitPath(child.Path) {
			n = n.find(part)
		}
		r.Children = append(r.Children, ChildReport{Path: child.Path, Name: child.Name, Report: n.table.Report()})
	}
	return r
}

func (c *Counter) fieldReport(n *node, f *Field, p *Plan) (FieldReport, []doubt) {
	s := &n.stats
	out := FieldReport{Path: n.path, Fixed: f.Fixed, Flat: f.Flat, Counts: map[string]int64{}, Missing: c.docs - s.seen, Probability: 1}
	for k, count := range s.counts {
		if count > 0 {
			out.Counts[kindName(document.Kind(k))] = count
		}
	}
	for k, count := range s.elements {
		if count > 0 {
			if out.Elements == nil {
				out.Elements = map[string]int64{}
			}
			out.Elements[kindName(document.Kind(k))] = count
		}
	}
	if f.Own > 0 {
		out.Column, out.Type = p.Columns[f.Own-1].Name, p.Columns[f.Own-1].Type.String()
	}
	if f.Nested > 0 {
		out.Nested = p.Columns[f.Nested-1].Name
	}
	if n.table != nil && s.counts[document.Array] > 0 {
		out.Table, _ = NewNamer(c.o.Lower).Name(n.path)
	}
	if s.distinct != nil {
		out.Distinct = min(s.distinct.estimate(), s.scalars())
	}
	out.MaxLength = max(s.chars, 0)
	if s.counts[document.Binary] > 0 {
		out.MaxLength = max(out.MaxLength, s.bytes)
	}
	out.Min, out.Max = s.bounds()
	ch := n.choice(&c.o, f, p)
	if total := s.values(); total > 0 && f.Own > 0 {
		lost := int64(0)
		for kind, count := range ch.loses {
			lost += count
			examples := s.examples[kind]
			if len(s.unfit) > 0 && (kind == document.DateTime || kind == document.String && ch.typ.Kind == vector.Text) {
				examples = s.unfit
			}
			out.Losing = append(out.Losing, Losing{Type: kindName(kind), Count: count, Examples: examples})
		}
		out.Probability = float64(total-lost) / float64(total)
		slices.SortFunc(out.Losing, func(a, b Losing) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Type, b.Type)) })
	}
	doubts := n.doubts(f, &out)
	for _, d := range doubts {
		out.Notes = append(out.Notes, d.note)
	}
	return out, doubts
}

// choice tells which values the field's columns do not hold.
func (n *node) choice(o *Options, f *Field, p *Plan) choice {
	switch {
	case f.Own == 0:
		return choice{}
	case n.tried != nil:
		return choice{loses: n.tried.loses}
	case p.Columns[f.Own-1].Type.Kind == vector.JSON:
		return choice{}
	}
	ch := o.choose(&n.stats)
	if n.stats.farTimes > 0 && ch.typ.Kind == vector.TimestampTZ {
		ch.lose(document.DateTime, n.stats.farTimes)
	}
	if n.stats.badText > 0 && ch.typ.Kind == vector.Text {
		ch.lose(document.String, n.stats.badText)
	}
	return ch
}

func (c *choice) lose(k document.Kind, n int64) {
	if c.loses == nil {
		c.loses = map[document.Kind]int64{}
	}
	c.loses[k] += n
}

// bounds are the least and the greatest of the numbers, or of the dates where there are none.
func (s *stats) bounds() (least, most string) {
	doubles := s.counts[document.Double]
	switch {
	case s.ints() > 0 && doubles == 0:
		return strconv.FormatInt(s.minInt, 10), strconv.FormatInt(s.maxInt, 10)
	case doubles > 0:
		lo, hi := s.minFloat, s.maxFloat
		if s.ints() > 0 {
			lo, hi = min(lo, float64(s.minInt)), max(hi, float64(s.maxInt))
		}
		return string(vector.AppendFloat(nil, lo, 64)), string(vector.AppendFloat(nil, hi, 64))
	case s.times() > s.farTimes:
		return day(s.minTime), day(s.maxTime)
	}
	return "", ""
}

func day(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02") }

// doubt is a choice that a person may want to make otherwise.
type doubt struct {
	path, chosen, note string
}

// doubts are what is uncertain about a field.
func (n *node) doubts(f *Field, r *FieldReport) []doubt {
	s := &n.stats
	var out []doubt
	say := func(format string, args ...any) {
		out = append(out, doubt{path: n.path, chosen: r.Type, note: fmt.Sprintf(format, args...)})
	}
	if f.Own == 0 || f.Fixed {
		return nil
	}
	for _, l := range r.Losing {
		say("%s of type %s would be rejected; text holds all", counted(l.Count, "value"), l.Type)
	}
	scalars := s.scalars()
	mixed := 0
	for k, count := range s.counts {
		if count > 0 && !nothing(document.Kind(k)) && !nested(document.Kind(k)) {
			mixed++
		}
	}
	switch {
	case scalars == 0:
	case s.zeroOne == scalars:
		say("all values are 0 or 1: boolean would hold them, too")
	case s.counts[document.Double] == scalars && s.integral == scalars:
		say("all values are whole numbers: integer would hold them, too")
	case s.counts[document.String] == scalars && s.numeric > 0 && s.numeric+s.blanks == scalars:
		say("all text looks like numbers%s; it stays text", blanks(s.blanks))
	case s.counts[document.String] == scalars && s.dates > 0 && s.dates+s.blanks == scalars:
		say("all text looks like dates%s; it stays text", blanks(s.blanks))
	case mixed > 1 && r.Type == "text" && s.texts() < scalars:
		say("values of several types, all held as text")
	}
	if s.oldUUIDs > 0 {
		say("16 bytes of binary subtype 3: UUIDs whose order of bytes depends on the driver that wrote them")
	}
	return out
}

func blanks(n int64) string {
	if n == 0 {
		return ""
	}
	return " or is blank"
}

func counted(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return grouped(n) + " " + what + "s"
}

// overrides writes the doubts as YAML.
func overrides(doubts []doubt) string {
	if len(doubts) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("types:\n")
	last := ""
	for _, d := range doubts {
		if d.path == last {
			fmt.Fprintf(&b, "  # %s\n", d.note)
			continue
		}
		last = d.path
		fmt.Fprintf(&b, "  %s: %s # %s\n", yamlKey(d.path), d.chosen, d.note)
	}
	return b.String()
}

// yamlKey quotes what YAML would take for something else than a name.
func yamlKey(path string) string {
	plain := path != ""
	for i, r := range path {
		ok := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && (r == '.' || r == '-' || r >= '0' && r <= '9')
		plain = plain && ok
	}
	switch strings.ToLower(path) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain {
		return path
	}
	return strconv.Quote(path)
}

// grouped writes a number with a comma every three digits.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
