package load

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"firth/internal/warehouse"
)

// A session is a run of firth.runs: loads that follow one another. A steady stream is one run every few minutes, not one a
// second; a long back-fill is seen while it goes on. A session that is whole is a run from its start to its end, with rows or
// without.
const (
	runKind       = "load"
	sessionLength = 5 * time.Minute  // a steady stream begins a new run after this
	sessionIdle   = time.Minute      // a run ends when nothing came for so long
	sessionShow   = 10 * time.Second // how often a run that goes on is written
	forgetAfter   = 30 * 24 * time.Hour
	maxNotices    = 100
	maxLate       = 100 // runs kept while the history cannot be written
	historyWait   = 10 * time.Second
	triedPrefix   = "tried "
)

type session struct {
	history    History
	log        *slog.Logger
	now        func() time.Time
	newID      func() string
	kind, name string
	whole      bool // begun by start, not ended by tick
	schemas    bool // tables are named with their schema, and the times are told in a notice

	run      *warehouse.Run // nil between runs
	started  time.Time      // of a whole session
	last     time.Time      // of the last load
	loads    int            // in all
	shown    time.Time
	failure  error
	failures int // how often the run failed in the same way, one after the other
	late     []warehouse.Run
	mute     bool // that the history cannot be written was logged
}

// spent says when a load began and where its time went: reading and shaping, and the warehouse.
type spent struct {
	began         time.Time
	prepare, load time.Duration
}

// begin tidies what an earlier process left.
func (s *session) begin(ctx context.Context) error {
	if s.history == nil {
		return nil
	}
	return s.history.EndRuns(ctx, s.kind, s.name, "the process ended before the run did", "nothing: loading goes on from the stored position", s.now().Add(-forgetAfter))
}

// start begins a run of a whole session. A run that failed before is kept until it is known how this one ends.
func (s *session) start(ctx context.Context) {
	s.started = s.now()
	if s.failures == 0 {
		s.open(s.started)
		s.write(ctx)
	}
}

func (s *session) open(began time.Time) {
	s.run, s.failures = &warehouse.Run{ID: s.newID(), Kind: s.kind, Name: s.name, State: warehouse.RunRunning, StartedAt: began, Tables: map[string]int64{}}, 0
	s.shown = began
}

// loaded adds a load to the run, or begins one.
func (s *session) loaded(ctx context.Context, schema string, r *warehouse.Result, took spent) {
	if s.run == nil || s.failures > 0 {
		began := took.began
		if s.whole {
			began = s.started
		}
		s.open(began)
	}
	s.last = s.now()
	s.loads++
	s.run.Prepare += took.prepare
	s.run.Load += took.load
	prefix := ""
	if s.schemas {
		prefix = schema + "."
	}
	for name, n := range r.Rows {
		s.run.Tables[prefix+name] += n
		s.run.Rows += n
	}
	for _, n := range r.Notices {
		s.notice(n)
	}
	if r.Discards > 0 {
		s.run.Tables[prefix+warehouse.Discards] += r.Discards
	}
	s.tick(ctx)
}

func (s *session) notice(text string) {
	switch {
	case len(s.run.Notices) < maxNotices:
		s.run.Notices = append(s.run.Notices, text)
	case len(s.run.Notices) == maxNotices:
		s.run.Notices = append(s.run.Notices, "there were more notices")
	}
}

// tick ends a run that is idle or old, and shows one that goes on.
func (s *session) tick(ctx context.Context) {
	if s.run == nil || s.failures > 0 {
		s.flush(ctx)
		return
	}
	now := s.now()
	if !s.whole && (now.Sub(s.last) >= sessionIdle || now.Sub(s.run.StartedAt) >= sessionLength) {
		s.end(ctx)
		return
	}
	if now.Sub(s.shown) >= sessionShow {
		s.write(ctx)
	}
}

