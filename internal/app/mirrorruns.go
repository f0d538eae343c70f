package app

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"firth/internal/schedule"
	"firth/internal/warehouse"
)

const (
	joinBelow  = time.Minute     // the gap of a clock below which runs are told together, as the loads of warehouses are
	joinLength = 5 * time.Minute // a joined row begins anew after this
	joinWrite  = 10 * time.Second
	joinNotes  = 100
)

// joinedRuns tells runs that follow closely as one row of firth.runs: those of a clock with a gap below a minute, and failures that are
// the same one again and again, whatever the clock. It serves the runs of one mirror, each part (copy, list, get) by itself, and is safe
// for use by several goroutines.
type joinedRuns struct {
	now   func() time.Time
	short func(part string) bool   // whether the clock of a part has a short gap
	write func(run *warehouse.Run) // writes a row, in the place of the one with its ID

	mu    sync.Mutex
	parts map[string]*joinedRun // by the run's name
}

// joinedRun is the row of one part that runs may join.
type joinedRun struct {
	row     warehouse.Run // as it stands, without what is under way
	runs    int
	notes   []string  // of the runs, without the count of them
	written time.Time // when the row was
	dirty   bool      // the row is more than what was written
	pending string    // the ID of the run that goes on and has no row of its own
}

func newJoinedRuns(now func() time.Time, short func(string) bool, write func(*warehouse.Run)) *joinedRuns {
	return &joinedRuns{now: now, short: short, write: write, parts: map[string]*joinedRun{}}
}

// record takes a run as it begins, goes on and ends.
func (j *joinedRuns) record(r *warehouse.Run) {
	j.mu.Lock()
	defer j.mu.Unlock()
	open := j.parts[r.Name]
	if r.State == warehouse.RunRunning {
		j.began(open, r)
		return
	}
	if open != nil && open.pending != r.ID && r.ID != open.row.ID { // its own row was begun: nothing joins it any more
		open = nil
	}
	if open != nil && j.joins(open, r) {
		open.pending = ""
		open.add(r, j.now())
		if open.dirty && (open.row.State == warehouse.RunFailure || j.now().Sub(open.written) >= joinWrite) {
			j.flush(open)
		}
		return
	}
	if open != nil && open.dirty {
		j.flush(open)
	}
	next := &joinedRun{row: *r, runs: 1, notes: slices.Clone(r.Notices), written: j.now()}
	j.parts[r.Name] = next
	j.write(r)
}

// began holds the row of a run back that may join another, until it is known how it ends or it has gone on for some seconds.
func (j *joinedRuns) began(open *joinedRun, r *warehouse.Run) {
	switch {
	case open == nil:
	case open.pending == r.ID && open.row.State != warehouse.RunFailure: // the row shows that it goes on
		row := open.row
		row.State, row.FinishedAt, row.Rows = warehouse.RunRunning, time.Time{}, row.Rows+r.Rows
		j.write(&row)
		open.dirty = true
		return
	case open.pending == r.ID: // it goes on: it gets a row of its own
		if open.dirty {
			j.flush(open)
		}
		delete(j.parts, r.Name)
	case open.row.State == warehouse.RunFailure || j.close(open, r):
		open.pending = r.ID
		return
	default:
		if open.dirty {
			j.flush(open)
		}
		delete(j.parts, r.Name)
	}
	j.write(r)
}

// close reports whether a run follows the open row closely.
func (j *joinedRuns) close(open *joinedRun, r *warehouse.Run) bool {
	_, part, _ := strings.Cut(r.Name, "/")
	return j.short(part) && r.StartedAt.Sub(open.row.StartedAt) < joinLength && r.StartedAt.Sub(open.row.FinishedAt) < joinBelow
}

// joins reports whether a run that has ended is told in the open row: it came to the same end.
func (j *joinedRuns) joins(open *joinedRun, r *warehouse.Run) bool {
	if r.State != open.row.State || r.Error != open.row.Error {
		return false
	}
	return r.State == warehouse.RunFailure || j.close(open, r)
}

func (o *joinedRun) add(r *warehouse.Run, now time.Time) {
	o.runs++
	o.row.FinishedAt, o.row.Hint = r.FinishedAt, r.Hint
	o.row.Rows += r.Rows
	tables := map[string]int64{}
	for _, from := range []map[string]int64{o.row.Tables, r.Tables} {
		for name, n := range from {
			tables[name] += n
		}
	}
	o.row.Tables = tables
	for _, n := range r.Notices {
		if len(o.notes) < joinNotes && !slices.Contains(o.notes, n) {
			o.notes = append(o.notes, n)
		}
	}
	count := fmt.Sprintf("%d runs", o.runs)
	if r.State == warehouse.RunFailure {
		count = fmt.Sprintf("tried %d times", o.runs)
	}
	o.row.Notices = append(slices.Clone(o.notes), count)
	o.dirty = true
}

func (j *joinedRuns) flush(o *joinedRun) {
	row := o.row
	j.write(&row)
	o.written, o.dirty = j.now(), false
}

// end writes what was held back.
func (j *joinedRuns) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, o := range j.parts {
		if o.dirty {
			j.flush(o)
		}
	}
}

// shortClocks reports which parts of a mirror run more than once a minute.
func shortClocks(copyOf, list, get schedule.Schedule, now func() time.Time) func(part string) bool {
	parts := map[string]schedule.Schedule{"": copyOf, "list": list, "get": get}
	return func(part string) bool {
		s := parts[part]
		return s != nil && schedule.Gap(s, now()) < joinBelow
	}
}
