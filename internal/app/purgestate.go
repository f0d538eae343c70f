package app

import (
	"maps"
	"slices"

	"firth/internal/state"
)

// component says in the words of /readyz how purges are: degraded while one is not complete because an attempt failed. It names nobody.
func (p *purger) component() state.Component {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := state.Component{Name: "purge", State: state.OK}
	if err := p.trouble[""]; err != nil {
		c.State, c.Error, c.Hint = state.Degraded, err.Error(), "make the files in the purge folder of data: readable; what they order is not carried out before"
		return c
	}
	for _, id := range slices.Sorted(maps.Keys(p.trouble)) {
		err := p.trouble[id]
		if err == nil {
			continue
		}
		c.State, c.Error = state.Degraded, "purge "+id+" is not complete, and is tried again: "+err.Error()
		if c.Hint = hintOf(err); c.Hint == "" {
			c.Hint = "see the server's log; firth lake purge --list shows how far it is"
		}
	}
	return c
}
