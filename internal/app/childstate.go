package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"time"

	"firth/internal/state"
)

// statePath is where the child is told how far the collecting half is, and says how it is itself. It is served on the socket alone.
const statePath = "/internal/state"

// upstream is how far the collecting half is behind what it has taken.
type upstream struct {
	FlushLagSeconds   float64 `json:"flush_lag_seconds"`
	PendingEvents     int64   `json:"pending_events"`
	MergeWaitingFiles int64   `json:"merge_waiting_files"`
	MergeWaitingRows  int64   `json:"merge_waiting_rows"`
	OldestUnmerged    int64   `json:"oldest_unmerged"` // Unix microseconds; 0: nothing waits
}

// answerState is what the child answers.
type answerState struct {
	Components []state.Component `json:"components"`
	Load       []loadFigures     `json:"load"`
	// Warehouses are those that are servers.
	Warehouses []warehouseFigures `json:"warehouses,omitempty"`
	Mirrors    []mirrorFigures    `json:"mirrors,omitempty"`
	Store      *storeFigures      `json:"store,omitempty"` // of a lake at an object store
}

// loadFigures is how far a warehouse is behind the lake for one source.
type loadFigures struct {
	Source      string  `json:"source"`
	Warehouse   string  `json:"warehouse"`
	LagSeconds  float64 `json:"lag_seconds"`
	PendingRows int64   `json:"pending_rows"`
	LoadedRows  int64   `json:"loaded_rows"`   // since the warehouse was opened; of the embedded one
	RowsASecond float64 `json:"rows_a_second"` // of the embedded one
}

// childState watches how the answering half is, from the collecting half's side.
type childState struct {
	client *http.Client
	log    *slog.Logger
	pid    func() int64
	tell   func() upstream

	mu   sync.Mutex
	last []state.Component
	load []loadFigures
	far  []warehouseFigures
	sync []mirrorFigures
	away *storeFigures
}

const (
	answerName = "answer" // the component that stands for the answering half while it does not speak for itself
	pollEvery  = time.Second
	// startPatience is how long the answering half may be silent after the start before that is called a failure.
	startPatience = 5 * time.Second
)

func newChildState(socket string, pid func() int64, tell func() upstream, log *slog.Logger) *childState {
	return &childState{
		client: &http.Client{Transport: socketTransport(socket), Timeout: 2 * time.Second},
		log:    log, pid: pid, tell: tell,
		last: []state.Component{{Name: answerName, State: state.Starting}},
	}
}

// Run asks again and again until ctx ends, and logs what changes.
func (c *childState) Run(ctx context.Context) error {
	began := time.Now()
	for ctx.Err() == nil {
		answer := c.ask(ctx)
		now := answer.Components
		if now[0].Name == answerName && now[0].State == state.Failed && time.Since(began) < startPatience {
			now = []state.Component{{Name: answerName, State: state.Starting}}
		}
		c.replace(now, answer)
		select {
		case <-ctx.Done():
		case <-time.After(pollEvery):
		}
	}
	return nil
}

func (c *childState) replace(now []state.Component, answer answerState) {
	c.mu.Lock()
	before := c.last
	c.last, c.load, c.far, c.sync, c.away = now, answer.Load, answer.Warehouses, answer.Mirrors, answer.Store
	c.mu.Unlock()
	was := map[string]state.Component{}
	for _, b := range before {
		was[b.Name] = b
	}
	for _, n := range now {
		if sameTrouble(n, was[n.Name]) || (n.State == state.OK && was[n.Name].State == "") {
			continue
		}
		if n.State == state.OK || n.State == state.Starting {
			c.log.Info("component", "name", n.Name, "state", n.State)
			continue
		}
		c.log.Warn("component", "name", n.Name, "state", n.State, "error", n.Error, "hint", n.Hint)
	}
}

// figures are what counts up or down in a message from second to second.
var figures = regexp.MustCompile(`([0-9][0-9,.]*( (second|minute|hour|day)s?|ms|µs|[smhd])?)+`) //nolint:gochecknoglobals // a constant pattern

// sameTrouble says whether a component has nothing to say that it did not say before but for figures.
func sameTrouble(now, before state.Component) bool {
	return now.State == before.State && figures.ReplaceAllString(now.Error, "#") == figures.ReplaceAllString(before.Error, "#")
}

func (c *childState) ask(ctx context.Context) answerState {
	down := func(format string, args ...any) answerState {
		hint := "collecting goes on, and it is started again by itself; the log says why it ended"
		if pid := c.pid(); pid > 0 {
			hint = fmt.Sprintf("collecting goes on; process %d is there but silent: if somebody stopped it, kill -CONT %d; if it hangs, kill -9 %d and it is started again", pid, pid, pid)
		}
		return answerState{Components: []state.Component{{Name: answerName, State: state.Failed, Error: "the answering half " + fmt.Sprintf(format, args...), Hint: hint}}}
	}
	body, err := json.Marshal(c.tell())
	if err != nil {
		return down("cannot be told: %v", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://firth"+statePath, bytes.NewReader(body))
	if err != nil {
		return down("cannot be asked: %v", err)
	}
	r, err := c.client.Do(req)
	if err != nil {
		return down("does not answer: %v", err)
	}
	defer r.Body.Close()
	var answer answerState
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || len(answer.Components) == 0 {
		return down("does not answer in words: %s, %v", r.Status, err)
	}
	return answer
}

// loading is how far the warehouses are, as of the last answer.
func (c *childState) loading() []loadFigures {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load
}

// warehouses are the figures of the warehouses that are servers, as of the last answer.
func (c *childState) warehouses() []warehouseFigures {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.far
}

// mirrors are the figures of the mirrors, as of the last answer.
func (c *childState) mirrors() []mirrorFigures {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sync
}

// store are the figures of the lake's object store, as of the last answer; nil: there are none.
func (c *childState) store() *storeFigures {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.away
}

func (c *childState) components() []state.Component {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]state.Component(nil), c.last...)
}

// up says whether the answering half had its warehouse open when it was asked last.
func (c *childState) up() bool {
	first := c.components()[0]
	return first.Name != answerName && first.State == state.OK
}

// why says in words why the answering half cannot be reached.
func (c *childState) why() string {
	for _, k := range c.components() {
		if k.State != state.OK {
			if k.Error != "" {
				return k.Error
			}
			return "it is " + k.State
		}
	}
	return "it does not answer"
}
