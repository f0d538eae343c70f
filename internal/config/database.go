package config

import (
	"net"
	"slices"
	"strings"

	spell "firth/internal/name"
)

// The types of databases that mirrors read, besides [Postgres] and [MySQL].
const (
	MongoDB = "mongodb"
	Redis   = "redis"
	SQLite  = "sqlite"
	// Exec and HTTP are what a block reads that names no database: a program, a web service.
	Exec = "exec"
	HTTP = "http"
)

// Database is one place that mirrors read from. Nothing is ever written there.
type Database struct {
	// Type is mongodb, redis, postgres, mysql or sqlite.
	Type string `yaml:"type"`
	// URL says where it is and who logs in; of SQLite it is the file, a relative one from the working directory.
	URL Secret `yaml:"url"`
	// CA is a file of certificates that the server's is checked against, in place of the system's.
	CA string `yaml:"ca"`
	// SSH, where not nil, is the host that the server is reached through.
	SSH *SSH `yaml:"ssh"`
}

// SSH is a host that forwards connections.
type SSH struct {
	// Host is HOST or HOST:PORT; the port is 22 by default.
	Host string `yaml:"host"`
	User string `yaml:"user"`
	// Key is a file with a private key; Password logs in where there is none.
	Key      string `yaml:"key"`
	Password Secret `yaml:"password"`
	// KnownHosts is the file of keys that hosts are known by; empty: ~/.ssh/known_hosts.
	KnownHosts string `yaml:"known_hosts"`
}

var databaseTypes = []string{MongoDB, Redis, Postgres, MySQL, SQLite} //nolint:gochecknoglobals // a constant list

// databaseAliases are names that people use for a type.
var databaseAliases = map[string]string{ //nolint:gochecknoglobals // a constant table
	"mongo": MongoDB, "ferretdb": MongoDB, "documentdb": MongoDB, "valkey": Redis, "keydb": Redis, "postgresql": Postgres, "pg": Postgres,
	"hydra": Postgres, "cockroachdb": Postgres, "redshift": Postgres, "mariadb": MySQL, "sqlite3": SQLite,
}

var databaseForms = map[string]string{ //nolint:gochecknoglobals // a constant table
	MongoDB: "mongodb://USER:PASSWORD@HOST:27017/DATABASE", Redis: "redis://USER:PASSWORD@HOST:6379/0", Postgres: "postgres://USER:PASSWORD@HOST:5432/DATABASE",
	MySQL: "mysql://USER:PASSWORD@HOST:3306/DATABASE", SQLite: "./app.db, the path of the file",
}

var databaseSchemes = map[string][]string{ //nolint:gochecknoglobals // a constant table
	MongoDB: {"mongodb", "mongodb+srv"}, Redis: {"redis", "rediss", "unix"}, Postgres: {"postgres", "postgresql"}, MySQL: {"mysql", "mariadb"}, SQLite: {"sqlite", "sqlite3", "file"},
}

func (d *decoder) databases(c *Config) {
	for _, name := range keys(c.Databases) {
		db, key := c.Databases[name], "databases."+name
		if !warehouseName.MatchString(name) {
			d.fault(d.lines[key], key, "a database's name is letters, digits, _ and -, a letter first, at most 63")
		}
		if !d.databaseType(key, db.Type) {
			continue
		}
		d.databaseURL(key, &db)
		if db.Type == SQLite {
			for _, k := range []string{"ca", "ssh"} {
				if d.given(key + "." + k) {
					d.fault(d.lines[key+"."+k], key+"."+k, "is for databases that are servers: SQLite is a file on this machine")
				}
			}
			continue
		}
		if db.SSH != nil {
			d.ssh(key+".ssh", db.SSH)
		}
	}
}

func (d *decoder) databaseType(key, kind string) bool {
	if slices.Contains(databaseTypes, kind) {
		return true
	}
	at := d.lineOf(key + ".type")
	low := strings.ToLower(kind)
	switch near := spell.Nearest(low, databaseTypes); {
	case kind == "":
		d.fault(at, key, "needs a type: one of %s", strings.Join(databaseTypes, ", "))
	case low == Exec || low == HTTP:
		d.fault(at, key, "%s needs no database: write %s: in the mirror's block", low, map[string]string{Exec: "exec", HTTP: "url"}[low])
	case databaseAliases[low] != "":
		d.fault(at, key, "write type: %s for %s", databaseAliases[low], kind)
	case near != "":
		d.fault(at, key, "type %q is not known; did you mean %s?", kind, near)
	default:
		d.fault(at, key, "type %q is not in this build; known: %s; a program of your own reads anything else: exec: in the mirror's block", kind, strings.Join(databaseTypes, ", "))
	}
	return false
}

// databaseURL refuses what is plainly meant for another kind. The rest is for firth check: nothing of a URL is printed.
func (d *decoder) databaseURL(key string, db *Database) {
	if db.URL == "" {
		d.fault(d.lines[key], key, "needs url: %s, best as env:NAME or file:PATH", databaseForms[db.Type])
		return
	}
	scheme, _, found := strings.Cut(string(db.URL), "://")
	if db.Type == SQLite && !found {
		return
	}
	if !found || !slices.Contains(databaseSchemes[db.Type], scheme) {
		d.fault(d.lineOf(key+".url"), key+".url", "is no address of this type: write %s", databaseForms[db.Type])
	}
}

func (d *decoder) ssh(key string, s *SSH) {
	if s.Host == "" {
		d.fault(d.lines[key], key, "needs host: the host to go through, as HOST or HOST:PORT")
	} else if strings.Contains(s.Host, "/") {
		d.fault(d.lineOf(key+".host"), key+".host", "is no host: write HOST or HOST:PORT, without ssh://")
	} else if _, port, err := net.SplitHostPort(s.Host); err == nil && port == "" {
		d.fault(d.lineOf(key+".host"), key+".host", "names no port behind the colon: write HOST or HOST:PORT")
	}
	if s.User == "" {
		d.fault(d.lines[key], key, "needs user: who logs in at the host")
	}
	if s.Key == "" && s.Password == "" {
		d.fault(d.lines[key], key, "needs key: the file of a private key, or password:")
	}
}
