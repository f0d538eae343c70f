package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	spell "firth/internal/name"
	"firth/internal/vector"
)

// maxTable is the longest name of a mirror's table: the names of its staging table, its ids and its rejects are made from it, and
// databases take 63 characters.
const maxTable = 50

var (
	mirrorName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,49}$`) //nolint:gochecknoglobals // a constant pattern
	tableIdent = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,49}$`) //nolint:gochecknoglobals // a constant pattern
)

func (d *decoder) mirrors(c *Config) {
	owner := map[string]string{}
	for _, name := range keys(c.Mirrors) {
		m, key := c.Mirrors[name], "mirrors."+name
		if !mirrorName.MatchString(name) {
			d.fault(d.lines[key], key, "a mirror's name is letters, digits, _ and -, a letter first, at most %d", maxTable)
			continue
		}
		if !d.blocks(c, key, &m) {
			continue
		}
		d.into(c, name, &m)
		d.mode(key, &m)
		d.chosen(key, &m)
		d.deletes(key, &m)
		d.tuning(key, &m)
		table := m.Into.Warehouse + "/" + strings.ToLower(m.Into.Schema+"."+m.Into.Table)
		if other, ok := owner[table]; ok {
			d.fault(d.lines[key], key, "writes the table %s.%s, and so does the mirror %s: give one of the two another into.table", m.Into.Schema, m.Into.Table, other)
		}
		owner[table] = name
		c.Mirrors[name] = m
	}
}

// blocks checks that a mirror has a from, or a list and a get, and what is in them.
func (d *decoder) blocks(c *Config, key string, m *Mirror) bool {
	switch {
	case m.From == nil && m.List == nil && m.Get == nil:
		d.fault(d.lines[key], key, "needs from: what is copied; or list: and get: for a table whose rows are asked for by id")
		return false
	case m.From != nil && (m.List != nil || m.Get != nil):
		other := "list"
		if m.List == nil {
			other = "get"
		}
		d.fault(d.lines[key+"."+other], key+"."+other, "stands beside from: a mirror copies (from), or it lists and gets")
		return false
	case m.List == nil && m.Get != nil:
		d.fault(d.lines[key+".get"], key+".get", "needs list: beside it: which ids there are")
		return false
	case m.List != nil && m.Get == nil:
		d.fault(d.lines[key+".list"], key+".list", "needs get: beside it: what the columns of an id are; or write from: to copy what is listed")
		return false
	}
	ok := true
	for _, role := range []string{"from", "list", "get"} {
		if b := m.Blocks()[role]; b != nil {
			ok = d.block(c, key, role, b) && ok
		}
	}
	return ok
}

func (d *decoder) into(c *Config, name string, m *Mirror) {
	key := "mirrors." + name + ".into"
	takers := c.Takers()
	switch w := m.Into.Warehouse; {
	case w == "" && len(takers) == 0:
		d.fault(d.lineOf(key), key, "there is no warehouse that takes mirrors: configure one of type duckdb, postgres, mysql or iceberg")
	case w == "":
		m.Into.Warehouse = takers[0]
	case slices.Contains(takers, w):
	case c.Warehouses[w].Type == Redshift:
		d.fault(d.lineOf(key+".warehouse"), key+".warehouse", "%s is a redshift, and mirrors go into duckdb, postgres, mysql and iceberg", w)
	case c.Warehouses[w].Off:
		d.fault(d.lineOf(key+".warehouse"), key+".warehouse", "%s is switched off: remove warehouses.%s: false, or name another", w, w)
	default:
		d.fault(d.lineOf(key+".warehouse"), key+".warehouse", "there is no warehouse %q; %s", w, suggest(w, "the warehouses are", takers))
	}
	d.schema(c, key, m)
	if m.Into.Table == "" {
		m.Into.Table = tableName(name)
	}
	switch table := strings.ToLower(m.Into.Table); {
	case !tableIdent.MatchString(table):
		d.fault(d.lineOf(key+".table"), key+".table", "a table's name is letters, digits and _, no digit first, at most %d", maxTable)
	case strings.HasPrefix(table, "_firth_") || strings.HasSuffix(table, "__rejects"):
		d.fault(d.lineOf(key+".table"), key+".table", "names that begin with _firth_ or end with __rejects are taken by Firth")
	}
}

