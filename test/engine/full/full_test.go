// Package full tests that Spark and Trino read Firth's lake by the URL of its catalog. They are large and slow to start: `make engines` installs
// and runs them, and nothing else does. Each is started once, and attached to a server with its lake on disk and to one with it on a store.
package full

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"firth/test/engine/stand"
)

// installed is the folder that setup.sh fills.
func installed(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("FIRTH_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(home, ".cache", "firth")
	}
	return filepath.Join(cache, "engines")
}

// engine is one that runs, attached to servers as catalogs of their names.
type engine interface {
	ask(t *testing.T, statement string) ([][]string, error)
	dialect() dialect
}

// place is a server that engines are attached to.
type place struct {
	*stand.Stand
	name    string // of its catalog in the engines
	company *stand.Company
	engines map[string]engine
}

func TestEngines(t *testing.T) {
	if os.Getenv("FIRTH_ENGINES") == "" {
		t.Skip("Spark and Trino run by: make engines")
	}
	var places []place
	for _, name := range []string{"disk", "store"} {
		company := stand.NewCompany(t)
		places = append(places, place{Stand: stand.New(t, name == "store", company.Config()), name: name, company: company})
	}
	began := time.Now()
	engines := map[string]engine{"spark": newSpark(t, places), "trino": newTrino(t, places)}
	t.Logf("the engines answer after %s", time.Since(began).Round(time.Second))
	for _, p := range places {
		p.engines = engines
		t.Run(p.name, p.story)
	}
}

// story is what happens to a lake; the engines are asked after each step.
func (p place) story(t *testing.T) {
	const part, parts = 200, 3
	for range parts {
		p.Send("production", part, "")
	}
	p.Send("staging", 40, "")
	p.Identify("production", "free", 1, 2, 3, 4)
	p.Identify("production", "paid", 2, 3)
	p.load(t)
	p.same(t, "at first", slicesOf(events, tables))
	p.snapshots(t, part*parts)
	p.unknown(t, "SELECT later FROM @production.opened", "later")
	p.unknown(t, "SELECT country FROM @crm.companies", "country")

	p.Send("production", 5, `, "later": "größer"`)
	p.Identify("production", "paid", 5)
	p.company.Change("ALTER TABLE companies ADD COLUMN country TEXT", "UPDATE companies SET country = 'DE' WHERE id < 2", "INSERT INTO companies VALUES (4, 'Later', NULL)")
	p.load(t)
	p.same(t, "with new columns", slicesOf(events, tables, later))
	p.run(t, "lake", "merge")
	p.same(t, "after lake merge", slicesOf(events, tables, later))

	p.run(t, "lake", "purge", "--user", "user 3", "--grace", "0s")
	p.same(t, "after lake purge", slicesOf(events, tables, later, forgotten))
	p.none(t, forgotten)
	p.run(t, "lake", "expire")
	p.refused(t)
	p.same(t, "in the end", slicesOf(events, tables, later, forgotten))
}

func (p place) run(t *testing.T, args ...string) {
	t.Helper()
	began := time.Now()
	if out, err := p.Run(args...); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("firth %s: %s", args, time.Since(began).Round(10*time.Millisecond))
}

// load brings the mirrors and both warehouses up to date: the one in the lake, and the embedded one that Firth's own SQL reads.
func (p place) load(t *testing.T) {
	t.Helper()
	for _, command := range [][]string{{"sync", "companies"}, {"sync", "firms"}, {"load", "tables"}, {"load", "local"}} {
		p.run(t, command...)
	}
}
