package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"firth/internal/lake"
	"firth/internal/name"
	"firth/internal/warehouse"
)

// choose finds the tables that the order names. Where the warehouse does not have one, since somebody dropped it or nothing of it was
// loaded yet, it is looked for in the lake.
func (d *doing) choose(ctx context.Context) error {
	known, there := map[string][]string{}, map[string][]warehouse.Table{}
	look := func() error {
		for _, name := range d.sources {
			tables, err := d.l.o.Warehouse.Catalogue(ctx, name)
			if err != nil {
				return err
			}
			known[name], there[name] = d.known(tables), tables
		}
		return nil
	}
	err := d.exclusively(ctx, look)
	if d.kept.renewed(ctx, err) {
		err = d.exclusively(ctx, look)
	}
	if err != nil {
		return err
	}
	if d.missing(known) != "" {
		if err := d.search(ctx, there, known); err != nil {
			return err
		}
	}
	if want := d.missing(known); want != "" {
		var all []string
		for _, name := range d.sources {
			all = append(all, known[name]...)
		}
		return unknown("table", want, all)
	}
	d.tables = map[string][]string{}
	for _, name := range d.sources {
		for _, t := range known[name] {
			if slices.ContainsFunc(d.o.Tables, func(want string) bool { return d.names(want, name, t) }) {
				d.tables[name] = append(d.tables[name], strings.ToLower(t))
			}
		}
	}
	d.sources = slices.DeleteFunc(d.sources, func(name string) bool { return len(d.tables[name]) == 0 })
	return nil
}

// names reports whether a text of the order names a table of a source.
func (d *doing) names(want, source, tableName string) bool {
	return named(want, source, d.l.o.Rules.Schema(source), tableName)
}

// missing is the first text of the order that names none of the tables; "": all do.
func (d *doing) missing(known map[string][]string) string {
	for _, want := range d.o.Tables {
		if !slices.ContainsFunc(d.sources, func(name string) bool {
			return slices.ContainsFunc(known[name], func(t string) bool { return d.names(want, name, t) })
		}) {
			return want
		}
	}
	return ""
}

// known are the names of tables that an order may be about: those that exist, and the standard ones.
func (d *doing) known(tables []warehouse.Table) []string {
	var out []string
	for _, t := range tables {
		out = addName(out, t.Name)
	}
	for _, t := range d.l.o.Standard {
		out = addName(out, t.Name)
	}
	return out
}

func addName(list []string, name string) []string {
	same := func(o string) bool { return strings.EqualFold(o, name) }
	if same(warehouse.Discards) || slices.ContainsFunc(list, same) {
		return list
	}
	return append(list, name)
}

// search adds the tables that the lake has calls of, until all that the order names are there. The gate is not held: it reads the lake
// alone, in bounded memory.
func (d *doing) search(ctx context.Context, there map[string][]warehouse.Table, known map[string][]string) error {
	for _, name := range d.sources {
		snap, err := d.l.o.Lake.Snapshot(ctx, name)
		if errors.Is(err, lake.ErrNoTable) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the lake: %w", err)
		}
		f := finder{l: d.l, source: name, shaper: d.l.o.NewShaper(name), seen: map[[2]string]bool{}}
		for _, t := range there[name] {
			f.shaper.Restore(t.Name, t.Columns) // names that collide depend on those that are given
		}
		w := &walker{o: &d.l.o, source: name, label: d.l.o.Rules.Schema(name) + ".search", rows: d.l.o.Rows}
		err = d.walk(ctx, w, StageSurvey, snap.Positions, func(c *chunk, _ time.Time) error {
			found, err := f.tables(c)
			for _, t := range found {
				known[name] = addName(known[name], t)
			}
			if err == nil && d.missing(known) == "" {
				return errFound
			}
			return err
		})
		if errors.Is(err, errFound) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errFound ends a search.
var errFound = errors.New("found")

// finder tells which tables calls are rows of.
type finder struct {
	l      *Loader
	source string
	shaper Shaper
	seen   map[[2]string]bool // by type and event: calls of the same are rows of the same tables
}

func (f *finder) tables(c *chunk) (out []string, err error) {
	for i := range c.calls {
		call := &c.calls[i]
		kind := [2]string{call.Type, call.Event}
		if f.seen[kind] || !f.l.o.Wanted(call) {
			continue
		}
		if len(f.seen) < maxSeen {
			f.seen[kind] = true
		}
		if err := f.shaper.Add(call); err != nil {
			return nil, fmt.Errorf("shape the call at offset %d: %w", call.Offset, err)
		}
	}
	b := f.shaper.Take()
	for _, t := range slices.Concat(b.Tables, b.Upserts) {
		if f.l.o.Selection.table(f.source, f.l.o.Rules.Schema(f.source), t.Name) {
			out = append(out, t.Name)
		}
	}
	return out, nil
}

// maxSeen bounds the kinds of calls that a search remembers, so as not to shape each of them.
const maxSeen = 100_000

// unknown is the error of a name that is not there: it names the nearest one and the others.
func unknown(what, wrong string, known []string) error {
	slices.Sort(known)
	known = slices.Compact(known)
	if len(known) == 0 {
		return fmt.Errorf("there is no %s %q: there is none at all yet", what, wrong)
	}
	text := fmt.Sprintf("there is no %s %q", what, wrong)
	if nearest := name.Nearest(wrong, known); nearest != "" {
		text += fmt.Sprintf("; did you mean %q?", nearest)
	}
	const most = 50
	list := strings.Join(known[:min(most, len(known))], ", ")
	if len(known) > most {
		list += fmt.Sprintf(" and %d more", len(known)-most)
	}
	return fmt.Errorf("%s There are: %s", strings.TrimSuffix(text+".", "?.")+ending(text), list)
}

// ending is the mark that a sentence ends with.
func ending(text string) string {
	if strings.HasSuffix(text, "?") {
		return "?"
	}
	return ""
}
