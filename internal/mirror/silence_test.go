package mirror

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"firth/internal/source"
)

// silentSource is a source that nothing comes of once its rows are asked for; deaf means that it does not answer other connections either.
type silentSource struct {
	*fakeSource
	asked, deaf atomic.Bool
	looks       atomic.Int64
}

func (s *silentSource) Describe(ctx context.Context) (*source.Info, error) {
	if s.asked.Load() {
		s.looks.Add(1)
		if s.deaf.Load() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	return s.fakeSource.Describe(ctx)
}

func (s *silentSource) Scan(ctx context.Context, _ source.Request) (source.Rows, error) {
	s.asked.Store(true)
	<-ctx.Done()
	return nil, ctx.Err()
}

func silentMirror(s *silentSource) *Mirror {
	return New(Options{
		Config: Config{Name: "people", Mode: ModeReplace}, Target: newTarget(),
		From:        func(context.Context) (Source, error) { return s, nil },
		silenceLook: 10 * time.Millisecond, silenceAnswer: 20 * time.Millisecond,
	})
}

func TestASilentSourceEndsTheRun(t *testing.T) {
	s := &silentSource{fakeSource: people(10)}
	s.deaf.Store(true)
	rep, err := silentMirror(s).Copy(t.Context(), RunOptions{}, nil)
	var e *source.Error
	if !errors.As(err, &e) || !e.Retry || !strings.Contains(err.Error(), "does not answer another connection") || !strings.Contains(rep.Hint, "firewall") {
		t.Errorf("%v → %s", err, rep.Hint)
	}
}

// TestASlowSourceIsWaitedFor is at a statement that takes its time before the first row comes.
func TestASlowSourceIsWaitedFor(t *testing.T) {
	s := &silentSource{fakeSource: people(10)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := silentMirror(s).Copy(ctx, RunOptions{}, nil); done <- err }()
	for deadline := time.Now().Add(30 * time.Second); s.looks.Load() < 10; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it was looked for %d times", s.looks.Load())
		}
	}
	select {
	case err := <-done:
		t.Fatalf("the run ended: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