// schema fills in the schema that is left out, by the first database of the mirror.
func (d *decoder) schema(c *Config, key string, m *Mirror) {
	at := d.lineOf(key + ".schema")
	if m.Into.Schema == "" {
		for _, b := range []*Block{m.From, m.List, m.Get} {
			if b != nil && m.Into.Schema == "" {
				m.Into.Schema = b.Database
			}
		}
		if m.Into.Schema == "" {
			d.fault(at, key, "needs schema: the schema in the warehouse, since no database gives it its name")
			return
		}
		if !sourceName.MatchString(m.Into.Schema) {
			d.fault(at, key, "needs schema: the database's name %s is none in SQL", m.Into.Schema)
			return
		}
	}
	key += ".schema"
	switch name := m.Into.Schema; {
	case !sourceName.MatchString(name):
		d.fault(at, key, "a schema's name is lower-case letters, digits and _, at most 63, no digit first")
	case slices.Contains(reservedSources, name) || strings.HasPrefix(name, "firth_") || strings.HasPrefix(name, "_firth"):
		d.fault(at, key, "the name %s is taken by Firth; choose another", name)
	default:
		if _, taken := c.Sources[name]; taken {
			d.fault(at, key, "%s is the schema of the source of that name: choose another, for example %s", name, near63(name+"_data"))
		}
	}
}

func near63(name string) string { return name[:min(len(name), 63)] }

// suggest is the nearest of what is known, or all of it.
func suggest(name, all string, known []string) string {
	if near := spell.Nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	if len(known) == 0 {
		return "none is configured"
	}
	return all + " " + strings.Join(known, ", ")
}

func (d *decoder) mode(key string, m *Mirror) {
	if m.From == nil {
		for _, k := range []string{"mode", "every", "cron", "key", "cursor", "late", "delete_missing"} {
			if !d.given(key + "." + k) {
				continue
			}
			why := "is for mirrors that copy (from)"
			if k == "every" || k == "cron" {
				why = "stands in list and in get: each has a clock of its own"
			}
			d.fault(d.lines[key+"."+k], key+"."+k, "%s", why)
		}
		return
	}
	d.when(key, m.Every, m.Cron, "run")
	if m.Mode == "" {
		m.Mode = Replace
	}
	if m.Mode == "changes" {
		d.fault(d.lines[key+".mode"], key+".mode", "this build does not follow changes yet: write upsert, with a cursor where the table has one")
		return
	}
	d.oneOf(key+".mode", m.Mode, Replace, Append, Upsert)
	if m.Mode == Upsert && len(m.Key) == 0 {
		d.fault(d.lineOf(key+".mode"), key, "mode upsert needs key: the columns that tell rows apart, for example key: [id]")
	}
	if m.Mode == Append && m.Cursor == "" {
		d.fault(d.lineOf(key+".mode"), key, "mode append needs cursor: the column that only grows, for example cursor: created_at")
	}
	if m.Mode == Replace && m.Cursor != "" {
		d.fault(d.lineOf(key+".cursor"), key+".cursor", "is for append and upsert: replace reads the whole each time")
	}
	if m.Cursor == "" && d.given(key+".late") && m.Mode != Replace {
		d.fault(d.lines[key+".late"], key+".late", "needs cursor: it says how far below its greatest value a run begins")
	}
	if m.Mode == Replace && d.given(key+".late") {
		d.fault(d.lines[key+".late"], key+".late", "is for append and upsert with a cursor")
	}
}

func (d *decoder) deletes(key string, m *Mirror) {
	if m.DeleteMissing && m.Mode != Upsert && m.From != nil {
		d.fault(d.lineOf(key+".delete_missing"), key+".delete_missing", "is for mode upsert: replace holds what the source has anyway, and append only adds")
	}
	if !d.given(key + ".max_delete") {
		m.MaxDelete = DefaultMaxDelete
	}
	if m.From != nil && !m.DeleteMissing && m.Mode != Replace && d.given(key+".max_delete") {
		d.fault(d.lines[key+".max_delete"], key+".max_delete", "is for list and get, for replace, and for upsert with delete_missing")
	}
	if m.History && m.Mode == Append {
		d.fault(d.lineOf(key+".history"), key+".history", "is not for append, which changes no row: use upsert or replace")
	}
	if m.Drift == "" {
		m.Drift = "evolve"
	}
	d.oneOf(key+".drift", m.Drift, "evolve", "freeze", "report")
}

