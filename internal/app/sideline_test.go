package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"firth/internal/lake"
	"firth/internal/state"
)

func TestStageThatEndsDoesNotStopTheServer(t *testing.T) {
	var log bytes.Buffer
	s := newSideline("merge", func(context.Context) error { return errors.New("broken") },
		func() lake.State { return lake.State{Name: "merge", State: lake.StateOK} }, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	within(t, "the component to say it", func() bool { return s.component().State == state.Failed })
	if c := s.component(); c.Name != "merge" || c.Error != "broken" || c.Hint == "" {
		t.Errorf("%+v", c)
	}
	select {
	case err := <-done:
		t.Fatalf("Run came back: %v", err)
	default:
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if !strings.Contains(log.String(), "broken") {
		t.Errorf("the log says %q", log.String())
	}
}

func TestComponentsOfTheLakeInTheWordsOfReadyz(t *testing.T) {
	for _, c := range []struct {
		in   lake.State
		want state.Component
	}{
		{lake.State{Name: "merge", State: lake.StateOK}, state.Component{Name: "merge", State: state.OK}},
		{lake.State{Name: "merge", State: lake.StateStarting}, state.Component{Name: "merge", State: state.Starting}},
		{lake.State{Name: "merge", State: lake.StateFailing, Error: "e", Hint: "h"}, state.Component{Name: "merge", State: state.Failed, Error: "e", Hint: "h"}},
		{lake.State{Name: "merge", State: lake.StateOK, Hint: "200 files wait"}, state.Component{Name: "merge", State: state.Degraded, Error: "it works, and is behind", Hint: "200 files wait"}},
	} {
		s := newSideline("merge", nil, func() lake.State { return c.in }, nil)
		if got := s.component(); got != c.want {
			t.Errorf("%+v: %+v", c.in, got)
		}
	}
}
