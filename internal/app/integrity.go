package app

import (
	"context"
	"fmt"
	"log/slog"

	"firth/internal/lake"
	"firth/internal/state"
)

// scrubRate is how many bytes of the lake are read a second to find what the disk has spoiled: 100 GB take a good three hours.
const scrubRate = 8 << 20

// scrub reads the lake's files round after round until ctx ends or the function that it returns is called, which waits for the end.
func (a *answer) scrub(ctx context.Context, log *slog.Logger) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- a.reader.Scrub(ctx, scrubRate, func(err error) {
			log.Error("the lake's files cannot be verified", "error", err, "hint", lake.DamageHint)
		})
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			log.Warn("the lake's files are no longer verified", "error", err)
		}
	}
}

// integrity says which files of the lake are damaged.
func integrity(damaged []lake.Damage) state.Component {
	c := state.Component{Name: "integrity", State: state.OK}
	if len(damaged) == 0 {
		return c
	}
	c.State, c.Hint = state.Degraded, lake.DamageHint
	c.Error = damaged[0].Error()
	if more := len(damaged) - 1; more > 0 {
		c.Error += fmt.Sprintf("; and %d more: firth lake verify names them", more)
	}
	return c
}
