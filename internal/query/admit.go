package query

import (
	"context"
	"errors"
	"time"
)

// admission bounds how many queries run and how many wait.
type admission struct {
	running chan struct{}
	waiting chan struct{}
	wait    time.Duration
}

func newAdmission(concurrent, queue int, wait time.Duration) *admission {
	return &admission{make(chan struct{}, max(concurrent, 1)), make(chan struct{}, max(queue, 0)), wait}
}

var errWaited = errors.New("waited for a place for too long")

// enter takes a place, waiting for one if it must and may. release gives it back and must be called once.
func (a *admission) enter(ctx context.Context) (release func(), err error) {
	release = func() { <-a.running }
	select {
	case a.running <- struct{}{}:
		return release, nil
	default:
	}
	select {
	case a.waiting <- struct{}{}:
		defer func() { <-a.waiting }()
	default:
		return nil, a.full()
	}
	timeout, cancel := context.WithTimeoutCause(ctx, a.wait, errWaited)
	defer cancel()
	select {
	case a.running <- struct{}{}:
		return release, nil
	case <-timeout.Done():
		if errors.Is(context.Cause(timeout), errWaited) {
			return nil, a.full()
		}
		return nil, ctx.Err()
	}
}

func (a *admission) full() *Error {
	return fail(CodeTooMany, "try again in a moment", "%d queries are running already", cap(a.running))
}
