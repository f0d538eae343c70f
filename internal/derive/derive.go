// Package derive keeps tables that a statement makes of the events of a source: the last row of a key, running sums, rows told apart by
// other columns than the message id. The raw events are never touched.
//
// The statement, merge_sql, reads source_files and says what becomes of those rows. Where merging what was merged before together with
// new rows gives the same as merging all rows (a sum of sums is a sum), a table is kept that was merged up to some position of the
// source, and an answer merges it with the events beyond. Where that is not so (an average of averages is none), the table is made of
// all events whenever they have changed. Either way readers get at every moment what the statement gives over all events.
package derive

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Spec is one table as configured.
type Spec struct {
	Name string
	From string // the source
	View string // what the source is called in lake
	// Seed, where it is not empty, is a SELECT over source_files that says what one event contributes; otherwise an event contributes its columns.
	Seed string
	// Merge is a SELECT over source_files, which are what events contribute and rows of the table itself.
	Merge string
	// Every is how often the table is merged again at most.
	Every time.Duration
}

// checks changes with what Check finds out: what an earlier one found is of no use then.
const checks = "1"

// Mark tells one statement from another: the state of a table that was made by other statements is of no use.
func (s *Spec) Mark() string {
	sum := sha256.Sum256([]byte(checks + "\x00" + s.From + "\x00" + s.Seed + "\x00" + s.Merge))
	return hex.EncodeToString(sum[:12])
}

// Mode says how a table is kept.
type Mode string

// The modes.
const (
	// Incremental: what was merged is merged again with what is new.
	Incremental Mode = "incremental"
	// Whole: all events are merged whenever they have changed.
	Whole Mode = "whole"
)

// Column is a column of a table with its type, as the engine writes it.
type Column struct{ Name, Type string }

// Plan is what was found out about a Spec.
type Plan struct {
	Spec
	Columns []Column
	Mode    Mode
	Why     string // it is not Incremental
}

// Position is how far a table has been merged: by journal the offset below which every event is in.
type Position map[string]uint64

// logs are the journals, sorted.
func (p Position) logs() []string {
	out := make([]string, 0, len(p))
	for log := range p {
		out = append(out, log)
	}
	slices.Sort(out)
	return out
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
