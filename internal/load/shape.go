package load

import (
	"firth/internal/event"
	"firth/internal/name"
	"firth/internal/warehouse"
)

// Segment makes shapers for Options.NewShaper: Segment's tables under the naming rules of the warehouse.
func Segment(rules name.Rules, o event.ShapeOptions) func(source string) Shaper {
	return func(source string) Shaper { return segment{event.NewShaper(source, rules, o)} }
}

type segment struct{ *event.Shaper }

func (s segment) Take() *warehouse.Batch {
	l := s.Shaper.Take()
	return &warehouse.Batch{Tables: l.Tables, Upserts: l.Upserts, Discards: l.Discards, Notices: l.Notices}
}

// Survey makes shapers for Options.NewSurvey, with the options of the shaper.
func Survey(rules name.Rules, o event.ShapeOptions) func(source string) Surveyor {
	o.Survey = true
	return func(source string) Surveyor { return segment{event.NewShaper(source, rules, o)} }
}

// Columns are the tables of a survey.
func (s segment) Columns() []warehouse.Table {
	var out []warehouse.Table
	for _, t := range s.Shaper.Columns() {
		out = append(out, warehouse.Table{Name: t.Name, Columns: t.Columns})
	}
	return out
}
