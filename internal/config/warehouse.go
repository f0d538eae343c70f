package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	spell "firth/internal/name"
	"firth/internal/schedule"
)

// Local is the name of the embedded warehouse.
const Local = "local"

// The types of warehouses.
const (
	DuckDB   = "duckdb"
	Postgres = "postgres"
	MySQL    = "mysql"
	Redshift = "redshift"
)

// Warehouse is one place where the typed tables are kept. The embedded one is called local; every other is a server, or lies in the lake.
type Warehouse struct {
	Type string `yaml:"type"`
	// URL says where the server is, who logs in, and into which database.
	URL Secret `yaml:"url"`
	// Every or Cron is when it is loaded; with neither it is loaded on demand alone (firth load).
	Every Duration `yaml:"every"`
	// Cron has the five fields of crontab(5), or @hourly and so on; in UTC unless it begins with CRON_TZ=Area/City.
	Cron string `yaml:"cron"`
	// AccessMethod is how Postgres stores tables of events: heap or columnar (Hydra); empty: as the database does by default.
	AccessMethod string `yaml:"access_method"`
	// Naming says whose names tables and columns get: segment (default) or rudderstack.
	Naming string `yaml:"naming"`
	// Staging is where parts for Redshift lie until they are copied, s3://BUCKET/PREFIX; it may hold keys, so it is never printed.
	Staging Secret `yaml:"staging"`
	// IAMRole is the role with which Redshift reads Staging.
	IAMRole string `yaml:"iam_role"`
	// CA is a file of certificates that the server's is checked against, in place of the system's.
	CA string `yaml:"ca"`

	// Sources are those that are loaded; none: all.
	Sources Strings `yaml:"sources"`
	// Tables and Columns choose among what is loaded.
	Tables  Choice `yaml:"tables"`
	Columns Choice `yaml:"columns"`

	// Off is set by writing false in place of a mapping, which Local alone may: no typed tables are loaded into it.
	Off bool `yaml:"-"`
}

func (w *Warehouse) off(off bool) { w.Off = off }

// Choice takes what one of Include matches, or everything where there is none, but for what one of Exclude matches. A * in a
// pattern stands for any run of characters. A list in its place is Include.
type Choice struct {
	Include Strings `yaml:"include"`
	Exclude Strings `yaml:"exclude"`
}

func (c *Choice) list() any { return &c.Include }

// Alerts are told to a web hook.
type Alerts struct {
	// Webhook gets a POST for everything that is told; it may hold a token, so it is never printed. Empty: nothing is told.
	Webhook Secret `yaml:"webhook"`
	// Lag is how far a warehouse may be behind the lake, beyond its schedule; Quiet is how long a source may send nothing.
	Lag   Patience `yaml:"lag"`
	Quiet Patience `yaml:"quiet"`
}

// Loaded are the names of all warehouses that tables are loaded into, the embedded one first.
func (c *Config) Loaded() []string {
	if c.Warehouses[Local].Off {
		return c.Remote()
	}
	return append([]string{Local}, c.Remote()...)
}

// Remote are the names of the warehouses but the embedded one, in order.
func (c *Config) Remote() []string {
	var out []string
	for _, name := range keys(c.Warehouses) {
		if name != Local {
			out = append(out, name)
		}
	}
	return out
}

