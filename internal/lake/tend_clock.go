package lake

import (
	"context"
	"time"
)

// tendClock watches the system's clock for jumps. A grace is a span of real time, while what is kept over a restart can only be a
// time by the clock. So in each round the clock is compared with one that nobody sets; when it has jumped, the times at which
// the condemned files were first seen dead jump with it, and no grace becomes shorter or longer.
type tendClock struct {
	running bool
	wall    time.Time // at the last round
	elapsed time.Duration
	doubt   bool          // a jump was not written down for certain: every grace begins anew
	waits   bool          // the clock jumped forward: retention waits
	since   time.Duration // when it did
}

const (
	// jumpSlack is how far the clocks may come apart between two rounds, as they do when the system's is corrected.
	jumpSlack = 2 * time.Second
	// jumpWait is how long a clock that jumped forward is not believed by retention, which nobody can take back.
	jumpWait = 24 * time.Hour
)

// tick begins a round: it returns the time that holds for the whole of it.
func (t *Tender) tick(ctx context.Context) (time.Time, error) {
	c := &t.clock
	now, elapsed := t.l.o.Now().Round(0), t.o.elapsed()
	if !c.running {
		c.running, c.wall, c.elapsed = true, now, elapsed
		return now, nil
	}
	jump := now.Sub(c.wall) - (elapsed - c.elapsed)
	c.wall, c.elapsed = now, elapsed
	if jump > jumpSlack {
		c.waits, c.since = true, elapsed
	}
	if c.waits && elapsed-c.since >= jumpWait {
		c.waits = false
	}
	if jump.Abs() <= jumpSlack && !c.doubt {
		return now, nil
	}
	t.l.o.Log.Warn("the system clock jumped; files wait for the end of their grace as before", "by", jump)
	if err := t.shift(ctx, jump, now); err != nil {
		c.doubt = true
		return now, err
	}
	c.doubt = false
	return now, nil
}

// shift moves the times of the condemned files by a jump of the clock.
func (t *Tender) shift(ctx context.Context, jump time.Duration, now time.Time) error {
	files, err := t.l.catalog.Condemned(ctx)
	if err != nil {
		return err
	}
	for i := range files {
		if t.clock.doubt {
			files[i].Since = now
		} else {
			files[i].Since = files[i].Since.Add(jump)
		}
	}
	return t.l.catalog.Condemn(ctx, files)
}
