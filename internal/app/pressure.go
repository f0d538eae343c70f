package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"firth/internal/journal"
	"firth/internal/lake"
	"firth/internal/state"
)

// pressure watches how much waits in the journal for the lake. It says in words when that becomes much, why, and what comes next.
// It is safe for use by several goroutines.
type pressure struct {
	look func() backlog
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex
	behind  bool      // said so, and not healed yet
	full    bool      // said that writes are refused, and it is not long ago that one was
	counted int64     // refused calls by the last look
	refused time.Time // when there was one
	at      time.Time // of the last look
	used    int64     // then
	growth  float64   // bytes a second, smoothed
}

// backlog is what waits between the door and the lake at one moment.
type backlog struct {
	Used, Budget int64 // bytes of the journal; a budget of 0 has no end
	Events       uint64
	Lag          time.Duration // since the oldest of them was received
	Refusal      error         // why the journal takes no more; nil: it does
	RefusalHint  string
	Past         error // why it took no more the last time, though it may take them again now
	Refused      int64 // calls so far that were refused because the journal was full

	Lake         lake.State
	Flush, Every time.Duration // of the last flush, and the configured interval
}

const (
	behindUse  = 0.5             // of the budget, from which the lake counts as behind
	behindLag  = 5 * time.Second // and the lag, for a small budget is half full in ordinary work
	almostFull = 0.9             // whatever the lag
	healedUse  = 0.4             // below which it has caught up
	lookEvery  = time.Second
	// acceptedFor is how long no write was refused until that is said: at the budget's end small calls still find room.
	acceptedFor = 10 * time.Second
)

func (b backlog) use() float64 {
	if b.Budget <= 0 {
		return 0
	}
	return float64(b.Used) / float64(b.Budget)
}

// large reports whether so much waits that the lake is behind.
func (b backlog) large() bool { return b.use() >= behindUse && b.Lag >= behindLag }

// slow says which stage holds the journal up, and what a person can do about it; shrinks: what waits becomes less.
func (b backlog) slow(shrinks bool) (why, hint string) {
	switch {
	case b.Lake.State == lake.StateFailing:
		return "the lake cannot be written: " + b.Lake.Error, b.Lake.Hint
	case b.Lake.State == lake.StateStarting:
		return "the lake is still being opened", ""
	case b.Flush > 3*b.Every:
		why = fmt.Sprintf("the lake is slow: the last flush took %s and one is due every %s", spanText(b.Flush), b.Every)
		return why, "look at what else works on the disk of lake.url: and on the processors; lake: { merge: false } switches merging off for a while"
	}
	if shrinks {
		return "the lake works through it", ""
	}
	return "more comes in than the lake takes", "give the machine more processors, or limit the sources: sources.NAME.limit"
}

// Run looks every second until ctx ends, and logs what changes.
func (p *pressure) Run(ctx context.Context) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		p.turn(p.look())
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// turn takes one look and logs where something begins or ends.
func (p *pressure) turn(b backlog) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if step := now.Sub(p.at).Seconds(); !p.at.IsZero() && step > 0 {
		p.growth = 0.8*p.growth + 0.2*float64(b.Used-p.used)/step
	}
	p.at, p.used = now, b.Used
	wasBehind, wasFull := p.behind, p.full
	if b.Refusal != nil || b.Refused > p.counted {
		p.full, p.refused = true, now
	} else if now.Sub(p.refused) >= acceptedFor {
		p.full = false
	}
	p.counted = b.Refused
	switch use := b.use(); {
	case p.full, use >= almostFull, b.large():
		p.behind = true
	case use < healedUse || b.Lag < behindLag/2:
		p.behind = false
	}
	c := p.words(b)
	switch {
	case p.full && !wasFull:
		p.log.Error("writes are refused with 503", "error", c.Error, "hint", c.Hint)
	case wasFull && !p.full:
		p.log.Info("writes are accepted again", "journal", sizeText(b.Used), "budget", sizeText(b.Budget))
	case p.behind && !wasBehind:
		p.log.Warn("the journal fills up", "error", c.Error, "hint", c.Hint)
	case wasBehind && !p.behind:
		p.log.Info("the journal has caught up", "journal", sizeText(b.Used), "budget", sizeText(b.Budget))
	}
}

// component says how the journal is.
func (p *pressure) component() state.Component {
	b := p.look()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.words(b)
}

// words is called with mu held.
func (p *pressure) words(b backlog) state.Component {
	c := state.Component{Name: "journal", State: state.OK}
	waiting := fmt.Sprintf("%s of %s wait for the lake, %s events, the oldest since %s", sizeText(b.Used), sizeText(b.Budget), countText(int64(b.Events)), spanText(b.Lag))
	if b.Budget <= 0 {
		waiting = fmt.Sprintf("%s wait for the lake, %s events, the oldest since %s", sizeText(b.Used), countText(int64(b.Events)), spanText(b.Lag))
	}
	why, do := b.slow(p.growth < 0)
	switch {
	case b.Refusal != nil:
		c.State, c.Error, c.Hint = state.Failed, b.Refusal.Error(), b.RefusalHint
		if b.use() >= almostFull {
			c.Error += "; " + waiting + ": " + why
			c.Hint = sentences(c.Hint, do)
		}
	case p.full && b.Past != nil && !b.large():
		c.State = state.Degraded
		c.Error, c.Hint = b.Past.Error()+"; a moment later writes were accepted again", journal.Hint(b.Past)
	case p.behind:
		c.State = state.Degraded
		c.Error = fmt.Sprintf("%.0f %% of journal.max_bytes is used: %s: %s", 100*b.use(), waiting, why)
		next := "events are accepted until the budget is full"
		if left := float64(b.Budget - b.Used); p.growth > 1024 && left > 0 {
			next += ", in about " + spanText(time.Duration(left/p.growth*float64(time.Second)).Round(time.Second)) + " at this rate"
		}
		c.Hint = sentences(do, next+"; then the answer is 503 with Retry-After, and it heals by itself")
	}
	return c
}

// sentences joins hints that are not empty.
func sentences(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return strings.TrimSuffix(a, ".") + "; " + b
}
