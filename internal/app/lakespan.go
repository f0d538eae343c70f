package app

import (
	"fmt"
	"math"
	"time"
)

// span is a half-open span of times of receipt, in Unix microseconds.
type span struct{ from, to int64 }

// open reports whether the span leaves nothing out.
func (s span) open() bool { return s.from == math.MinInt64 && s.to == math.MaxInt64 }

// may reports whether rows received between two times may lie in the span.
func (s span) may(least, greatest int64) bool { return greatest >= s.from && least < s.to }

// spanForms are the ways in which a time may be written. Without a zone it is UTC.
var spanForms = []string{time.RFC3339Nano, time.DateOnly, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05Z07:00"}

// span reads --from and --to.
func (o *LakeOptions) span() (span, error) {
	out := span{math.MinInt64, math.MaxInt64}
	for _, p := range []struct {
		flag, text string
		into       *int64
	}{{"--from", o.From, &out.from}, {"--to", o.To, &out.to}} {
		if p.text == "" {
			continue
		}
		at, ok := parseTime(p.text)
		if !ok {
			var err error
			if at, err = parseMoment(p.text, o.now()); err != nil {
				return out, &hinted{usage: true, err: fmt.Errorf("%s: %q is no time", p.flag, p.text), hint: momentHint + "; without a zone it is UTC"}
			}
		}
		*p.into = at.UnixMicro()
	}
	if out.from >= out.to {
		return out, &hinted{usage: true, err: fmt.Errorf("nothing lies between --from %s and --to %s", o.From, o.To), hint: "events received at --from or later are in, those at --to or later are not"}
	}
	return out, nil
}

func parseTime(text string) (time.Time, bool) {
	for _, form := range spanForms {
		if at, err := time.Parse(form, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// text is the span for a person; "" where it is open.
func (s span) text() string {
	at := func(micros int64) string { return time.UnixMicro(micros).UTC().Format(time.RFC3339Nano) }
	switch {
	case s.open():
		return ""
	case s.to == math.MaxInt64:
		return "received from " + at(s.from)
	case s.from == math.MinInt64:
		return "received before " + at(s.to)
	default:
		return "received from " + at(s.from) + " to " + at(s.to)
	}
}

// where is the span as a condition of SQL; "" where it is open.
func (s span) where() string {
	at := func(micros int64) string {
		return "TIMESTAMPTZ '" + time.UnixMicro(micros).UTC().Format("2006-01-02 15:04:05.999999") + "+00'"
	}
	switch {
	case s.open():
		return ""
	case s.to == math.MaxInt64:
		return "WHERE received_at >= " + at(s.from)
	case s.from == math.MinInt64:
		return "WHERE received_at < " + at(s.to)
	default:
		return "WHERE received_at >= " + at(s.from) + " AND received_at < " + at(s.to)
	}
}
