package app

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"firth/internal/lake"
)

// importReport is the outcome of firth import.
type importReport struct {
	Place   string               `json:"place"`
	Sources []*lake.ImportReport `json:"sources"`
}

// mostDays is how many days a report for people lists; more of them are summed up by month.
const mostDays = 40

func (r importReport) text() string {
	var b strings.Builder
	letters := int64(0)
	for i, s := range r.Sources {
		if i > 0 {
			b.WriteByte('\n')
		}
		importText(&b, r.Place, s)
		for _, n := range s.Reasons {
			letters += n
		}
	}
	if letters > 0 && !r.Sources[0].DryRun {
		b.WriteString("\nThe dead letters name file and line:\n" +
			`  firth query "SELECT reason, payload->>'archive' AS file, payload->>'line' AS line, payload FROM firth.dead_letters WHERE payload LIKE '{\"archive\":%'"` + "\n")
	}
	return b.String()
}

func importText(b *strings.Builder, place string, s *lake.ImportReport) {
	fmt.Fprintf(b, "%s: %s of %s\n", s.Source, countOf(int64(s.Files), "file"), place)
	line := func(what string, n int64, more string) {
		if n != 0 || what == "read" || what == "added" {
			fmt.Fprintf(b, "  %-16s %14s%s\n", what, countText(n), more)
		}
	}
	if s.Before != nil {
		line("before", s.Before.Read, fmt.Sprintf(" events were read by an earlier run, which added %s", countText(s.Before.Added)))
	}
	rate := ""
	if took := s.Took.Seconds(); took > 0 && s.Lines > 0 {
		rate = fmt.Sprintf(" events in %s, %s a second", spanText(s.Took), countText(int64(float64(s.Lines)/took)))
	}
	line("read", s.Read, rate)
	added := ""
	switch {
	case s.DryRun:
		added = " would be: nothing was written"
	case s.FilesMade > 0:
		added = fmt.Sprintf(" in %s, %s", countOf(int64(s.FilesMade), "file"), sizeText(s.BytesMade))
	}
	line("added", s.Added, added)
	line("there already", s.Skipped, "")
	letters := " kept as dead letters"
	if s.DryRun {
		letters = " that would become dead letters"
	}
	line("refused", s.Refused, letters)
	line("outside", s.Outside, " received outside the span")
	line("too old", s.Outdated, " of days that lake.keep drops")
	line("suppressed", s.Suppressed, " of people who are to be forgotten")
	for _, reason := range slices.Sorted(maps.Keys(s.Reasons)) {
		line("  "+reason, s.Reasons[reason], "")
	}
	for _, f := range s.Faults {
		fmt.Fprintf(b, "  %s, line %d: %s\n", f.File, f.Line, f.Why)
	}
	table := columns{header: []string{"", ">read", ">added", ">there already"}}
	count := func(name string, c lake.ImportCount) {
		table.add(name, countText(c.Read), countText(c.Added), countText(c.Skipped))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Types)) {
		count(name, s.Types[name])
	}
	for _, d := range summed(s.Days) {
		count(d.Day, d.ImportCount)
	}
	if len(table.rows) > 0 {
		b.WriteByte('\n')
		table.print(b)
	}
}

// summed sums up days by month where there are many.
func summed(days []lake.ImportDay) []lake.ImportDay {
	if len(days) <= mostDays {
		return days
	}
	var out []lake.ImportDay
	for _, d := range days {
		month := d.Day[:strings.LastIndexByte(d.Day, '-')]
		if n := len(out); n > 0 && out[n-1].Day == month {
			c := &out[n-1].ImportCount
			c.Read, c.Added, c.Skipped = c.Read+d.Read, c.Added+d.Added, c.Skipped+d.Skipped
			continue
		}
		out = append(out, lake.ImportDay{Day: month, ImportCount: d.ImportCount})
	}
	return out
}
