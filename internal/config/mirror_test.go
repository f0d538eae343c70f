package config

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/vector"
)

func goodMirrors(t *testing.T) *Config {
	t.Helper()
	t.Setenv("FIRTH_TEST_KEY", "from-env")
	t.Setenv("FIRTH_TEST_URL", "mongodb://ana:geheim@mongo/app")
	c, err := Load("testdata/mirrors.good.yml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDatabases(t *testing.T) {
	c := goodMirrors(t)
	users := c.Databases["users"]
	if users.Type != Postgres || string(users.URL) != "postgres://firth:geheim@db/users" || users.CA != "/etc/ca.pem" {
		t.Errorf("users: %+v", users)
	}
	if s := users.SSH; s == nil || s.Host != "bastion:2222" || s.User != "firth" || s.Key != "/etc/firth/key" || s.KnownHosts != "/etc/firth/known" {
		t.Errorf("ssh: %+v", s)
	}
	if c.Databases["app"].SSH != nil || c.Databases["files"].Type != SQLite {
		t.Errorf("databases: %+v", c.Databases)
	}
	if text := fmt.Sprintf("%v %+v", c.Databases, c.Mirrors); strings.Contains(text, "geheim") {
		t.Errorf("a secret is printed: %s", text)
	}
}

func TestListAndGet(t *testing.T) {
	c := goodMirrors(t)
	m := c.Mirrors["project_usage"]
	if m.From != nil || m.Mode != "" || m.Into != (Into{Warehouse: "local", Schema: "app", Table: "project_usage"}) {
		t.Errorf("project_usage: %+v", m)
	}
	if m.List.Kind != MongoDB || m.List.ID != "_id" || string(m.List.Filter) != `{"deleted":false}` || time.Duration(m.List.Every) != 8*time.Hour {
		t.Errorf("list: %+v", m.List)
	}
	if m.Get.Kind != Redis || m.Get.Hash != "project:{id}:usage" || time.Duration(m.Get.Every) != 30*time.Minute || m.Missing != "null" {
		t.Errorf("get: %+v, missing %q", m.Get, m.Missing)
	}
	if want := (vector.Type{Kind: vector.Int, Bits: 64}); len(m.Columns) != 2 || m.TypeOf("calls_last_month") == nil || !m.TypeOf("calls_last_month").Equal(want) || m.TypeOf("other") != nil {
		t.Errorf("columns: %+v", m.Columns)
	}
	if m.MaxDelete != 0.1 || m.Concurrency != DefaultConcurrency || m.Rate != 0 || m.Depth != DefaultDepth || m.Drift != "evolve" {
		t.Errorf("defaults: %+v", m)
	}
	n := c.Mirrors["counters"]
	if n.Into.Schema != "counts" || n.List.Kind != Exec || !slices.Equal(n.List.Exec, Strings{"./projects.py", "arg"}) || n.Missing != "zero" || n.Rate != 100 || n.Concurrency != 8 {
		t.Errorf("counters: %+v", n)
	}
	if len(n.Columns) != 2 || n.Columns[0].Of != "string" || n.Columns[0].Template != "calls:{id}" || n.Columns[0].Type != "integer" || n.Columns[1].Of != "set" {
		t.Errorf("columns of keys: %+v", n.Columns)
	}
	w := c.Mirrors["web"]
	if w.List.Kind != HTTP || w.List.Headers["Authorization"] != "from-env" || w.List.Next != "next" || w.Get.Key != "uuid" || w.Get.Cron == "" || w.Into.Table != "Things" {
		t.Errorf("web: %+v", w)
	}
}

func TestCopies(t *testing.T) {
	c := goodMirrors(t)
	m := c.Mirrors["companyperson"]
	if m.Mode != Replace || m.From.Kind != Postgres || m.Into != (Into{Warehouse: "local", Schema: "userdata", Table: "companyperson"}) || time.Duration(m.Every) != 15*time.Minute {
		t.Errorf("companyperson: %+v", m)
	}
	if len(m.Columns) != 3 || !m.Columns.Only() || c.Mirrors["project_usage"].Columns.Only() || m.Columns[2].Name != "role_in_company" {
		t.Errorf("columns: %+v", m.Columns)
	}
	p := c.Mirrors["people"]
	if p.Into != (Into{Warehouse: "pg", Schema: "users", Table: "people"}) || p.Late == nil || p.Late.Span != 15*time.Minute || !p.DeleteMissing || p.MaxDelete != 0.25 || !p.History || p.Drift != "freeze" {
		t.Errorf("people: %+v", p)
	}
	if p.Columns[2].As != "email_hash" || p.Columns[2].Mask != "hash" || p.Columns[3].Mask != "truncate:3" || string(p.Salt) != "geheimes-salz" || !slices.Equal(p.Exclude, Strings{"password"}) {
		t.Errorf("people: %+v, %q", p.Columns, p.Exclude)
	}
	if l := c.Mirrors["log"]; l.Late == nil || l.Late.Number != 1000 || l.From.Where != "level > 2" || l.Types["at"] != "timestamptz" || l.Into.Table != "events_log" {
		t.Errorf("log: %+v", l)
	}
	if o := c.Mirrors["orders"]; o.Depth != 2 || o.Arrays.Path["items"] != "table" || c.Mirrors["raw"].Arrays.Path != nil {
		t.Errorf("orders: %+v", o)
	}
}

func TestQueriesOfMongoKeepTheirOrderAndNumbers(t *testing.T) {
	c := goodMirrors(t)
	want := `[{"$match":{"total":{"$gte":1.50,"$ne":9007199254740993},"at":{"$gt":{"$date":"2025-01-01T00:00:00Z"}},"tag":{"$in":["a:b",{"$numberDouble":"Infinity"},16]}}},{"$sort":{"_id":-1,"a.b":1}}]`
	if got := string(c.Mirrors["orders"].From.Pipeline); got != want {
		t.Errorf("pipeline:\n%s\nwant:\n%s", got, want)
	}
	raw := c.Mirrors["raw"].From
	if string(raw.Filter) != `{"b":1,"a":{"$oid":"64b0c0c0c0c0c0c0c0c0c0c0"}}` || string(raw.Projection) != `{"z":1,"a":0}` {
		t.Errorf("filter %s, projection %s", raw.Filter, raw.Projection)
	}
}

func TestTheFirstWarehouseThatTakesMirrors(t *testing.T) {
	const rest = "\ndatabases: { app: { type: sqlite, url: a.db } }\nmirrors: { m: { from: { database: app, table: t } } }"
	for text, want := range map[string]string{
		"warehouses: { }": "local", "warehouses: { a: { type: postgres, url: 'postgres://h/d' } }": "local",
		"sources: {}\nwarehouses: { local: false, rs: { type: redshift, url: 'redshift://h/d', staging: 's3://b/p' }, z: { type: mysql, url: 'mysql://h/d' } }": "z",
	} {
		c, err := Parse("firth.yaml", []byte(text+rest))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Mirrors["m"].Into.Warehouse; got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	_, err := Parse("firth.yaml", []byte("warehouses: { local: false }"+rest))
	if err == nil || !strings.Contains(err.Error(), "no warehouse that takes mirrors") {
		t.Errorf("without any: %v", err)
	}
}

func TestDocumentedMirrorsAreValid(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"FIRTH_WRITE_KEY": "k", "MONGO_URL": "mongodb://h/d", "REDIS_URL": "redis://h", "DATABASE_URL": "postgres://h/d", "MYSQL_URL": "mysql://h/d", "FIRTH_SALT": "s", "API_TOKEN": "t",
	} {
		t.Setenv(name, value)
	}
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("there is no configuration")
	}
	for _, block := range blocks {
		if _, err := Parse("configuration.md", block[1]); err != nil {
			t.Errorf("%s\n%v", block[1], err)
		}
	}
}
