package app

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"

	"firth/internal/warehouse"
)

// forgetOrder asks all warehouses and mirrors to forget people. It is sent over a socket that only the owner can reach.
type forgetOrder struct {
	Sources      []string `json:"sources,omitempty"` // none: all
	UserIDs      []string `json:"user_ids,omitempty"`
	AnonymousIDs []string `json:"anonymous_ids,omitempty"`
	RowIDs       []string `json:"row_ids,omitempty"` // message ids, as in warehouse.Forget
	// Done are warehouses that an earlier call with the same people completed, after the lake had none of them any more.
	Done []string `json:"done,omitempty"`
}

// ids are all ids that may stand in a text.
func (o *forgetOrder) ids() []string { return slices.Concat(o.UserIDs, o.AnonymousIDs, o.RowIDs) }

// forgetReport is what became of a forgetOrder, a warehouse each.
type forgetReport struct {
	Warehouses []forgottenWarehouse `json:"warehouses"`
}

// forgottenWarehouse is what one warehouse removed. It names nobody.
type forgottenWarehouse struct {
	Warehouse string           `json:"warehouse"`
	Rows      map[string]int64 `json:"rows"` // removed, by schema.table
	Erased    bool             `json:"erased"`
	// Present are rows of mirrors that the source still has, by mirror: they have to be removed there.
	Present map[string]int64 `json:"present,omitempty"`
	Notices []string         `json:"notices,omitempty"`
	Seconds float64          `json:"seconds"`
	Error   string           `json:"error,omitempty"` // empty: it is complete
	Hint    string           `json:"hint,omitempty"`
}

// complete are the warehouses that have nothing of the people any more, for the Done of the next order.
func (r *forgetReport) complete() []string {
	var out []string
	for i := range r.Warehouses {
		if r.Warehouses[i].Error == "" {
			out = append(out, r.Warehouses[i].Warehouse)
		}
	}
	return out
}

// errNotForgotten says that some warehouse could not be reached or refused: the order has to be given again.
var errNotForgotten = errors.New("the purge is not complete")

// failure is errNotForgotten in words where some warehouse is not complete; nil: all are.
func (r *forgetReport) failure() error {
	var texts, hints []string
	for i := range r.Warehouses {
		if w := &r.Warehouses[i]; w.Error != "" {
			texts = append(texts, "warehouse "+w.Warehouse+": "+w.Error)
			if w.Hint != "" && !slices.Contains(hints, w.Hint) {
				hints = append(hints, w.Hint)
			}
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return hint(fmt.Errorf("%w: %s", errNotForgotten, strings.Join(texts, "; ")), "%s", strings.Join(append(hints, "what was removed stays so; it is tried again until every warehouse is complete"), ". "))
}

// removed are the rows that were removed in all.
func (w *forgottenWarehouse) removed() (n int64) {
	for _, rows := range w.Rows {
		n += rows
	}
	return n
}

// text is the report for a person, a line a warehouse and its notices.
func (r *forgetReport) text() string {
	var b strings.Builder
	for i := range r.Warehouses {
		w := &r.Warehouses[i]
		switch {
		case w.Error != "":
			fmt.Fprintf(&b, "%s  not complete: %s\n", w.Warehouse, w.Error)
		default:
			fmt.Fprintf(&b, "%s  %s of %s in %s\n", w.Warehouse, countOf(w.removed(), "row"), countOf(int64(len(w.Rows)), "table"), seconds(w.Seconds))
		}
		for _, n := range w.Notices {
			fmt.Fprintf(&b, "  notice  %s\n", n)
		}
		mirrors := make([]string, 0, len(w.Present))
		for name := range w.Present {
			mirrors = append(mirrors, name)
		}
		sort.Strings(mirrors)
		for _, name := range mirrors {
			fmt.Fprintf(&b, "  mirror %s  %s rows of theirs are in its database still: remove them there, and the next run removes them here\n", name, countText(w.Present[name]))
		}
	}
	return b.String()
}

// add takes what one step removed.
func (w *forgottenWarehouse) add(f *warehouse.Forgotten) {
	for name, n := range f.Rows {
		w.Rows[name] += n
	}
	for _, n := range f.Notices {
		if !slices.Contains(w.Notices, n) {
			w.Notices = append(w.Notices, n)
		}
	}
}

// fail takes why a warehouse is not complete, in words that name nobody.
func (w *forgottenWarehouse) fail(err error, ids []string) {
	err = explain(err)
	text := nameless(err.Error(), ids)
	if w.Error != "" {
		text = w.Error + "; " + text
	}
	w.Error, w.Erased = text, false
	if h := nameless(hintOf(err), ids); h != "" && w.Hint == "" {
		w.Hint = h
	}
}

// mostNames bounds how many ids are looked for in a text.
const mostNames = 10_000

// nameless takes ids out of a text where they stand as words. Shorter than three characters they may be anything and are left.
func nameless(text string, ids []string) string {
	for _, id := range ids[:min(len(ids), mostNames)] {
		if len(id) >= 3 && strings.Contains(text, id) {
			text = warehouse.Nameless(text, id)
		}
	}
	return text
}
