package load

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"firth/internal/event"
	"firth/internal/warehouse"
)

// Stats say how a loader does, for metrics.
type Stats struct {
	Loads, Rows  int64         // since the start
	RowsPerSec   float64       // loaded, over the last seconds
	ArrivePerSec float64       // rows that the lake grew by, over the same time
	ChunkRows    int           // calls of the last load
	LoadTime     time.Duration // of the last load: read, shaped, appended, committed
	Slowest      time.Duration // of the last minute's loads
	Checkpoint   time.Duration // the warehouse's last one, where it tells
	PendingRows  int64         // in the lake, not in the tables
	Lag          time.Duration // between the last row received and the last row loaded, of the source that is furthest behind
	LastLoad     time.Time     // zero: none yet
}

// checkpointer is a warehouse that tells how long its last checkpoint took.
type checkpointer interface{ CheckpointTime() time.Duration }

const (
	paceEvery = 5 * time.Second // rates are means of so long
	// behindAfter is how far the tables may be behind the lake before that is said.
	behindAfter = time.Minute
)

// pace measures how fast rows come and go. Its zero value is ready; it may be used by several goroutines.
type pace struct {
	mu      sync.Mutex
	stats   Stats
	since   time.Time // of the rates that are being measured
	loaded  int64     // rows at that time
	arrived int64
	slowAt  time.Time

	told warehouse.Upstream
}

// load notes a load.
func (p *pace) load(calls int, took time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Loads++
	p.stats.Rows += int64(calls)
	p.stats.ChunkRows, p.stats.LoadTime, p.stats.LastLoad = calls, took, now
	if took >= p.stats.Slowest || now.Sub(p.slowAt) > time.Minute {
		p.stats.Slowest, p.slowAt = took, now
	}
}

// look notes how things stand: rows that the lake has in all, those that are not loaded, and the lag.
func (p *pace) look(now time.Time, lakeRows, pending int64, lag time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.PendingRows, p.stats.Lag = pending, lag
	if p.since.IsZero() {
		p.since, p.loaded, p.arrived = now, p.stats.Rows, lakeRows
		return
	}
	took := now.Sub(p.since)
	if took < paceEvery {
		return
	}
	p.stats.RowsPerSec = float64(p.stats.Rows-p.loaded) / took.Seconds()
	p.stats.ArrivePerSec = max(0, float64(lakeRows-p.arrived)/took.Seconds())
	p.since, p.loaded, p.arrived = now, p.stats.Rows, lakeRows
}

// Stats may be called from anywhere.
func (l *Loader) Stats() Stats {
	l.pace.mu.Lock()
	s := l.pace.stats
	l.pace.mu.Unlock()
	if c, ok := l.o.Warehouse.(checkpointer); ok {
		s.Checkpoint = c.CheckpointTime()
	}
	return s
}

// SetUpstream takes what the collecting half tells of itself, for firth.freshness. It may be called from anywhere, every second or so.
func (l *Loader) SetUpstream(u warehouse.Upstream) {
	u.Known = true
	l.pace.mu.Lock()
	defer l.pace.mu.Unlock()
	l.pace.told = u
}

func (l *Loader) upstream() warehouse.Upstream {
	l.pace.mu.Lock()
	defer l.pace.mu.Unlock()
	return l.pace.told
}

// measure notes how things stand with all sources.
func (l *Loader) measure() {
	var rows, pending int64
	var lag time.Duration
	for _, name := range l.names {
		s := l.sources[name]
		if f, ok := s.freshness(); ok {
			rows, pending = rows+s.snap.Rows, pending+f.PendingRows
			lag = max(lag, lagOf(&f))
		}
	}
	l.pace.look(l.o.Now(), rows, pending, lag)
}

// lagOf is 0 where nothing is pending, or nothing is loaded yet.
func lagOf(f *warehouse.Freshness) time.Duration {
	if f.PendingRows == 0 || f.LoadedThrough == event.NoTime || f.ReceivedThrough == event.NoTime {
		return 0
	}
	return max(0, time.Duration(f.ReceivedThrough-f.LoadedThrough)*time.Microsecond)
}

// behind says in words how far the tables are behind the lake and what becomes of it; no error where they keep up.
func (s *Stats) behind() (hint string, err error) {
	if s.Lag < behindAfter {
		return "", nil
	}
	text := fmt.Sprintf("%s behind: it loads %s rows/s and %s arrive; %s rows wait", inWords(s.Lag), grouped(int64(s.RowsPerSec)), grouped(int64(s.ArrivePerSec)), grouped(s.PendingRows))
	spare := s.RowsPerSec - s.ArrivePerSec
	if spare <= 0 {
		return "nothing is lost: the lake has every event. It catches up when fewer events come; processors, or fewer different events, make it faster", errors.New(text)
	}
	return "nothing is lost: the lake has every event, and the tables have it too in about " + inWords(time.Duration(float64(s.PendingRows)/spare*float64(time.Second))), errors.New(text)
}

// inWords is a duration in the unit that fits.
func inWords(d time.Duration) string {
	unit, n := "second", int64(d/time.Second)
	switch {
	case d >= 48*time.Hour:
		unit, n = "day", int64(d/(24*time.Hour))
	case d >= 2*time.Hour:
		unit, n = "hour", int64(d/time.Hour)
	case d >= 2*time.Minute:
		unit, n = "minute", int64(d/time.Minute)
	}
	if n = max(n, 1); n > 1 {
		unit += "s"
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// grouped writes a number with commas between the thousands.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