func (d *decoder) tuning(key string, m *Mirror) {
	documents := false
	for _, role := range []string{"from", "get"} {
		if b := m.Blocks()[role]; b != nil {
			documents = Documents(b.Kind)
		}
	}
	for _, k := range []string{"depth", "arrays"} {
		if d.given(key+"."+k) && !documents {
			d.fault(d.lines[key+"."+k], key+"."+k, "is for documents: tables of SQL databases have columns already")
		}
	}
	d.arrays(key, m)
	if k := key + ".uuid_subtype3"; d.given(k) {
		mongo := false
		for _, b := range m.Blocks() {
			mongo = mongo || b.Kind == MongoDB
		}
		if !mongo {
			d.fault(d.lines[k], k, "is for MongoDB: nothing else has binary subtypes")
		}
		d.oneOf(k, m.UUIDSubtype3, "java", "csharp", "python")
	}
	if !d.given(key + ".depth") {
		m.Depth = DefaultDepth
	}
	if m.Depth < 1 || m.Depth > 20 {
		d.fault(d.lines[key+".depth"], key+".depth", "must be between 1 and 20")
	}
	if m.Get == nil && d.given(key+".missing") {
		d.fault(d.lines[key+".missing"], key+".missing", "is for list and get: what becomes of an id that the get has nothing for")
	}
	if m.Get != nil && m.Get.Missing != "" {
		m.Missing = m.Get.Missing
	}
	if !d.given(key + ".concurrency") {
		m.Concurrency = DefaultConcurrency
	}
	if m.Concurrency < 1 || m.Concurrency > 256 {
		d.fault(d.lines[key+".concurrency"], key+".concurrency", "must be between 1 and 256")
	}
	if m.Get == nil && d.given(key+".rate") {
		d.fault(d.lines[key+".rate"], key+".rate", "is for list and get: the most ids that are asked for in a second")
	}
}

// arrays checks what becomes of arrays: tables of their own are for copies that keep no history, whose rows one field tells apart.
func (d *decoder) arrays(key string, m *Mirror) {
	for _, path := range keys(m.Arrays.Path) {
		if m.Arrays.Path[path] != "table" {
			continue
		}
		at := key + ".arrays"
		switch {
		case m.From == nil:
			d.fault(d.lines[at], at, "%q becomes JSON in a list and get: tables of their own are for mirrors that copy (from)", path)
		case m.History:
			d.fault(d.lines[at], at, "%q cannot be a table of its own beside history: leave out one of the two", path)
		case len(m.Key) > 1:
			d.fault(d.lines[at], at, "%q as a table of its own needs a key of one field, and key names %d", path, len(m.Key))
		case slices.ContainsFunc(keys(m.Arrays.Path), func(outer string) bool { return m.Arrays.Path[outer] == "table" && strings.HasPrefix(path, outer+".") }):
			d.fault(d.lines[at], at, "%q is within an array that is a table itself: it is JSON there", path)
		}
	}
}

// chosen gathers the columns of a mirror and its block, and checks them.
func (d *decoder) chosen(key string, m *Mirror) {
	role, b := "from", m.From
	if b == nil {
		role, b = "get", m.Get
	}
	inside := key + "." + role + ".columns"
	keyed := slices.ContainsFunc(b.Columns, func(c Column) bool { return c.Of != "" })
	if len(b.Columns) > 0 && len(m.Columns) > 0 && !keyed {
		d.fault(d.lines[inside], inside, "stands at the mirror already: keep one of the two")
	}
	at := key + ".columns"
	for i := range m.Columns {
		if m.Columns[i].Of != "" {
			d.fault(m.Columns[i].line, at+"."+m.Columns[i].Name, "keys of Redis stand in get.columns")
		}
	}
	if len(m.Columns) == 0 {
		at, m.Columns = inside, b.Columns
	} else if keyed {
		m.Columns = merged(m.Columns, b.Columns)
	}
	m.Exclude = append(slices.Clone(m.Exclude), b.Exclude...)
	d.columnRules(key, at, m)
	for _, path := range keys(m.Types) {
		d.typeText(d.lineOf(key+".types."+path), key+".types."+path, m.Types[path])
	}
	d.needed(key, at, m)
}

