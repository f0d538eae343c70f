package app

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressShow shows a person how far a job is: a bar that moves on a terminal, plain lines elsewhere. It serves one goroutine.
type progressShow struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	stage string
	total int64
	bar   *progressbar.ProgressBar
	last  time.Time // of the last plain line
	line  string    // the last plain line
}

func newProgressShow(out io.Writer) *progressShow {
	return &progressShow{out: out, terminal: isTerminal(out), now: time.Now}
}

// lineEvery is the least time between two plain lines of the same stage.
const lineEvery = 5 * time.Second

func (s *progressShow) show(p progress) {
	if s.terminal {
		s.move(p)
		return
	}
	if p.Stage == s.stage && s.now().Sub(s.last) < lineEvery {
		return
	}
	line := p.text()
	if line == s.line {
		return
	}
	s.stage, s.last, s.line = p.Stage, s.now(), line
	fmt.Fprintln(s.out, line)
}

// move draws the bar anew. A bar that cannot be drawn is no reason to end the job.
func (s *progressShow) move(p progress) {
	total := p.Total
	if total == 0 {
		total = -1
	}
	if s.bar == nil || p.Stage != s.stage || total != s.total {
		s.end()
		s.stage, s.total = p.Stage, total
		s.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(s.out), progressbar.OptionSetDescription(p.Stage), progressbar.OptionSetWidth(30),
			progressbar.OptionShowCount(), progressbar.OptionShowBytes(p.Unit == "bytes"), progressbar.OptionUseIECUnits(true),
			progressbar.OptionThrottle(60*time.Millisecond), progressbar.OptionSetSpinnerChangeInterval(0), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(total > 0),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerPadding: "░", BarStart: "", BarEnd: ""}),
		)
	}
	if p.Bytes > 0 {
		s.bar.Describe(p.Stage + " (" + sizeText(p.Bytes) + ")")
	} else if p.Note != "" {
		s.bar.Describe(p.Stage + " (" + p.Note + ")")
	}
	if total > 0 && p.Done > total { // the total was an estimate
		s.bar.ChangeMax64(p.Done + 1)
	}
	_ = s.bar.Set64(p.Done)
}

// end removes the bar.
func (s *progressShow) end() {
	if s.bar != nil {
		_ = s.bar.Exit()
		_ = s.bar.Clear()
		s.bar = nil
	}
}

// text is a plain line.
func (p progress) text() string {
	number := countText
	unit := p.Unit
	if unit == "bytes" {
		number, unit = sizeText, ""
	}
	if unit != "" {
		unit = " " + unit
	}
	beside := ""
	if p.Bytes > 0 {
		beside = ", " + sizeText(p.Bytes)
	}
	if p.Note != "" {
		beside += ", " + p.Note
	}
	switch {
	case p.Total > 0 && p.Left > 0:
		return fmt.Sprintf("%s: %s of about %s%s (%d%%)%s, %s left", p.Stage, number(p.Done), number(p.Total), unit, min(100, 100*p.Done/p.Total), beside, seconds(p.Left))
	case p.Total > 0:
		return fmt.Sprintf("%s: %s of %s%s%s", p.Stage, number(p.Done), number(p.Total), unit, beside)
	case p.Done > 0:
		return fmt.Sprintf("%s: %s%s%s", p.Stage, number(p.Done), unit, beside)
	}
	return p.Stage
}
