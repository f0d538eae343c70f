package load

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"firth/internal/warehouse"
)

// A session is a run of firth.runs: loads that follow one another. A steady stream is one run every few minutes, not one a
// second; a long back-fill is seen while it goes on.
const (
	runKind       = "load"
	sessionLength = 5 * time.Minute  // a steady stream begins a new run after this
	sessionIdle   = time.Minute      // a run ends when nothing came for so long
	sessionShow   = 10 * time.Second // how often a run that goes on is written
	forgetAfter   = 30 * 24 * time.Hour
	maxNotices    = 100
)

type session struct {
	history History
	log     *slog.Logger
	now     func() time.Time
	newID   func() string
	name    string

	run      *warehouse.Run // nil between runs
	last     time.Time      // of the last load
	shown    time.Time
	failures int // how often the run failed in the same way, one after the other
}

// begin tidies what an earlier process left.
func (s *session) begin(ctx context.Context) error {
	if s.history == nil {
		return nil
	}
	return s.history.EndRuns(ctx, runKind, s.name, "the process ended before the run did", "nothing: loading goes on from the stored position", s.now().Add(-forgetAfter))
}

// loaded adds a load to the run, or begins one.
func (s *session) loaded(ctx context.Context, r *warehouse.Result, began time.Time) {
	if s.run != nil && s.failures > 0 {
		s.run, s.failures = nil, 0
	}
	if s.run == nil {
		s.run = &warehouse.Run{ID: s.newID(), Kind: runKind, Name: s.name, State: warehouse.RunRunning, StartedAt: began, Tables: map[string]int64{}}
		s.shown = began
	}
	s.last = s.now()
	for name, n := range r.Rows {
		s.run.Tables[name] += n
		s.run.Rows += n
	}
	for _, n := range r.Notices {
		s.notice(n)
	}
	if r.Discards > 0 {
		s.run.Tables[warehouse.Discards] += r.Discards
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
		return
	}
	now := s.now()
	if now.Sub(s.last) >= sessionIdle || now.Sub(s.run.StartedAt) >= sessionLength {
		s.end(ctx)
		return
	}
	if now.Sub(s.shown) >= sessionShow {
		s.write(ctx)
	}
}

// end ends the run that is going on, if any.
func (s *session) end(ctx context.Context) {
	if s.run == nil || s.failures > 0 {
		s.run, s.failures = nil, 0
		return
	}
	s.run.State, s.run.FinishedAt = warehouse.RunSuccess, s.last
	if n := s.run.Tables[warehouse.Discards]; n > 0 {
		s.notice(fmt.Sprintf("%d values did not fit their column and are listed in %s", n, warehouse.Discards))
	}
	s.write(ctx)
	s.run = nil
}

// failed ends the run with the error. The same failure again is the same row.
func (s *session) failed(ctx context.Context, err error, began time.Time) {
	text := err.Error()
	if s.run == nil || (s.failures > 0 && s.run.Error != text) {
		s.run, s.failures = &warehouse.Run{ID: s.newID(), Kind: runKind, Name: s.name, StartedAt: began}, 0
	}
	s.failures++
	s.run.State = warehouse.RunFailure
	if s.run.Rows > 0 {
		s.run.State = warehouse.RunPartial
	}
	s.run.FinishedAt, s.run.Error, s.run.Hint = s.now(), text, warehouse.HintOf(err)
	if s.failures > 1 {
		s.run.Notices = []string{fmt.Sprintf("tried %d times", s.failures)}
	}
	s.write(ctx)
}

// write records the run as it is. A history that cannot be written does not hold the loading up.
func (s *session) write(ctx context.Context) {
	s.shown = s.now()
	if s.history == nil {
		return
	}
	if err := s.history.RecordRun(ctx, s.run); err != nil {
		s.log.Warn("a run could not be recorded", "run", s.run.Name, "err", err)
	}
}
