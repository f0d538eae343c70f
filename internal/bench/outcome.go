package bench

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// ErrWrong says that a benchmark found rows lost, doubled or changed: its figures are worth nothing.
var ErrWrong = errors.New("the result is wrong")

// Outcome is what a benchmark found, besides the ingest benchmark, which has a form of its own.
type Outcome struct {
	Bench    string        `json:"bench"`
	Title    string        `json:"title"`
	Machine  Machine       `json:"machine"`
	LoadEnd  string        `json:"load_average_after"`
	Took     time.Duration `json:"took_ns"`
	Set      []string      `json:"set"` // what was run, a line each
	Findings []Finding     `json:"findings"`
	Notes    []string      `json:"notes,omitempty"`
	Wrong    []string      `json:"wrong,omitempty"` // rows lost, doubled or changed
	Detail   any           `json:"detail,omitempty"`
}

// Finding is one line of an outcome: a figure, what it is compared with in the same run, and what it should be.
type Finding struct {
	What     string  `json:"what"`
	Measured float64 `json:"measured"`
	Unit     string  `json:"unit"`
	Baseline float64 `json:"baseline,omitempty"` // in the same unit; 0: there is none
	Goal     *Goal   `json:"goal,omitempty"`
}

// Goal is what a finding should be.
type Goal struct {
	Value   float64 `json:"value"`
	OfRatio bool    `json:"of_ratio,omitempty"` // of measured to baseline; else of what was measured
	AtLeast bool    `json:"at_least,omitempty"` // else at most
}

func atMost(v float64) *Goal       { return &Goal{Value: v} }
func ratioAtMost(v float64) *Goal  { return &Goal{Value: v, OfRatio: true} }
func ratioAtLeast(v float64) *Goal { return &Goal{Value: v, OfRatio: true, AtLeast: true} }

// Ratio is the measured figure as a multiple of the baseline, 0 without one.
func (f Finding) Ratio() float64 {
	if f.Baseline == 0 {
		return 0
	}
	return f.Measured / f.Baseline
}

// Met tells whether the finding is as it should be; one without a goal is.
func (f Finding) Met() bool {
	if f.Goal == nil {
		return true
	}
	v := f.Measured
	if f.Goal.OfRatio {
		v = f.Ratio()
	}
	if f.Goal.AtLeast {
		return v >= f.Goal.Value
	}
	return v <= f.Goal.Value
}

// missed counts the goals that were not reached, of how many.
func (o *Outcome) missed() (missed, goals int) {
	for _, f := range o.Findings {
		if f.Goal != nil {
			goals++
		}
		if !f.Met() {
			missed++
		}
	}
	return missed, goals
}

func (o *Outcome) add(what string, measured float64, unit string, baseline float64, goal *Goal) {
	o.Findings = append(o.Findings, Finding{What: what, Measured: measured, Unit: unit, Baseline: baseline, Goal: goal})
}

// addTime adds a duration in milliseconds; a goal is in milliseconds too, where it is not a ratio's.
func (o *Outcome) addTime(what string, d, baseline time.Duration, goal *Goal) {
	o.add(what, float64(d)/1e6, "ms", float64(baseline)/1e6, goal)
}

func (o *Outcome) set(format string, args ...any) {
	o.Set = append(o.Set, fmt.Sprintf(format, args...))
}
func (o *Outcome) note(format string, args ...any) {
	o.Notes = append(o.Notes, fmt.Sprintf(format, args...))
}
func (o *Outcome) wrong(format string, args ...any) {
	o.Wrong = append(o.Wrong, fmt.Sprintf(format, args...))
}

// print writes the outcome, as a table or as JSON, and returns ErrWrong where it is.
func (o *Outcome) print(s Setup, began time.Time) error {
	o.Took, o.LoadEnd = time.Since(began).Round(time.Second/10), loadAverage()
	var err error
	if s.JSON {
		e := json.NewEncoder(s.Out)
		e.SetIndent("", "  ")
		err = e.Encode(o)
	} else {
		err = o.writeText(s.Out)
	}
	if err == nil && len(o.Wrong) > 0 {
		err = fmt.Errorf("%w: %s", ErrWrong, o.Wrong[0])
	}
	return err
}

// writeText prints the outcome for a terminal of 80 columns.
func (o *Outcome) writeText(w io.Writer) error {
	b := bufio.NewWriter(w)
	p := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) } // the first error stays in b
	p("\n%s\n", o.Title)
	o.Machine.print(p)
	for i, line := range o.Set {
		head := ""
		if i == 0 {
			head = "run"
		}
		p("  %-9s%s", head, line)
	}
	p("           took %s; load average before %s, after %s\n", o.Took, o.Machine.Load, o.LoadEnd)
	p("%-34s%14s%12s%7s  %s", "", "measured", "baseline", "ratio", "wanted")
	for _, f := range o.Findings {
		base, ratio := "", ""
		if f.Baseline != 0 {
			base, ratio = number3(f.Baseline), fmt.Sprintf("%.2f", f.Ratio())
		}
		line := fmt.Sprintf("%-34s%14s%12s%7s  %s", f.What, number3(f.Measured)+" "+f.Unit, base, ratio, f.verdict())
		p("%s", strings.TrimRight(line, " "))
	}
	p("")
	for _, n := range o.Notes {
		p("  %s", n)
	}
	if missed, goals := o.missed(); goals > 0 {
		p("  %d of %d goals met, on this machine under the load it has", goals-missed, goals)
	}
	for _, w := range o.Wrong {
		p("  ! WRONG: %s", w)
	}
	return b.Flush()
}

// verdict prints the goal and whether it was met.
func (f Finding) verdict() string {
	if f.Goal == nil {
		return ""
	}
	sign, end := "≤", ""
	if f.Goal.AtLeast {
		sign = "≥"
	}
	if !f.Met() {
		end = " !"
	}
	return sign + " " + number3(f.Goal.Value) + end
}

// number3 prints a number with as many digits as tell something.
func number3(v float64) string {
	switch {
	case v >= 100 || v <= -100:
		return count(v)
	case v >= 10 || v == 0:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}
