package mirror

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"firth/internal/warehouse"
)

// Report says what a run did.
type Report struct {
	Name     string    `json:"name"`
	State    string    `json:"state"` // warehouse.RunSuccess, RunPartial or RunFailure
	DryRun   bool      `json:"dry_run,omitempty"`
	Started  time.Time `json:"started_at"`
	Finished time.Time `json:"finished_at"`

	Rows      int64 `json:"rows"`  // read
	Bytes     int64 `json:"bytes"` // read, about
	Inserted  int64 `json:"inserted"`
	Updated   int64 `json:"updated"`
	Deleted   int64 `json:"deleted"`
	Unchanged int64 `json:"unchanged"`
	Rejects   int64 `json:"rejects"`

	Columns []Fidelity `json:"columns,omitempty"`
	Failed  []FailedID `json:"failed,omitempty"` // the first thousand
	Notices []string   `json:"notices,omitempty"`
	Error   string     `json:"error,omitempty"`
	Hint    string     `json:"hint,omitempty"`
}

// Fidelity says how the values of one column arrived. The four counts add up to the rows that were written.
type Fidelity struct {
	Name     string `json:"name"`
	Path     string `json:"path,omitempty"`
	Type     string `json:"type"`
	Source   string `json:"source,omitempty"` // the source's own name of the type
	Exact    int64  `json:"exact"`
	Widened  int64  `json:"widened"` // exact, in a wider type than the source's
	Null     int64  `json:"null"`
	Rejected int64  `json:"rejected"`
}

// FailedID is an id whose get failed. Its rows stay as they are.
type FailedID struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

// Progress is how far a run is. Total is the estimated number of rows; -1: unknown.
type Progress struct {
	Mirror  string        `json:"mirror"`
	Stage   string        `json:"stage"` // connect, read, publish, list, get
	Rows    int64         `json:"rows"`
	Bytes   int64         `json:"bytes"`
	Total   int64         `json:"total"`
	Elapsed time.Duration `json:"elapsed"` // since reading began
}

// Percent is how much of the estimated total is done, at most 100; ok is false where that is unknown.
func (p *Progress) Percent() (percent int, ok bool) {
	if p.Total <= 0 {
		return 0, false
	}
	return int(min(100, 100*p.Rows/p.Total)), true
}

// Left is how long the rest will take at the speed so far; ok is false where that cannot be said.
func (p *Progress) Left() (left time.Duration, ok bool) {
	if p.Total <= 0 || p.Rows <= 0 || p.Elapsed <= 0 {
		return 0, false
	}
	return time.Duration(float64(p.Elapsed) * float64(max(0, p.Total-p.Rows)) / float64(p.Rows)), true
}

// join makes one report of two runs of a mirror, that of a list and that of the get behind it.
func (r *Report) join(next *Report) *Report {
	if next == nil {
		return r
	}
	out := *next
	out.Name, out.Started = strings.TrimSuffix(next.Name, "/get"), r.Started
	out.Rows, out.Bytes = r.Rows+next.Rows, r.Bytes+next.Bytes
	out.Deleted, out.Rejects = r.Deleted+next.Deleted, r.Rejects+next.Rejects
	out.Notices = append(slices.Clone(r.Notices), next.Notices...)
	out.Failed = append(slices.Clone(r.Failed), next.Failed...)
	if r.State != warehouse.RunSuccess && next.State == warehouse.RunSuccess {
		out.State, out.Error, out.Hint = r.State, r.Error, r.Hint
	}
	return &out
}

// Text is the report as a person reads it, with a line break at its end.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s rows read in %s", r.Name, r.outcome(), grouped(r.Rows), spell(r.Finished.Sub(r.Started)))
	for _, part := range []struct {
		n    int64
		what string
	}{
		{r.Inserted, "inserted"}, {r.Updated, "updated"}, {r.Deleted, "deleted"}, {r.Unchanged, "unchanged"},
		{r.Rejects, "values rejected"},
	} {
		if part.n > 0 {
			fmt.Fprintf(&b, ", %s %s", grouped(part.n), part.what)
		}
	}
	b.WriteByte('\n')
	for _, c := range r.Columns {
		if c.Widened > 0 || c.Rejected > 0 {
			fmt.Fprintf(&b, "  %s (%s): %s exact, %s widened, %s null, %s rejected\n", c.Name, c.Type,
				grouped(c.Exact), grouped(c.Widened), grouped(c.Null), grouped(c.Rejected))
		}
	}
	for _, n := range r.Notices {
		fmt.Fprintf(&b, "  %s\n", n)
	}
	for i, f := range r.Failed {
		if i == 10 {
			fmt.Fprintf(&b, "  and %d ids more\n", len(r.Failed)-i)
			break
		}
		fmt.Fprintf(&b, "  id %s: %s\n", f.ID, f.Error)
	}
	if r.Error != "" {
		fmt.Fprintf(&b, "  %s\n", r.Error)
	}
	if r.Hint != "" {
		fmt.Fprintf(&b, "  hint: %s\n", r.Hint)
	}
	return b.String()
}

func (r *Report) outcome() string {
	switch {
	case r.State == warehouse.RunFailure:
		return "failed"
	case r.DryRun:
		return "nothing written"
	case r.State == warehouse.RunPartial:
		return "done in part"
	}
	return "done"
}

// fidelityNotices are the lines about columns that go with the run's row.
func (r *Report) fidelityNotices() []string {
	var out []string
	for _, c := range r.Columns {
		if c.Widened > 0 || c.Rejected > 0 {
			out = append(out, fmt.Sprintf("column %s (%s): %d exact, %d widened, %d null, %d rejected", c.Name, c.Type,
				c.Exact, c.Widened, c.Null, c.Rejected))
		}
	}
	return out
}

// grouped writes a number with a comma every three digits.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// spell rounds a duration to what a person wants to know.
func spell(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