// merged are the settings at the mirror, then the columns of a get that has none.
func merged(own, get Columns) Columns {
	out := slices.Clone(own)
	for _, col := range get {
		i := slices.IndexFunc(out, func(o Column) bool { return o.Name == col.Name })
		if i < 0 {
			out = append(out, col)
			continue
		}
		out[i].Of, out[i].Template = col.Of, col.Template
	}
	return out
}

func (d *decoder) columnRules(key, at string, m *Mirror) {
	names := map[string]string{}
	for _, col := range m.Columns {
		if col.Mask != "" {
			d.mask(&col, at, slices.Contains(m.Key, col.Name), m.Cursor == col.Name)
		}
		if col.Type != "" {
			d.typeText(col.line, at, col.Type)
		}
		if slices.Contains(m.Exclude, col.Name) {
			d.fault(col.line, at, "%q is in exclude too: keep one of the two", col.Name)
		}
		as := strings.ToLower(col.As)
		if as == "" {
			continue
		}
		if !identifier63.MatchString(col.As) || strings.HasPrefix(as, "_firth") {
			d.fault(col.line, at, "as: %q is no name of a column: write letters, digits and _, no digit first, at most 63; _firth is taken", col.As)
		}
		if other, ok := names[as]; ok {
			d.fault(col.line, at, "%q and %q are both called %s", other, col.Name, col.As)
		}
		names[as] = col.Name
		if m.Get != nil && as == "id" {
			d.fault(col.line, at, "id is the column of the ids: call %q something else", col.Name)
		}
	}
	if d.given(key+".salt") && m.Salt == "" {
		d.fault(d.lines[key+".salt"], key+".salt", "must not be empty")
	}
}

var identifier63 = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`) //nolint:gochecknoglobals // a constant pattern

func (d *decoder) mask(col *Column, at string, isKey, isCursor bool) {
	number, cut := strings.CutPrefix(col.Mask, "truncate:")
	switch {
	case cut:
		if n, err := strconv.Atoi(number); err != nil || n < 1 {
			d.fault(col.line, at, "mask %q of %q: write truncate:N, the number of characters that are kept, at least 1", col.Mask, col.Name)
		}
	case col.Mask == "truncate":
		d.fault(col.line, at, "mask truncate of %q needs a number: truncate:3 keeps three characters", col.Name)
	case col.Mask != "hash" && col.Mask != "drop":
		d.fault(col.line, at, "mask %q of %q is not one of hash, drop, truncate:N", col.Mask, col.Name)
	}
	if isCursor || (isKey && col.Mask != "hash") {
		d.fault(col.line, at, "%q tells rows apart or orders them: it cannot be masked so", col.Name)
	}
}

func (d *decoder) typeText(line int, key, text string) {
	if _, ok := vector.ParseType(text); ok {
		return
	}
	known := []string{"boolean", "integer", "float", "decimal(P,S)", "text", "json", "blob", "uuid", "date", "time", "timestamp", "timestamptz", "interval", "text[]"}
	d.fault(line, key, "%q is no type; %s", text, suggest(strings.ToLower(text), "types are", known))
}

// needed checks that what tells rows apart is among the columns.
func (d *decoder) needed(key, at string, m *Mirror) {
	need := slices.Clone(m.Key)
	if m.Cursor != "" {
		need = append(need, m.Cursor)
	}
	for _, name := range need {
		if slices.Contains(m.Exclude, name) {
			d.fault(d.lineOf(key+".exclude"), key+".exclude", "%s is needed to tell rows apart or to order them: it cannot be left out", name)
			continue
		}
		has := func(c Column) bool { return c.Name == name }
		if m.Columns.Only() && !slices.ContainsFunc(m.Columns, has) {
			d.fault(d.lineOf(at), at, "lacks %s, which is the key or the cursor: add it", name)
		}
	}
}
