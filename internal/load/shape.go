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
