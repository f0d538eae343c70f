// Package state is how a component says how it is: what /readyz shows, and what a person reads first when something is wrong.
package state

import "sync"

// The states of a component.
const (
	OK       = "ok"       // working
	Starting = "starting" // not there yet, nothing is wrong
	Degraded = "degraded" // working, but something needs a look
	Failed   = "failed"   // not working; Error says why and Hint what to do
	Stopping = "stopping"
)

// Component is one part of Firth and how it is. Error is what went wrong, Hint what a person can do about it.
type Component struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// Cell holds the state of one component. It is safe for use by several goroutines; make it with New.
type Cell struct {
	mu sync.Mutex
	c  Component
}

// New makes a cell in state starting.
func New(name string) *Cell { return &Cell{c: Component{Name: name, State: Starting}} }

// Set replaces the state.
func (c *Cell) Set(state string) { c.SetError(state, nil, "") }

// SetError replaces the state together with the error, which may be nil, and the hint.
func (c *Cell) SetError(state string, err error, hint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.c.State, c.c.Error, c.c.Hint = state, "", hint
	if err != nil {
		c.c.Error = err.Error()
	}
}

// Get returns the state.
func (c *Cell) Get() Component {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.c
}
