package app

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firth/internal/load"
	"firth/internal/warehouse"
)

// loadOrder is what firth load asks for, on its way to the server.
type loadOrder struct {
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	Source  string    `json:"source,omitempty"`
	Tables  []string  `json:"tables,omitempty"`
	Rebuild bool      `json:"rebuild,omitempty"`
}

func (o *loadOrder) order() load.Order {
	if o == nil {
		return load.Order{}
	}
	return load.Order{From: o.From, To: o.To, Source: o.Source, Tables: o.Tables, Rebuild: o.Rebuild}
}

// loadReport is the outcome of firth load.
type loadReport struct {
	Warehouse string           `json:"warehouse"`
	Run       string           `json:"run"` // its id in firth.runs
	State     string           `json:"state"`
	StartedAt time.Time        `json:"started_at"`
	Seconds   float64          `json:"seconds"`
	Rows      int64            `json:"rows"`
	Tables    map[string]int64 `json:"tables"` // rows, by schema.table
	Notices   []string         `json:"notices"`
	Error     string           `json:"error,omitempty"`
	Hint      string           `json:"hint,omitempty"`
}

func reportOfLoad(warehouseName string, run *warehouse.Run) loadReport {
	r := loadReport{
		Warehouse: warehouseName, Run: run.ID, State: run.State, StartedAt: run.StartedAt.UTC(), Rows: run.Rows,
		Tables: run.Tables, Notices: run.Notices, Error: run.Error, Hint: run.Hint,
	}
	if !run.FinishedAt.IsZero() {
		r.Seconds = run.FinishedAt.Sub(run.StartedAt).Seconds()
	}
	if r.Tables == nil {
		r.Tables = map[string]int64{}
	}
	if r.Notices == nil {
		r.Notices = []string{}
	}
	return r
}

// text is the report for a person.
func (r *loadReport) text() string {
	var b strings.Builder
	if len(r.Tables) > 0 {
		table := columns{header: []string{"table", ">rows"}}
		names := make([]string, 0, len(r.Tables))
		for name := range r.Tables {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			table.add(name, countText(r.Tables[name]))
		}
		table.print(&b)
		b.WriteString("\n")
	}
	for _, n := range r.Notices {
		fmt.Fprintf(&b, "notice  %s\n", n)
	}
	switch {
	case r.State == warehouse.RunSuccess && r.Rows == 0:
		fmt.Fprintf(&b, "success  nothing was missing in %s\n", r.Warehouse)
	default:
		fmt.Fprintf(&b, "%s  %s rows into %s in %s\n", r.State, countText(r.Rows), r.Warehouse, seconds(r.Seconds))
	}
	return b.String()
}

// failure is the error of a run that did not succeed; nil: it did.
func (r *loadReport) failure() error {
	if r.State == warehouse.RunSuccess {
		return nil
	}
	text := r.Error
	if text == "" {
		text = "the run ended as " + r.State
	}
	return hint(fmt.Errorf("load %s: %s", r.Warehouse, text), "%s", r.Hint)
}

// parseMoment reads a moment as RFC 3339, as a day (its beginning, in UTC) or as a span before now.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t.UTC(), nil
	}
	if t, err := time.Parse(time.DateOnly, text); err == nil {
		return t, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 36500 {
			return now.Add(-time.Duration(n * 24 * float64(time.Hour))).UTC(), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%q is no moment", text)
}

// momentText is a moment for the log; nothing where it is open.
func momentText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// momentHint says how moments are written.
const momentHint = "write 2026-01-31, 2026-01-31T15:04:05Z, or how long ago: 24h, 7d"
