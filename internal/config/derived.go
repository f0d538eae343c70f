package config

import (
	"slices"
	"strings"
	"time"
)

// Derived is a table that statements make of the events of a source, beside it in the lake.
type Derived struct {
	// From is the source.
	From string `yaml:"from"`
	// MergeSQL is a SELECT over source_files: rows of events, or what SeedSQL makes of them, and of the table itself.
	MergeSQL string `yaml:"merge_sql"`
	// SeedSQL is a SELECT over source_files that says what an event contributes; empty: its columns.
	SeedSQL string `yaml:"seed_sql"`
	// Every is how often the table is merged again at most; answers are of the present all the same.
	Every Duration `yaml:"every"`
}

// derivedEvery is how often a derived table is merged again where nothing is said.
const derivedEvery = Duration(time.Minute)

// DerivedNames are the derived tables, sorted.
func (c *Config) DerivedNames() []string { return keys(c.Lake.Derived) }

func (d *decoder) derived(c *Config) {
	for _, name := range keys(c.Lake.Derived) {
		t, key := c.Lake.Derived[name], "lake.derived."+name
		at := d.lines[key]
		_, source := c.Sources[name]
		switch {
		case !sourceName.MatchString(name):
			d.fault(at, key, "a derived table is lake.NAME in SQL: lower-case letters, digits and _, at most 63, no digit first")
		case source:
			d.fault(at, key, "there is a source with this name, and lake.%s are its events: choose another", name)
		case slices.Contains(reservedSources, name) || name == "source" || name == "source_files" || strings.HasPrefix(name, "firth_") || strings.HasPrefix(name, "_firth_"):
			d.fault(at, key, "the name is taken by Firth; choose another")
		}
		_, known := c.Sources[t.From]
		switch {
		case t.From == "":
			d.fault(at, key, "needs from: the source whose events it is made of")
		case !known:
			d.fault(d.lineOf(key+".from"), key+".from", "there is no source %q; %s", t.From, suggest(t.From, "the sources are", keys(c.Sources)))
		}
		if strings.TrimSpace(t.MergeSQL) == "" {
			d.fault(at, key, "needs merge_sql: a SELECT over source_files, as SELECT user_id, max(ts) AS last_seen FROM source_files GROUP BY user_id")
		}
		if d.given(key+".seed_sql") && strings.TrimSpace(t.SeedSQL) == "" {
			d.fault(d.lineOf(key+".seed_sql"), key+".seed_sql", "is empty: write a SELECT over source_files, or leave it out")
		}
		if !d.given(key + ".every") {
			t.Every = derivedEvery
		}
		if t.Every < leastEvery {
			d.fault(d.lineOf(key+".every"), key+".every", "must be at least 1s; leave it out for 1m")
		}
		c.Lake.Derived[name] = t
	}
}
