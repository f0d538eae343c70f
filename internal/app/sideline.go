package app

import (
	"context"
	"fmt"
	"log/slog"

	"firth/internal/lake"
	"firth/internal/state"
)

// sideline is a stage that works on the lake beside collecting, whose end does not stop collecting.
type sideline struct {
	run   func(context.Context) error
	tells func() lake.State
	log   *slog.Logger
	over  *state.Cell // says why, once the stage has come to an end by itself
}

func newSideline(name string, run func(context.Context) error, tells func() lake.State, log *slog.Logger) *sideline {
	return &sideline{run: run, tells: tells, log: log, over: state.New(name)}
}

// Run returns nil when ctx has ended and the stage is over.
func (s *sideline) Run(ctx context.Context) error {
	err := s.run(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // what fails because it is told to end explains nothing
	}
	if err == nil {
		err = fmt.Errorf("%s ended by itself", s.over.Get().Name)
	}
	const hint = "events are taken in and loaded all the same; start the server again when it suits, and report what the log says"
	s.over.SetError(state.Failed, err, hint)
	s.log.Error("a stage beside collecting has ended; the server goes on without it", "stage", s.over.Get().Name, "error", err, "hint", hint)
	<-ctx.Done()
	return nil
}

// component says how the stage is. A hint beside ok, by which the lake says that a stage is behind, makes it degraded.
func (s *sideline) component() state.Component {
	if c := s.over.Get(); c.State == state.Failed {
		return c
	}
	c := componentOf(s.tells())
	if c.State == state.OK && c.Hint != "" {
		c.State, c.Error = state.Degraded, "it works, and is behind"
	}
	return c
}
