package mirror

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"firth/internal/warehouse"
)

// stored is the state of a mirror in its warehouse, published with the rows that it stands for. Each half keeps what it does not know.
type stored struct {
	Version int             `json:"version"`
	Copy    *copyState      `json:"copy,omitempty"`
	List    json.RawMessage `json:"list,omitempty"` // of list.go
	Get     json.RawMessage `json:"get,omitempty"`  // of get.go
}

const storedVersion = 1

// readStored reads what was published; nothing, where nothing was.
func readStored(raw json.RawMessage) (*stored, error) {
	s := &stored{Version: storedVersion}
	if len(raw) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(raw, s); err != nil {
		return nil, fmt.Errorf("read the mirror's state: %w", err)
	}
	if s.Version > storedVersion {
		return nil, &warehouse.Error{
			Op: "read the state of", Object: "the mirror", Kind: warehouse.Newer,
			Err: fmt.Errorf("it has version %d, this program knows %d", s.Version, storedVersion), Hint: "update firth",
		}
	}
	return s, nil
}

// run is one run while it goes on. Its methods may be called by several goroutines; report's own fields belong to the goroutine that
// began the run.
type run struct {
	m      *Mirror
	id     string
	part   string // empty, list or get
	o      RunOptions
	report *Report

	notify  func(Progress)
	rows    atomic.Int64
	bytes   atomic.Int64
	total   atomic.Int64
	reading atomic.Int64 // when it began, in nanoseconds
	moved   atomic.Int64 // grows whenever the run comes on

	mu      sync.Mutex
	stage   string
	told    time.Time
	record  time.Time
	notices map[string]bool
}

const (
	tellEvery   = 100 * time.Millisecond
	recordEvery = 5 * time.Second
	maxFailed   = 1000
)

// do carries out one run: it is recorded at its start, while it goes on, and at its end. part is empty for a copy, else list or get. The
// report is there whatever happens; the error is what fn returned.
func (m *Mirror) do(ctx context.Context, part string, o RunOptions, progress func(Progress), fn func(context.Context, *run) error) (*Report, error) {
	name := m.o.Config.Name
	if part != "" {
		name += "/" + part
	}
	r := &run{
		m: m, id: rand.Text(), part: part, o: o, notify: progress, notices: map[string]bool{},
		report: &Report{Name: name, DryRun: o.DryRun, Started: m.o.Now()},
	}
	r.total.Store(-1)
	r.write(warehouse.RunRunning, nil)
	err := m.awake(ctx, r, fn)
	rep := r.report
	rep.Finished, rep.Rows, rep.Bytes = m.o.Now(), r.rows.Load(), r.bytes.Load()
	rep.State = warehouse.RunSuccess
	if len(rep.Failed) > 0 {
		rep.State = warehouse.RunPartial
	}
	if err != nil {
		rep.State, rep.Error, rep.Hint = warehouse.RunFailure, err.Error(), HintOf(err)
		rep.Notices = slices.DeleteFunc(rep.Notices, func(n string) bool {
			return strings.HasSuffix(n, "after: "+rep.Error) || strings.HasPrefix(n, rep.Error+": the copy")
		})
	}
	r.write(rep.State, rep)
	r.tell(true)
	return rep, err
}

// write records the run.
func (r *run) write(state string, end *Report) {
	if r.m.o.Record == nil || r.o.DryRun {
		return
	}
	row := &warehouse.Run{
		ID: r.id, Kind: "mirror", Name: r.report.Name, State: state, StartedAt: r.report.Started, Rows: r.rows.Load(),
		Tables: map[string]int64{r.m.o.Config.Table.Table: r.rows.Load()},
	}
	if end != nil {
		row.FinishedAt, row.Error, row.Hint = end.Finished, end.Error, end.Hint
		row.Notices = append(slices.Clone(end.Notices), end.fidelityNotices()...)
		for i, f := range end.Failed {
			if i == 10 {
				row.Notices = append(row.Notices, fmt.Sprintf("%d ids more failed", len(end.Failed)-i))
				break
			}
			row.Notices = append(row.Notices, fmt.Sprintf("id %s: %s", f.ID, f.Error))
		}
	}
	r.m.o.Record(row)
}

// notice adds a line for the person who reads the report, once.
func (r *run) notice(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.notices[text] {
		r.notices[text] = true
		r.report.Notices = append(r.report.Notices, text)
	}
}

// failed adds an id that could not be read.
func (r *run) failed(id string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Failed) < maxFailed {
		r.report.Failed = append(r.report.Failed, FailedID{ID: id, Error: err.Error()})
	}
}

// enter says what the run does now. total is the estimated number of rows, or -1.
func (r *run) enter(stage string, total int64) {
	r.mu.Lock()
	r.stage = stage
	r.mu.Unlock()
	r.total.Store(total)
	r.moved.Add(1)
	r.reading.CompareAndSwap(0, r.m.o.Now().UnixNano())
	r.tell(true)
}

// publishing reports whether the run has read what it wants, and the source has nothing to say.
func (r *run) publishing() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stage == "publish"
}

// read counts rows that came from the source.
func (r *run) read(rows, bytes int64) {
	r.rows.Add(rows)
	r.bytes.Add(bytes)
	r.moved.Add(1)
	r.tell(false)
}

// count is read, under a name that hides no field of those who embed a run.
func (r *run) count(rows, bytes int64) { r.read(rows, bytes) }

// again forgets what a try that failed has counted.
func (r *run) again() {
	r.rows.Store(0)
	r.bytes.Store(0)
	r.report.Columns = nil
}

// tell passes the progress on, now and then or at once.
func (r *run) tell(now bool) {
	r.mu.Lock()
	at := r.m.o.Now()
	tell := r.notify != nil && (now || at.Sub(r.told) >= tellEvery)
	if tell {
		r.told = at
		p := Progress{Mirror: r.m.o.Config.Name, Stage: r.stage, Rows: r.rows.Load(), Bytes: r.bytes.Load(), Total: r.total.Load()}
		if began := r.reading.Load(); began != 0 {
			p.Elapsed = at.Sub(time.Unix(0, began))
		}
		r.notify(p)
	}
	record := r.report.Finished.IsZero() && at.Sub(r.record) >= recordEvery
	if record {
		first := r.record.IsZero()
		r.record = at
		record = !first
	}
	r.mu.Unlock()
	if record {
		r.write(warehouse.RunRunning, nil)
	}
}

// published takes what a publication did into the report. A run may publish several times.
func (r *run) published(p *warehouse.Published) {
	rep := r.report
	rep.Inserted += p.Inserted
	rep.Updated += p.Updated
	rep.Deleted += p.Deleted
	rep.Unchanged += p.Unchanged
	rep.Rejects += p.Rejects
	for _, n := range p.Notices {
		r.notice("%s", n)
	}
}

// HintOf is what a person can do about a failure of a mirror; empty: nothing is known.
func HintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return warehouse.HintOf(err)
}
