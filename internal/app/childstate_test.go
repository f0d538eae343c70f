package app

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"firth/internal/state"
)

// TestTroubleIsLoggedWhenItChanges counts the lines of a component whose figures go on counting.
func TestTroubleIsLoggedWhenItChanges(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := newChildState("", func() int64 { return 0 }, func() upstream { return upstream{} }, slog.New(slog.NewTextHandler(&log, nil)))
	for _, s := range []state.Component{
		{State: state.OK},
		{State: state.Failed, Error: "refused (tried 2 times in 1 second)", Hint: "again in 2 seconds"},
		{State: state.Failed, Error: "refused (tried 3 times in 59 seconds)", Hint: "again in 1 second"},
		{State: state.Failed, Error: "refused (tried 1,000 times in 2 minutes)", Hint: "again in 1 second"},
		{State: state.Failed, Error: "no such database"},
		{State: state.Degraded, Error: "no such database"},
		{State: state.OK},
		{State: state.OK},
	} {
		s.Name = "warehouse pg"
		c.replace([]state.Component{s}, answerState{})
	}
	var said []string
	for line := range strings.Lines(log.String()) {
		_, text, _ := strings.Cut(line, "state=")
		said = append(said, strings.TrimSpace(text))
	}
	want := []string{
		`failed error="refused (tried 2 times in 1 second)" hint="again in 2 seconds"`, `failed error="no such database" hint=""`,
		`degraded error="no such database" hint=""`, "ok",
	}
	if strings.Join(said, "\n") != strings.Join(want, "\n") {
		t.Errorf("said\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}
