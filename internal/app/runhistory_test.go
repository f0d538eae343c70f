package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"firth/internal/warehouse"
)

// notebook keeps what is written into it, or refuses.
type notebook struct {
	mu      sync.Mutex
	lines   []string
	refuses error
}

func (n *notebook) write(line string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuses == nil {
		n.lines = append(n.lines, line)
	}
	return n.refuses
}

func (n *notebook) RecordRun(_ context.Context, r *warehouse.Run) error {
	return n.write(r.ID + " " + r.State)
}

func (n *notebook) EndRuns(_ context.Context, kind, name, _, _ string, _ time.Time) error {
	return n.write("end " + kind + " " + name)
}

func (n *notebook) refuse(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refuses = err
}

func (n *notebook) read() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.lines)
}

func record(t *testing.T, h *runHistory, id, state string) {
	t.Helper()
	if err := h.RecordRun(t.Context(), &warehouse.Run{ID: id, Name: "pg", State: state}); err != nil {
		t.Fatal(err)
	}
}

func TestRunsAreHeldWhileTheHistoryIsClosed(t *testing.T) {
	t.Parallel()
	var told []string
	h := newRunHistory(slog.New(slog.DiscardHandler), func(r warehouse.Run) { told = append(told, r.ID+" "+r.State) })
	if err := h.EndRuns(t.Context(), "load", "pg", "it ended", "nothing", time.Now()); err != nil {
		t.Fatal(err)
	}
	record(t, h, "1", warehouse.RunRunning)
	record(t, h, "1", warehouse.RunSuccess)
	record(t, h, "2", warehouse.RunFailure)
	record(t, h, "3", warehouse.RunRunning)
	if want := []string{"1 success", "2 failure"}; !slices.Equal(told, want) {
		t.Errorf("told of %q, want %q", told, want)
	}
	var book notebook
	h.attach(&book)
	if !h.flush(t.Context()) {
		t.Error("something is left")
	}
	// The first run was held as it was in the end: once.
	if want := []string{"end load pg", "1 success", "2 failure", "3 running"}; !slices.Equal(book.read(), want) {
		t.Errorf("written %q, want %q", book.read(), want)
	}
	if last, ok := h.lastRun("pg"); !ok || last.ID != "3" {
		t.Errorf("the last run is %+v", last)
	}
}

func TestOldestHeldRunsAreForgotten(t *testing.T) {
	t.Parallel()
	h := newRunHistory(slog.New(slog.DiscardHandler), nil)
	for i := range heldRuns + 50 {
		record(t, h, strconv.Itoa(i), warehouse.RunSuccess)
	}
	var book notebook
	h.attach(&book)
	h.flush(t.Context())
	lines := book.read()
	if len(lines) != heldRuns || lines[0] != "50 success" || lines[heldRuns-1] != fmt.Sprintf("%d success", heldRuns+49) {
		t.Errorf("%d lines from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
}

func TestHistoryThatRefusesIsTriedAgain(t *testing.T) {
	t.Parallel()
	h := newRunHistory(slog.New(slog.DiscardHandler), nil)
	book := notebook{refuses: errors.New("the disk is full")}
	h.attach(&book)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	record(t, h, "1", warehouse.RunSuccess)
	record(t, h, "2", warehouse.RunRunning)
	within(t, "the refusal to be noted", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.noted != ""
	})
	record(t, h, "2", warehouse.RunSuccess)
	book.refuse(nil)
	within(t, "the runs to be written", func() bool { return slices.Equal(book.read(), []string{"1 success", "2 success"}) })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
