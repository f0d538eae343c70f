// Package alert tells a webhook what a person should look at: that a run failed, that a source went quiet, that a warehouse fell
// behind. Each is told once when it begins and once when it is well again, also over restarts. docs/alerts.md has the documents.
package alert

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"firth/internal/disk"
	"firth/internal/state"
)

// Events that are told.
const (
	RunFailed   = "run_failed"
	SourceQuiet = "source_quiet"
	Freshness   = "freshness"
)

// States of an alert.
const (
	Firing   = "firing"
	Resolved = "resolved"
)

// Message is what the webhook is sent, as one JSON document a request.
type Message struct {
	Text  string    `json:"text"`  // one sentence for people
	Event string    `json:"event"` // RunFailed, SourceQuiet or Freshness
	State string    `json:"state"` // Firing or Resolved
	Name  string    `json:"name"`  // what it is about: a warehouse, a source, warehouse/source
	Error string    `json:"error"` // what went wrong, also of one that is resolved
	Hint  string    `json:"hint"`  // what a person can do about it
	Since time.Time `json:"since"` // when it began
	At    time.Time `json:"at"`    // when it came to this state
}

// Options say where alerts go and when they are raised. The zero value of a field stands for its default.
type Options struct {
	// Webhook is the address that messages are posted to. It is a secret: no error, state or log line has any of it. Empty: nothing is
	// told, and nothing remembered.
	Webhook string
	Client  *http.Client // nil: one of its own; redirects are not followed either way
	FS      disk.FS      // of StateFile; nil: the system's
	Now     func() time.Time
	Log     *slog.Logger
	// StateFile remembers what was told, so that a restart neither repeats nor forgets it. Empty: only this process knows.
	StateFile string

	// Lag is how long an event may wait to be loaded before Freshness is raised; zero: it never is. LagBy has, by the name of the
	// warehouse, what holds in its place: one that runs every hour may be behind for an hour and Lag. Zero there: never.
	Lag   time.Duration
	LagBy map[string]time.Duration
	// Quiet is how long a source may be without an event before SourceQuiet is raised; zero: it never is. QuietBy has, by source, what
	// holds in its place.
	Quiet   time.Duration
	QuietBy map[string]time.Duration

	tick time.Duration // for tests: how often Run looks at the clock
}

func (o Options) withDefaults() Options {
	if o.Client == nil {
		o.Client = &http.Client{}
	}
	if o.FS == nil {
		o.FS = disk.OS{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.tick == 0 {
		o.tick = time.Second
	}
	return o
}

// How long things take.
const (
	// firstHold is how long what was wrong must be well before that is told. When it begins anew within flapping of that, the time
	// doubles, up to longestHold.
	firstHold   = time.Minute
	longestHold = time.Hour
	flapping    = time.Hour
	// forgotten is when an alert that nobody speaks of any more is dropped: its source or warehouse is gone.
	forgotten = 35 * 24 * time.Hour
)

// Alerter decides what is told and tells it. Its methods are safe for concurrent use and never wait for the network or a disk, except
// for Run.
type Alerter struct {
	o      Options
	client *http.Client
	cell   *state.Cell
	wake   chan struct{}

	saving sync.Mutex // held while the state file is written

	mu     sync.Mutex
	alerts map[key]*alert
	behind map[key]mark // of warehouses that have something to load
	dirty  bool         // the state file is behind
	pause  time.Duration
	next   time.Time // not before then is the webhook tried again
}

type key struct{ event, name string }

// alert is one thing that is or was wrong.
type alert struct {
	Event  string        `json:"event"`
	Name   string        `json:"name"`
	Firing bool          `json:"firing"`
	Told   string        `json:"told"`  // the state that the webhook knows; empty: none
	Since  time.Time     `json:"since"` // when it began
	At     time.Time     `json:"at"`    // when it came to its state
	Heard  time.Time     `json:"heard"` // when something was last heard of it, good or bad, to the day
	Well   time.Time     `json:"well"`  // since when it is well although it fires; zero: it is not
	Hold   time.Duration `json:"hold"`  // how long it must be
	Error  string        `json:"error"`
	Hint   string        `json:"hint"`
	Begun  string        `json:"begun"` // the sentence that it began with
	Ended  string        `json:"ended"` // the sentence that it is to end with

	tries int // in a row that the webhook did not take it
}

func (a *alert) state() string {
	if a.Firing {
		return Firing
	}
	return Resolved
}

// New returns an alerter that knows what the state file holds; one that cannot be read is logged and begun anew. Run delivers.
func New(o Options) *Alerter {
	o = o.withDefaults()
	client := *o.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	a := &Alerter{
		o: o, client: &client, cell: state.New("alerts"), wake: make(chan struct{}, 1),
		alerts: map[key]*alert{}, behind: map[key]mark{},
	}
	a.cell.Set(state.OK)
	if o.Webhook != "" {
		a.restore()
	}
	return a
}

// State says whether the webhook takes what it is told.
func (a *Alerter) State() state.Component { return a.cell.Get() }

// trouble is what is wrong with something, as it is told.
type trouble struct {
	since        time.Time
	err, hint    string
	begun, ended string
}

// bad takes down that something is wrong. Only the first time in a row it is told.
func (a *Alerter) bad(k key, now time.Time, t trouble) {
	al, ok := a.alerts[k]
	if !ok {
		al = &alert{Event: k.event, Name: k.name}
		a.alerts[k] = al
	}
	a.heard(al, now)
	if al.Firing {
		a.dirty = a.dirty || !al.Well.IsZero()
		al.Well = time.Time{}
		return
	}
	if ok && now.Sub(al.At) < flapping {
		al.Hold = min(2*al.Hold, longestHold)
	} else {
		al.Hold = firstHold
	}
	al.Firing, al.Well, al.At, al.Since, al.tries = true, time.Time{}, now, t.since, 0
	al.Error, al.Hint, al.Begun, al.Ended = clip(t.err, maxDetail), clip(t.hint, maxDetail), sentence(t.begun), sentence(t.ended)
	a.changed()
}

// good takes down that something is well.
func (a *Alerter) good(k key, now time.Time) {
	al, ok := a.alerts[k]
	if !ok {
		return
	}
	a.heard(al, now)
	if al.Firing && al.Well.IsZero() {
		al.Well = now
		a.changed()
	}
}

// heard notes that an alert is still spoken of. The state file need not know it to the minute.
func (a *Alerter) heard(al *alert, now time.Time) {
	if now.Sub(al.Heard) >= 24*time.Hour {
		al.Heard, a.dirty = now, true
	}
}

// settle resolves what has been well for long enough, and drops what is over.
func (a *Alerter) settle(now time.Time) {
	for k, al := range a.alerts {
		switch {
		case al.Firing && !al.Well.IsZero() && now.Sub(al.Well) >= al.Hold:
			al.Firing, al.At, al.tries = false, now, 0
			a.dirty = true
		case !al.Firing && al.Told == Resolved && now.Sub(al.At) >= flapping, now.Sub(al.Heard) >= forgotten:
			delete(a.alerts, k)
			a.dirty = true
		}
	}
}

// changed has Run look at once.
func (a *Alerter) changed() {
	a.dirty = true
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
