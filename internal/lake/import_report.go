package lake

import (
	"cmp"
	jsonenc "encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// ImportCount counts events that could be read.
type ImportCount struct {
	Read    int64 `json:"read"`
	Added   int64 `json:"added"`
	Skipped int64 `json:"skipped"` // there already
}

func (c *ImportCount) add(o ImportCount) {
	c.Read, c.Added, c.Skipped = c.Read+o.Read, c.Added+o.Added, c.Skipped+o.Skipped
}

// ImportDay counts the events that happened on a day.
type ImportDay struct {
	Day string `json:"day"`
	ImportCount
}

// ImportTotals count the lines of an import.
type ImportTotals struct {
	Lines int64 `json:"lines"`
	ImportCount
	Refused    int64 `json:"refused"`    // lines that are no events: dead letters
	Outside    int64 `json:"outside"`    // received outside the span that was asked for
	Outdated   int64 `json:"outdated"`   // of days that retention would drop at once
	Suppressed int64 `json:"suppressed"` // of people who are to be forgotten
}

func (t *ImportTotals) add(o ImportTotals) {
	t.ImportCount.add(o.ImportCount)
	t.Lines, t.Refused, t.Outside = t.Lines+o.Lines, t.Refused+o.Refused, t.Outside+o.Outside
	t.Outdated, t.Suppressed = t.Outdated+o.Outdated, t.Suppressed+o.Suppressed
}

// ImportFault is damage that an archive has.
type ImportFault struct {
	File string `json:"file"`
	Line int64  `json:"line"`
	Why  string `json:"why"`
}

// mostFaults is how many faults a report names.
const mostFaults = 20

// ImportReport is what came of an import.
type ImportReport struct {
	Source string `json:"source"`
	Log    string `json:"log"` // in _firth_log of the rows
	Files  int    `json:"files"`
	DryRun bool   `json:"dry_run,omitempty"`

	ImportTotals               // of this run
	Before       *ImportTotals `json:"before,omitempty"` // of earlier runs of the same import

	Reasons map[string]int64       `json:"reasons,omitempty"` // of dead letters
	Types   map[string]ImportCount `json:"types,omitempty"`
	Days    []ImportDay            `json:"days,omitempty"`
	Faults  []ImportFault          `json:"faults,omitempty"` // the first ones

	Commits   int           `json:"commits"`
	FilesMade int           `json:"files_made"`
	BytesMade int64         `json:"bytes_made"`
	Took      time.Duration `json:"took_ns"`

	byDay map[int64]*ImportCount
}

func newImportReport(o *ImportOptions, log string) *ImportReport {
	return &ImportReport{
		Source: o.Source, Log: log, Files: o.Archive.Files(), DryRun: o.DryRun,
		Reasons: map[string]int64{}, Types: map[string]ImportCount{}, byDay: map[int64]*ImportCount{},
	}
}

func (r *ImportReport) resume(position uint64, s importState) {
	if position > 0 {
		before := s.Totals
		r.Before = &before
	}
}

// take adds what a step came to.
func (r *ImportReport) take(s *importStep) {
	for day, c := range s.days {
		if r.byDay[day] == nil {
			r.byDay[day] = &ImportCount{}
		}
		r.byDay[day].add(*c)
	}
	for i, c := range s.types {
		if c.Read > 0 {
			sum := r.Types[callTypes[i]]
			sum.add(c)
			r.Types[callTypes[i]] = sum
		}
	}
	for reason, n := range s.reasons {
		r.Reasons[reason] += n
	}
	r.Faults = append(r.Faults, s.faults[:min(len(s.faults), mostFaults-len(r.Faults))]...)
	r.add(s.totals)
	r.FilesMade += s.made
	r.BytesMade += s.madeBytes
}

func (r *ImportReport) finish() *ImportReport {
	for _, day := range slices.SortedFunc(maps.Keys(r.byDay), cmp.Compare[int64]) {
		r.Days = append(r.Days, ImportDay{Day: dayTime(day).Format(time.DateOnly), ImportCount: *r.byDay[day]})
	}
	return r
}

// importState is where an import goes on: at this file, whose first line has the offset Base.
type importState struct {
	File   int          `json:"file"`
	Base   uint64       `json:"base"`
	Done   bool         `json:"done,omitempty"`
	Totals ImportTotals `json:"totals"`
}

// readImportState reads a table's property. Without it an import begins at its first line and passes over those that are in.
func readImportState(text string) (s importState, err error) {
	if text == "" {
		return s, nil
	}
	if err := jsonenc.Unmarshal([]byte(text), &s); err != nil {
		return s, fmt.Errorf("read how far the import is: %w", err)
	}
	return s, nil
}

func (s importState) text() (string, error) {
	b, err := jsonenc.Marshal(s)
	return string(b), err
}
