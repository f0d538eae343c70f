package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected messages of testdata/*.bad.yml")

// Each testdata/*.bad.yml has its expected message beside it as *.bad.txt.
func TestBadFilesAreRefusedInWords(t *testing.T) {
	t.Setenv("FIRTH_TEST_KEY", "from-env")
	files, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil || len(files) < 10 {
		t.Fatalf("the corpus is missing: %v, %d files", err, len(files))
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, err := Load(path)
			if err == nil {
				t.Fatal("was accepted")
			}
			got := strings.ReplaceAll(err.Error(), "testdata/", "") + "\n"
			golden := strings.TrimSuffix(path, ".yml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("message:\n%swant:\n%s", got, want)
			}
		})
	}
}

func TestGoodFile(t *testing.T) {
	t.Setenv("FIRTH_TEST_KEY", "from-env")
	c, err := Load("testdata/full.good.yml")
	if err != nil {
		t.Fatal(err)
	}
	p := c.Sources["production"]
	if len(p.WriteKey) != 2 || p.WriteKey[0] != "from-env" || p.WriteKey[1] != "second" {
		t.Errorf("write keys: %q", []Secret(p.WriteKey))
	}
	if p.Limit != 2000 || c.Sources["staging"].Limit != 0.5 {
		t.Errorf("limits: %v, %v", p.Limit, c.Sources["staging"].Limit)
	}
	if c.Lake.Flush.Bytes != 64<<20 || time.Duration(c.Lake.Flush.Every) != 500*time.Millisecond {
		t.Errorf("flush: %+v", c.Lake.Flush)
	}
	if time.Duration(c.Lake.Dedup.Window) != 48*time.Hour || c.Lake.Dedup.IDs != 1_000_000 {
		t.Errorf("dedup: %+v", c.Lake.Dedup)
	}
	m := c.Lake.Merge
	if m.Off || time.Duration(m.Small.Every) != time.Minute || m.Small.Files != 50 || m.Small.Bytes != 10<<20 || m.Large.Bytes != 100<<20 || m.Memory != 64<<20 {
		t.Errorf("merge: %+v", m)
	}
	if time.Duration(c.Lake.Keep) != 400*24*time.Hour || time.Duration(c.Lake.Grace) != 20*time.Minute {
		t.Errorf("keep %v, grace %v", c.Lake.Keep, c.Lake.Grace)
	}
	if c.Limits.Body != 512_000 || c.Limits.Event != 32<<10 || c.Limits.Batch != 2500 {
		t.Errorf("limits do not keep their defaults: %+v", c.Limits)
	}
	if u := c.Users["ana"]; u.Password != "pass" || u.Role != "reader" || len(u.Schemas) != 2 {
		t.Errorf("user: %+v", u)
	}
	if len(c.ProxyNets()) != 2 {
		t.Errorf("proxies: %v", c.ProxyNets())
	}
}

func TestWarehouses(t *testing.T) {
	t.Setenv("FIRTH_TEST_URL", "postgresql://ana:geheim@db/warehouse")
	t.Setenv("FIRTH_TEST_HOOK", "https://hooks.example.com/token")
	c, err := Load("testdata/warehouses.good.yml")
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Remote(); !slices.Equal(got, []string{"by-hand", "my", "open", "pg", "rs"}) {
		t.Errorf("remote: %q", got)
	}
	pg := c.Warehouses["pg"]
	if string(pg.URL) != "postgresql://ana:geheim@db/warehouse" || time.Duration(pg.Every) != 2*time.Second || pg.AccessMethod != "columnar" || pg.Naming != "segment" {
		t.Errorf("pg: %+v", pg)
	}
	if !slices.Equal(pg.Sources, Strings{"production"}) || !slices.Equal(pg.Tables.Include, Strings{"tracks", "order_*"}) || !slices.Equal(pg.Columns.Exclude, Strings{"*.email", "production.users.phone"}) {
		t.Errorf("pg selects %q, %+v, %+v", pg.Sources, pg.Tables, pg.Columns)
	}
	if my := c.Warehouses["my"]; !slices.Equal(my.Tables.Include, Strings{"production.tracks"}) || !slices.Equal(my.Tables.Exclude, Strings{"staging.*"}) || my.Cron == "" || my.CA != "/etc/ca.pem" {
		t.Errorf("my: %+v", my)
	}
	if rs := c.Warehouses["rs"]; rs.Naming != "rudderstack" || rs.IAMRole == "" || string(rs.Staging) != "s3://bucket/stage?region=eu-west-1" {
		t.Errorf("rs: %+v", rs)
	}
	if open := c.Warehouses["open"]; open.Type != Iceberg || time.Duration(open.Every) != time.Minute || open.Naming != "segment" {
		t.Errorf("open: %+v", open)
	}
	if byHand := c.Warehouses["by-hand"]; byHand.Every != 0 || byHand.Cron != "" {
		t.Errorf("by-hand: %+v", byHand)
	}
	if a := c.Alerts; string(a.Webhook) != "https://hooks.example.com/token" || time.Duration(a.Lag) != 30*time.Minute || time.Duration(a.Quiet) != 24*time.Hour {
		t.Errorf("alerts: %+v", a)
	}
	if q := c.Sources["production"].Quiet; time.Duration(q) != time.Hour || c.Sources["staging"].Quiet != Never {
		t.Errorf("quiet: %v, %v", q, c.Sources["staging"].Quiet)
	}
	if text := fmt.Sprintf("%v %+v %s", c.Warehouses, c.Alerts, c.Warehouses["pg"].URL); strings.Contains(text, "geheim") || strings.Contains(text, "token") || strings.Contains(text, "bucket") {
		t.Errorf("a secret is printed: %s", text)
	}
}

func TestEmbeddedWarehouseIsSwitchedOff(t *testing.T) {
	const pg = "  pg: { type: postgres, url: 'postgres://h/d' }\n"
	for text, want := range map[string][]string{
		"local: false": {}, "local: false\n" + pg: {"pg"}, "local: { type: duckdb }\n" + pg: {"local", "pg"}, "local: true": {"local"},
	} {
		c, err := Parse("firth.yaml", []byte("sources: { production: { write_key: key } }\nwarehouses:\n  "+text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := c.Loaded(); !slices.Equal(got, want) || c.Warehouses[Local].Off == slices.Contains(want, Local) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if _, err := Parse("firth.yaml", []byte("sources: { production: { write_key: key } }\nwarehouses: { pg: false }")); err == nil {
		t.Error("one that is a server is switched off")
	}
}

func TestNoMessageTellsASecret(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.txt")
	if err != nil || len(files) < 10 {
		t.Fatalf("the corpus is missing: %v, %d files", err, len(files))
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "topsecret") {
			t.Errorf("%s tells one", path)
		}
	}
}

func TestDocumentedConfigurationsAreValid(t *testing.T) {
	for name, value := range map[string]string{
		"FIRTH_WRITE_KEY": "k", "STAGING_WRITE_KEY": "s", "NIGHTLY_KEY": "n", "FIRTH_ALERTS": "https://hooks.example.com/x",
		"ANALYTICS_URL": "postgres://u:p@h/d", "OTHER_URL": "postgres://u:p@h/d", "SHOP_URL": "mysql://u:p@h/d", "REDSHIFT_URL": "redshift://u:p@h/d",
	} {
		t.Setenv(name, value)
	}
	for _, file := range []string{"warehouses.md", "alerts.md"} {
		text, err := os.ReadFile("../../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
		if len(blocks) == 0 {
			t.Errorf("%s has no configuration", file)
		}
		for _, block := range blocks {
			if _, err := Parse(file, block[1]); err != nil {
				t.Errorf("%s\n%v", block[1], err)
			}
		}
	}
}

// Every key of a warehouse, the alerts, databases and mirrors is in the documentation.
func TestKeysAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for prefix, of := range map[string]reflect.Type{"warehouses.NAME.": reflect.TypeFor[Warehouse](), "alerts.": reflect.TypeFor[Alerts](), "sources.NAME.": reflect.TypeFor[Source](),
		"databases.NAME.": reflect.TypeFor[Database](), "databases.NAME.ssh.": reflect.TypeFor[SSH](), "mirrors.NAME.": reflect.TypeFor[Mirror](),
		"mirrors.NAME.into.": reflect.TypeFor[Into](), "": reflect.TypeFor[Block]()} {
		for i := range of.NumField() {
			if tag := of.Field(i).Tag.Get("yaml"); tag != "-" && !strings.Contains(string(text), "`"+prefix+tag+"`") {
				t.Errorf("%s%s is not documented", prefix, tag)
			}
		}
	}
}

func TestMergersAreSwitchedOff(t *testing.T) {
	for text, want := range map[string]bool{"lake: { merge: false }": true, "lake: { merge: true }": false, "lake: {}": false} {
		c, err := Parse("x.yml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if c.Lake.Merge.Off != want || c.Lake.Merge.Small.Files != 100 {
			t.Errorf("%s: %+v", text, c.Lake.Merge)
		}
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	c, err := Parse("x.yml", []byte("sources: { a: { write_key: topsecret } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Sources["a"].WriteKey[0].String(); strings.Contains(s, "topsecret") {
		t.Errorf("printed as %s", s)
	}
}

func TestEmptyFileGivesTheDefaults(t *testing.T) {
	c, err := Parse("empty.yml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:8080" || c.Data != "./firth-data" || c.IP != "keep" {
		t.Errorf("defaults: %+v", c)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("sources: { a: { write_key: k } }"))
	f.Add([]byte("lake:\n  flush: [1, {a: b}]\nusers: 7\n"))
	f.Add([]byte("? a\n: b\n"))
	if good, err := os.ReadFile("testdata/mirrors.good.yml"); err == nil {
		f.Add(good)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if c, err := Parse("fuzz.yml", text); err == nil && c == nil {
			t.Fatal("neither configuration nor error")
		}
	})
}
