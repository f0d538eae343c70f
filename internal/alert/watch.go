package alert

import (
	"fmt"
	"strings"
	"time"

	"firth/internal/event"
	"firth/internal/warehouse"
)

// RunEnded takes down how a run ended; one that goes on says nothing. A failure, of all or of a part, is raised at once.
func (a *Alerter) RunEnded(r warehouse.Run) {
	if a.o.Webhook == "" || r.State == warehouse.RunRunning {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	name, what := r.Name, "Loading "+r.Name
	if r.Kind != "load" {
		name = r.Kind + " " + r.Name
		what = "The " + name // the mirror companyperson
	}
	now, why := a.o.Now(), or(r.Error, or(strings.Join(r.Notices, "; "), "no reason was given"))
	k := key{RunFailed, name}
	if r.State == warehouse.RunSuccess {
		a.good(k, now)
		return
	}
	how := "failed"
	if r.State == warehouse.RunPartial {
		how = "failed in part"
	}
	a.bad(k, now, trouble{
		since: r.StartedAt, err: why, hint: r.Hint,
		begun: fmt.Sprintf("%s %s: %s", what, how, why),
		ended: fmt.Sprintf("%s works again; it had failed since %s", what, clock(r.StartedAt)),
	})
}

// Sources takes down when each source last sent an event; the zero time is never. It is to be called every minute or so.
func (a *Alerter) Sources(last map[string]time.Time) {
	if a.o.Webhook == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Now()
	for source, at := range last {
		k := key{SourceQuiet, source}
		quiet := of(a.o.QuietBy, source, a.o.Quiet)
		switch {
		case quiet > 0 && at.IsZero():
			continue // it was never heard, or all of it is gone: that says nothing
		case quiet <= 0, now.Sub(at) <= quiet:
			a.good(k, now)
			continue
		}
		a.bad(k, now, trouble{
			since: at, err: fmt.Sprintf("no event for %s, the last at %s", span(now.Sub(at)), clock(at)),
			hint:  "look at the program that sends them; if it is meant to be silent, set quiet of the source",
			begun: fmt.Sprintf("Source %s is quiet: no event for %s", source, span(now.Sub(at))),
			ended: fmt.Sprintf("Source %s sends events again; it had been quiet since %s", source, clock(at)),
		})
	}
}

// mark is a moment at which a warehouse had something to load: the lake had rows received through then that the warehouse lacked.
type mark struct {
	at      time.Time
	through int64
}

// Freshness takes down how far warehouses are behind the lake. It is to be called every minute or so; rows may come in any portions.
//
// A warehouse is behind when rows that were seen to wait are not in it after Lag; how far apart the times of receipt are does not
// raise it, for after a silence the first new row is far from the last. It is well when nothing waits, or what waits was received
// no longer than Lag after what is in.
func (a *Alerter) Freshness(rows []warehouse.Freshness) {
	if a.o.Webhook == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.o.Now()
	for _, f := range rows {
		a.fresh(now, f)
	}
}

func (a *Alerter) fresh(now time.Time, f warehouse.Freshness) {
	k := key{Freshness, f.Warehouse + "/" + f.Source}
	lag := of(a.o.LagBy, f.Warehouse, a.o.Lag)
	if lag <= 0 || f.PendingRows == 0 || f.ReceivedThrough == event.NoTime {
		delete(a.behind, k)
		a.good(k, now)
		return
	}
	m, ok := a.behind[k]
	if al := a.alerts[k]; !ok && al != nil && al.Firing { // since before a restart
		m, ok = mark{at: al.Since, through: f.ReceivedThrough}, true
		a.behind[k] = m
	}
	if !ok || f.LoadedThrough != event.NoTime && f.LoadedThrough >= m.through {
		m = mark{at: now, through: f.ReceivedThrough}
		a.behind[k] = m
	}
	waits := now.Sub(m.at)
	if waits <= lag {
		if f.LoadedThrough != event.NoTime && f.ReceivedThrough-f.LoadedThrough <= lag.Microseconds() {
			a.good(k, now)
		} else if al := a.alerts[k]; al != nil {
			a.heard(al, now)
		}
		return
	}
	loaded := "nothing is loaded yet"
	if f.LoadedThrough != event.NoTime {
		loaded = "it is loaded through " + clock(time.UnixMicro(f.LoadedThrough))
	}
	a.bad(k, now, trouble{
		since: m.at, err: fmt.Sprintf("%d rows wait, some for %s; %s", f.PendingRows, span(waits), loaded),
		hint:  "see the last runs of the warehouse, SELECT * FROM firth.runs, and run firth check",
		begun: fmt.Sprintf("Warehouse %s is behind: events of %s have waited for %s", f.Warehouse, f.Source, span(waits)),
		ended: fmt.Sprintf("Warehouse %s is up to date with %s again; it had been behind since %s", f.Warehouse, f.Source, clock(m.at)),
	})
}

// of is what holds for a name: its own, or what holds for all.
func of(by map[string]time.Duration, name string, all time.Duration) time.Duration {
	if own, ok := by[name]; ok {
		return own
	}
	return all
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// span is a duration as people say it: 26h, 17m, 40s.
func span(d time.Duration) string {
	switch {
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return fmt.Sprintf("%ds", d/time.Second)
	}
}

// Limits of what is told, in characters.
const (
	maxText   = 500
	maxDetail = 4000
)

// sentence makes one line of text that no chat takes for a command: Slack reads <!channel> and the like.
func sentence(s string) string {
	s = strings.NewReplacer("<", "‹", ">", "›").Replace(strings.Join(strings.Fields(s), " "))
	if s = clip(s, maxText); !strings.HasSuffix(s, "…") && !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	n := 0
	for i := range s {
		if n++; n > most {
			return s[:i] + "…"
		}
	}
	return s
}