// end ends the run that is going on, if any, and returns it.
func (s *session) end(ctx context.Context) *warehouse.Run {
	if s.whole && s.failures > 0 {
		s.open(s.started)
	}
	if s.run == nil || s.failures > 0 {
		s.run, s.failures = nil, 0
		return nil
	}
	s.run.State, s.run.FinishedAt = warehouse.RunSuccess, s.last
	if s.whole {
		s.run.FinishedAt = s.now()
	}
	s.remark()
	s.write(ctx)
	run := s.run
	s.run = nil
	return run
}

// interrupt ends the run because the process ends.
func (s *session) interrupt(ctx context.Context) {
	if s.run != nil && s.failures == 0 {
		if s.whole {
			s.notice("ended early, with the process: loading goes on from the stored position")
		}
		s.end(ctx)
	}
	s.flush(ctx)
}

// remark adds the notices of a run's end.
func (s *session) remark() {
	var discards int64
	for name, n := range s.run.Tables {
		if name == warehouse.Discards || strings.HasSuffix(name, "."+warehouse.Discards) {
			discards += n
		}
	}
	if discards > 0 {
		s.notice(fmt.Sprintf("%d values did not fit their column and are listed in %s", discards, warehouse.Discards))
	}
	if s.schemas && (s.run.Rows > 0 || s.run.Prepare.Round(time.Millisecond)+s.run.Load.Round(time.Millisecond) > 0) {
		s.notice(fmt.Sprintf("prepare %s, load %s", s.run.Prepare.Round(time.Millisecond), s.run.Load.Round(time.Millisecond)))
	}
}

// failed ends the run with the error. The same failure again is the same row.
func (s *session) failed(ctx context.Context, err error, began time.Time) *warehouse.Run {
	text := err.Error()
	if s.run == nil || s.failures > 0 && !alike(s.failure, err) {
		s.open(began)
	}
	s.failure = err
	s.failures++
	s.run.State = warehouse.RunFailure
	if s.run.Rows > 0 {
		s.run.State = warehouse.RunPartial
	}
	s.run.FinishedAt, s.run.Error, s.run.Hint = s.now(), text, warehouse.HintOf(err)
	switch n := len(s.run.Notices); {
	case s.failures == 1:
		s.remark()
	case n > 0 && strings.HasPrefix(s.run.Notices[n-1], triedPrefix):
		s.run.Notices = s.run.Notices[:n-1]
		fallthrough
	default:
		s.run.Notices = append(s.run.Notices, fmt.Sprintf("%s%d times", triedPrefix, s.failures))
	}
	s.write(ctx)
	return s.run
}

// alike reports whether two failures are the same one. Texts of connections that broke name ports and differ each time.
func alike(a, b error) bool {
	return a != nil && (a.Error() == b.Error() || concernsAll(a) && warehouse.KindOf(a) == warehouse.KindOf(b))
}

// write records the run as it is. A history that cannot be written does not hold the loading up: what has ended is written later.
func (s *session) write(ctx context.Context) {
	s.shown = s.now()
	if s.history == nil {
		return
	}
	s.flush(ctx)
	if !s.record(ctx, s.run) && !s.run.FinishedAt.IsZero() && len(s.late) < maxLate {
		s.keep()
	}
}

// keep puts the run aside, in the place of what was put aside of it before.
func (s *session) keep() {
	kept := *s.run
	for i := range s.late {
		if s.late[i].ID == kept.ID {
			s.late[i] = kept
			return
		}
	}
	s.late = append(s.late, kept)
}

// flush writes the runs that could not be written when they ended.
func (s *session) flush(ctx context.Context) {
	for len(s.late) > 0 && s.record(ctx, &s.late[0]) {
		s.late = s.late[1:]
	}
}

func (s *session) record(ctx context.Context, r *warehouse.Run) bool {
	ctx, cancel := context.WithTimeout(ctx, historyWait)
	defer cancel()
	err := s.history.RecordRun(ctx, r)
	if err != nil && !s.mute {
		s.log.Warn("a run could not be recorded", "run", r.Name, "err", err)
	}
	s.mute = err != nil
	return err == nil
}