// warehouseName is what can be a folder's name, a part of a URL and the value of a label alike.
var warehouseName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`) //nolint:gochecknoglobals // a constant pattern

func (d *decoder) warehouses(c *Config) {
	for _, name := range keys(c.Warehouses) {
		w, key := c.Warehouses[name], "warehouses."+name
		switch {
		case w.Off && name == Local: // nothing is loaded into it; it answers SQL over the lake all the same
		case w.Off:
			d.fault(d.lines[key], key, "remove the block, or leave every and cron out to load it on demand alone")
		case name == Local:
			d.embedded(key, &w)
			d.selection(c, key, &w)
		case d.serverType(key, w.Type):
			d.server(c, name, key, &w)
			d.selection(c, key, &w)
			if w.Naming == "" {
				w.Naming = "segment"
			}
			c.Warehouses[name] = w
		}
	}
}

// given says whether the file has a key.
func (d *decoder) given(key string) bool { return d.lines[key] > 0 }

func (d *decoder) embedded(key string, w *Warehouse) {
	if w.Type != DuckDB {
		d.fault(d.lines[key], key, "local is the embedded warehouse, of type duckdb; give a %s warehouse another name", w.Type)
		return
	}
	for _, k := range []string{"url", "every", "cron", "access_method", "naming", "staging", "iam_role", "ca"} {
		if d.given(key + "." + k) {
			d.fault(d.lines[key+"."+k], key+"."+k, "is for warehouses that are servers: the embedded one lies in the data folder and follows the lake by itself")
		}
	}
}

// serverType reports whether a type is one of a server.
func (d *decoder) serverType(key, kind string) bool {
	known := []string{Postgres, MySQL, Redshift, Iceberg}
	at := d.lines[key+".type"]
	if at == 0 {
		at = d.lines[key]
	}
	switch strings.ToLower(kind) {
	case Postgres, MySQL, Redshift, Iceberg:
		if slices.Contains(known, kind) {
			return true
		}
	case "":
		d.fault(at, key, "needs a type: one of %s", strings.Join(known, ", "))
		return false
	case DuckDB:
		d.fault(at, key, "there is one embedded warehouse, and it is called local")
		return false
	case "hydra":
		d.fault(at, key, "Hydra is a Postgres: write type: postgres, and access_method: columnar for columnar tables")
		return false
	case "mariadb":
		d.fault(at, key, "write type: mysql for MariaDB")
		return false
	case "postgresql":
		d.fault(at, key, "write type: postgres")
		return false
	}
	if near := spell.Nearest(strings.ToLower(kind), known); near != "" {
		d.fault(at, key, "type %q is not known; did you mean %s?", kind, near)
		return false
	}
	d.fault(at, key, "type %q is not in this build; known: %s", kind, strings.Join(known, ", "))
	return false
}

func (d *decoder) server(c *Config, name, key string, w *Warehouse) {
	if !warehouseName.MatchString(name) {
		d.fault(d.lines[key], key, "a warehouse's name is letters, digits, _ and -, a letter first, at most 63")
	}
	if w.Type == Iceberg {
		d.iceberg(c, name, key, w)
		return
	}
	d.serverURL(key, w)
	d.when(key, w.Every, w.Cron, "load")
	if w.Naming != "" {
		d.oneOf(key+".naming", w.Naming, "segment", "rudderstack")
	}
	switch {
	case w.AccessMethod == "":
	case w.Type != Postgres:
		d.fault(d.lines[key+".access_method"], key+".access_method", "is for type postgres alone")
	default:
		d.oneOf(key+".access_method", w.AccessMethod, "heap", "columnar")
	}
	if w.Type == Redshift {
		if w.Staging == "" {
			d.fault(d.lines[key], key, "redshift needs staging: s3://BUCKET/PREFIX, where the rows lie until they are copied")
		} else if u, err := url.Parse(string(w.Staging)); err != nil || u.Scheme != "s3" || u.Host == "" {
			d.fault(d.lines[key+".staging"], key+".staging", "write it as s3://BUCKET/PREFIX")
		}
		return
	}
	for _, k := range []string{"staging", "iam_role"} {
		if d.given(key + "." + k) {
			d.fault(d.lines[key+"."+k], key+"."+k, "is for type redshift alone: %s takes rows over its own connection", w.Type)
		}
	}
}

// serverURL refuses what is plainly meant for another kind of server. The rest is for firth check: nothing of a URL is printed.
func (d *decoder) serverURL(key string, w *Warehouse) {
	form := map[string]string{
		Postgres: "postgres://USER:PASSWORD@HOST:5432/DATABASE", MySQL: "mysql://USER:PASSWORD@HOST:3306/DATABASE", Redshift: "redshift://USER:PASSWORD@HOST:5439/DATABASE",
	}[w.Type]
	if w.URL == "" {
		d.fault(d.lines[key], key, "needs url: %s, best as env:NAME or file:PATH", form)
		return
	}
	schemes := map[string][]string{Postgres: {"postgres", "postgresql"}, MySQL: {"mysql", "mariadb"}, Redshift: {"redshift", "postgres", "postgresql"}}[w.Type]
	scheme, _, found := strings.Cut(string(w.URL), "://")
	if !found || !slices.Contains(schemes, scheme) {
		d.fault(d.lines[key+".url"], key+".url", "is no address of this type: write %s", form)
	}
}

// leastEvery is the shortest interval of a schedule.
const leastEvery = Duration(time.Second)

// when checks every and cron of what is done (load, run) on a schedule.
func (d *decoder) when(key string, span Duration, cron, what string) {
	every, at := key+".every", key+".cron"
	switch {
	case d.given(every) && d.given(at):
		d.fault(d.lines[at], at, "stands beside every: keep one of the two")
	case d.given(every) && span < leastEvery:
		d.fault(d.lines[every], every, "must be at least 1s; leave it out to %s on demand alone", what)
	case d.given(at):
		if _, err := schedule.Cron(cron); err != nil {
			d.fault(d.lines[at], at, "%s; write five fields, for example \"15 */6 * * *\", or @hourly", err)
		}
	}
}

func (d *decoder) selection(c *Config, key string, w *Warehouse) {
	for _, name := range w.Sources {
		if !strings.Contains(name, "*") {
			d.knownSource(c, key+".sources", name)
		}
	}
	for _, list := range []struct {
		key      string
		patterns Strings
	}{
		{key + ".tables", w.Tables.Include}, {key + ".tables.exclude", w.Tables.Exclude},
	} {
		for _, p := range list.patterns {
			d.pattern(c, list.key, p, 2, "TABLE or SOURCE.TABLE, for example order_completed or production.*")
		}
	}
	for _, list := range []struct {
		key      string
		patterns Strings
	}{
		{key + ".columns", w.Columns.Include}, {key + ".columns.exclude", w.Columns.Exclude},
	} {
		for _, p := range list.patterns {
			d.pattern(c, list.key, p, 3, "TABLE.COLUMN or SOURCE.TABLE.COLUMN, for example users.email or *.email")
		}
	}
	for _, p := range w.Columns.Exclude {
		last := p[strings.LastIndexByte(p, '.')+1:]
		if last == "id" || last == "received_at" {
			d.fault(d.lineOf(key+".columns.exclude"), key+".columns.exclude", "%s cannot be left out: rows are told apart and replayed by it", last)
		}
	}
}

// lineOf is the line of a key, or of the nearest block around it that the file has.
func (d *decoder) lineOf(key string) int {
	for ; key != ""; key = key[:max(0, strings.LastIndexByte(key, '.'))] {
		if d.lines[key] > 0 {
			return d.lines[key]
		}
	}
	return 0
}

// pattern checks a pattern of at most so many parts; where it has them all, the part in front is a source.
func (d *decoder) pattern(c *Config, key, text string, most int, form string) {
	parts := strings.Split(text, ".")
	if len(parts) > most || slices.Contains(parts, "") || strings.ContainsAny(text, " \t\r\n") {
		d.fault(d.lineOf(key), key, "%q is no pattern: write %s", text, form)
		return
	}
	if len(parts) == most && !strings.Contains(parts[0], "*") {
		d.knownSource(c, key, parts[0])
	}
}

func (d *decoder) knownSource(c *Config, key, name string) {
	if _, ok := c.Sources[name]; ok {
		return
	}
	known := keys(c.Sources)
	if near := spell.Nearest(name, known); near != "" {
		d.fault(d.lineOf(key), key, "there is no source %q; did you mean %s?", name, near)
		return
	}
	d.fault(d.lineOf(key), key, "there is no source %q; the sources are %s", name, strings.Join(known, ", "))
}

func (d *decoder) alerts(c *Config) {
	if !d.given("alerts") {
		return
	}
	u, err := url.Parse(string(c.Alerts.Webhook))
	switch {
	case c.Alerts.Webhook == "":
		d.fault(d.lines["alerts"], "alerts", "needs webhook: the address that alerts are sent to, best as env:NAME or file:PATH")
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		d.fault(d.lines["alerts.webhook"], "alerts.webhook", "is no address: write https://HOST/PATH")
	}
	d.patience("alerts.lag", c.Alerts.Lag)
	d.patience("alerts.quiet", c.Alerts.Quiet)
}

// patience checks a span after which something is told.
func (d *decoder) patience(key string, p Patience) {
	if d.given(key) && p != Never && p < Patience(time.Second) {
		d.fault(d.lines[key], key, "must be at least 1s, or never")
	}
}
