package name

import "strings"

// Names gives the names of one scope and keeps them apart: two slugs never share a name. Slugs that are equal do share one. The
// outcome is that of the order of first use; a scope that lived before is told by Restore.
type Names struct {
	rules    Rules
	standard map[string]bool   // lower case
	names    map[string]string // slug to name
	slugs    map[string]string // name in lower case to slug
	guessed  map[string]bool   // names in lower case that were restored without a slug; it was read from the name
}

func newNames(r Rules, standard []string) Names {
	n := Names{
		rules: r, standard: make(map[string]bool, len(standard)),
		names: make(map[string]string), slugs: make(map[string]string), guessed: make(map[string]bool),
	}
	for _, s := range standard {
		n.standard[strings.ToLower(s)] = true
	}
	return n
}

// Len is the number of names given or restored, standard ones not counted.
func (n *Names) Len() int { return len(n.names) }

// find returns the name that a slug has.
func (n *Names) find(slug string) (string, bool) {
	if name, ok := n.names[slug]; ok {
		if len(n.guessed) > 0 {
			delete(n.guessed, strings.ToLower(name))
		}
		return name, true
	}
	return n.adopt(slug)
}

// adopt finds the name of a slug among those that were restored without theirs, where the name does not say which it was: it was
// cut, or underscores were put before it in a mode whose slugs keep them.
func (n *Names) adopt(slug string) (string, bool) {
	if len(n.guessed) == 0 || slug == "" {
		return "", false
	}
	name := n.choose(slug)
	lowered := strings.ToLower(name)
	if !n.guessed[lowered] {
		return "", false
	}
	guess := n.slugs[lowered]
	if known := n.names[guess]; strings.EqualFold(known, name) {
		name = known
		delete(n.names, guess)
	}
	delete(n.guessed, lowered)
	n.set(slug, name)
	return name, true
}

// give returns the name of a slug that is not empty, a new one if it has none.
func (n *Names) give(slug string) string {
	if name, ok := n.find(slug); ok {
		return name
	}
	name := n.choose(slug)
	n.set(slug, name)
	return name
}

// choose works out the name for a slug: the first that is free, or that may have been the slug's before it was restored.
func (n *Names) choose(slug string) string {
	name := n.rules.identifier(slug)
	cut := n.rules.fit(name, slug)
	if n.taken(cut) && len(name) > n.rules.limit() && n.rules.limit() > 0 {
		cut = n.rules.fitHashed(name, slug)
	}
	for n.taken(cut) {
		name = "_" + name
		cut = n.rules.fit(name, slug)
		if n.taken(cut) && len(cut) < len(name) {
			cut = n.rules.fitHashed(name, slug)
		}
	}
	return cut
}

// taken reports whether a name belongs to another slug for sure.
func (n *Names) taken(name string) bool {
	name = strings.ToLower(name)
	_, ok := n.slugs[name]
	return ok && !n.guessed[name] || n.standard[name]
}

func (n *Names) set(slug, name string) {
	n.names[slug] = name
	n.slugs[strings.ToLower(name)] = slug
}

// restore records that a name exists already for the slug. A standard name is left alone; so is a slug that has a name.
func (n *Names) restore(slug, name string) {
	if n.standard[strings.ToLower(name)] {
		return
	}
	if slug == "" {
		if _, ok := n.slugs[strings.ToLower(name)]; ok {
			return
		}
		slug = n.rules.slug(name)
		n.guessed[strings.ToLower(name)] = true
	}
	if _, ok := n.names[slug]; ok || slug == "" {
		// The name is taken all the same.
		n.slugs[strings.ToLower(name)] = slug
		return
	}
	n.set(slug, name)
}

// Columns gives the columns of one table their names.
type Columns struct{ names Names }

// NewColumns begins a table that has the given standard columns.
func (r Rules) NewColumns(standard ...string) *Columns {
	return &Columns{names: newNames(r, standard)}
}

// Len is the number of columns named so far, standard ones not counted.
func (c *Columns) Len() int { return c.names.Len() }

// Restore records a column of the stored catalogue. path may be empty where it is not known: then the name speaks for itself.
func (c *Columns) Restore(path, name string) {
	slug := ""
	if path != "" {
		slug = c.names.rules.ColumnSlug(path)
	}
	c.names.restore(slug, name)
}

// Find returns the column of a path if it has been named.
func (c *Columns) Find(path string) (string, bool) {
	return c.names.find(c.names.rules.ColumnSlug(path))
}

// Name returns the column of a path, see Rules.ColumnSlug. ok is false when nothing of the path survives as a name; such values
// belong in the overflow column.
func (c *Columns) Name(path string) (name string, ok bool) {
	slug := c.names.rules.ColumnSlug(path)
	if slug == "" {
		return "", false
	}
	return c.names.give(slug), true
}

// StandardTables returns the tables that an event cannot have for its own: those of the call types and Firth's own.
func StandardTables() []string {
	return []string{
		"tracks", "identifies", "users", "pages", "screens", "groups", "accounts", "aliases", "firth_discards",
	}
}

// Tables gives the event tables of one schema their names.
type Tables struct{ names Names }

// NewTables begins an empty schema.
func (r Rules) NewTables() *Tables { return &Tables{names: newNames(r, StandardTables())} }

// Len is the number of event tables named so far.
func (t *Tables) Len() int { return t.names.Len() }

// Restore records an event table of the stored catalogue. slug may be empty where it is not known.
func (t *Tables) Restore(slug, table string) { t.names.restore(slug, table) }

// Find returns the slug of an event and its table if it has been named.
func (t *Tables) Find(event string) (slug, table string) {
	slug = t.names.rules.slug(event)
	table, _ = t.names.find(slug)
	return slug, table
}

// Table returns the slug of an event and its table, naming it if need be. Both are empty when nothing of the event's name
// survives.
func (t *Tables) Table(event string) (slug, table string) {
	slug = t.names.rules.slug(event)
	if slug == "" {
		return "", ""
	}
	return slug, t.names.give(slug)
}
