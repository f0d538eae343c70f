package infer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// textWidth is how wide the report is at most.
const textWidth = 120

// Text is the report as a person reads it in a terminal of 120 columns: a line a field, what would be lost below it, the collisions,
// and the YAML to paste. It ends with a line break.
func (r *Report) Text() string {
	var b strings.Builder
	r.write(&b, "")
	return b.String()
}

func (r *Report) write(b *strings.Builder, what string) {
	fmt.Fprintf(b, "%s%s, %s\n\n", what, counted(r.Documents, "document"), counted(int64(len(r.Fields)), "field"))
	rows := [][]string{{"field", "column", "type", "holds", "null", "missing", "distinct", "values"}}
	for i := range r.Fields {
		rows = append(rows, r.Fields[i].row())
	}
	widths := [...]int{26, 22, 15, 6, 9, 9, 9}
	used := [len(widths)]int{}
	for _, row := range rows {
		for i := range widths {
			used[i] = min(max(used[i], utf8.RuneCountInString(row[i])), widths[i])
		}
	}
	for i, row := range rows {
		writeRow(b, row, used[:])
		if i > 0 {
			r.Fields[i-1].details(b)
		}
	}
	r.ending(b)
	for _, c := range r.Children {
		b.WriteByte('\n')
		c.Report.write(b, fmt.Sprintf("table __%s of the array %s: ", c.Name, c.Path))
	}
}

func writeRow(b *strings.Builder, row []string, widths []int) {
	line := 0
	for i, w := range widths {
		cell := clip(row[i], w)
		gap := strings.Repeat(" ", w-utf8.RuneCountInString(cell))
		if i >= 3 {
			cell = gap + cell
		} else {
			cell += gap
		}
		b.WriteString(cell + "  ")
		line += w + 2
	}
	b.WriteString(clip(row[len(widths)], textWidth-line))
	b.WriteByte('\n')
}

// clip shortens text to so many letters.
func clip(s string, width int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	if width < 3 {
		return strings.Repeat(".", max(width, 0))
	}
	return string([]rune(s)[:width-2]) + ".."
}

func (f *FieldReport) row() []string {
	column, typ, holds := f.Column, f.Type, percent(f.Probability)
	if f.Nested != "" && f.Nested != f.Column {
		column += ", " + f.Nested
	}
	if f.Fixed {
		typ += " *"
	}
	switch {
	case f.Column != "":
	case f.Table != "":
		column, typ, holds = "table __"+f.Table, "rows", ""
	case f.Flat:
		column, typ, holds = "those of its fields", "", ""
	default:
		column, typ, holds = "-", "-", ""
	}
	distinct := ""
	if f.Distinct > 0 {
		distinct = "~" + grouped(f.Distinct)
	}
	return []string{f.Path, column, typ, holds, grouped(f.Counts["null"]), grouped(f.Missing), distinct, f.values()}
}

// byCount are the types, those of most values first.
func byCount(counts map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
}

// values tells the counts by type, and between what they lie.
func (f *FieldReport) values() string {
	kinds := byCount(f.Counts)
	var parts []string
	for _, k := range kinds {
		if k != "null" {
			part := k + " " + grouped(f.Counts[k])
			if k == "array" && len(f.Elements) > 0 {
				part += " of " + strings.Join(byCount(f.Elements), " or ")
			}
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "only null so far")
	}
	out := strings.Join(parts, ", ")
	switch {
	case f.Min != "":
		out += ": " + f.Min + " to " + f.Max
	case f.MaxLength > 0:
		out += fmt.Sprintf(": up to %s long", grouped(int64(f.MaxLength)))
	}
	return out
}

// percent never says 100 where something is lost.
func percent(p float64) string {
	switch {
	case p >= 1:
		return "100%"
	case p > 0.999:
		return ">99.9%"
	case p > 0 && p < 0.001:
		return "<0.1%"
	}
	return fmt.Sprintf("%.1f%%", 100*p)
}

func (f *FieldReport) details(b *strings.Builder) {
	for _, l := range f.Losing {
		var parts []string
		for _, e := range l.Examples {
			part := e.Value
			if e.ID != "" {
				part += " (" + e.ID + ")"
			}
			parts = append(parts, part)
		}
		writeLine(b, "    ! "+counted(l.Count, l.Type)+" would be rejected: "+strings.Join(parts, ", "))
	}
	for _, n := range f.Notes {
		if !strings.Contains(n, "would be rejected") {
			writeLine(b, "    ? "+n)
		}
	}
}

func writeLine(b *strings.Builder, line string) { b.WriteString(clip(line, textWidth) + "\n") }

func (r *Report) ending(b *strings.Builder) {
	if len(r.Collisions) > 0 {
		b.WriteString("\nNames that were taken:\n")
		for _, c := range r.Collisions {
			writeLine(b, fmt.Sprintf("    %s becomes %s: its name is that of %s", c.Path, c.Name, c.With))
		}
	}
	if len(r.Extra) > 0 {
		b.WriteString("\nNo column left, kept in " + Extra + ":\n")
		for i, p := range r.Extra {
			if i == 20 {
				writeLine(b, fmt.Sprintf("    and %s more", grouped(int64(len(r.Extra)-i))))
				break
			}
			writeLine(b, "    "+p)
		}
	}
	if r.Cut > 0 {
		writeLine(b, fmt.Sprintf("\nMore than %s fields: %s were not counted.", grouped(maxPaths), counted(r.Cut, "value")))
	}
	if r.Override != "" {
		b.WriteString("\nTo decide otherwise, change and paste this into the mirror:\n\n" + r.Override)
	}
}
