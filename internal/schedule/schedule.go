// Package schedule says when something that is done again and again is due.
package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule tells times. It is safe for use by several goroutines.
type Schedule interface {
	// Next is the first time after the given one, which is that of the previous start.
	Next(after time.Time) time.Time
}

// Every is a schedule with d between two starts; d is a microsecond at least. It has its first run at once, see [First].
func Every(d time.Duration) Schedule { return every(max(d, time.Microsecond)) }

type every time.Duration

func (e every) Next(after time.Time) time.Time { return after.Add(time.Duration(e)) }

// Cron reads a schedule of five fields (minute, hour, day of the month, month, day of the week; standard crontab) or one of the
// words @hourly, @daily, @weekly, @monthly, @yearly and "@every 90m". Times are UTC; "CRON_TZ=Europe/Berlin " before the fields names
// another zone. Times that a change to summer time leaves out are left out; those that a change back repeats are due twice.
func Cron(expr string) (Schedule, error) {
	text := strings.TrimSpace(expr)
	if text == "" {
		return nil, fmt.Errorf("read the schedule %q: it is empty", expr)
	}
	if strings.Contains(text, "TZ=") && !strings.Contains(text, " ") {
		return nil, fmt.Errorf("read the schedule %q: a time zone and no fields", expr)
	}
	s, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("read the schedule %q: %w", expr, err)
	}
	out := crontab{s}
	if out.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("read the schedule %q: there is no such day", expr)
	}
	return out, nil
}

type crontab struct{ schedule cron.Schedule }

func (c crontab) Next(after time.Time) time.Time { return c.schedule.Next(after.UTC()) }

// First is when the first run of a schedule is due that begins now: at once for Every, else the next time.
func First(s Schedule, now time.Time) time.Time {
	if _, ok := s.(every); ok {
		return now
	}
	return s.Next(now)
}

// Gap is the time between the next two runs.
func Gap(s Schedule, now time.Time) time.Duration {
	next := s.Next(now)
	return s.Next(next).Sub(next)
}
