package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"firth/internal/config"
	"firth/internal/name"
	"firth/internal/warehouse"
)

// checkedKinds is a kind of server whose warehouses are well, ill or silent by their names.
func checkedKinds() map[string]serverKind {
	return map[string]serverKind{config.Postgres: {
		rules: name.Postgres,
		check: func(ctx context.Context, r *remote) []warehouse.Finding {
			switch r.name {
			case "silent":
				<-ctx.Done()
				return nil
			case "ill":
				return []warehouse.Finding{
					{What: "connection", OK: true, Found: "PostgreSQL 18.1 at db.example.com:5432, database analytics, as firth"},
					{What: "schema " + r.schemas[0], Found: "permission denied for database analytics", Hint: "GRANT CREATE ON DATABASE \"analytics\" TO \"firth\";\nGRANT TEMPORARY ON DATABASE \"analytics\" TO \"firth\";"},
				}
			}
			return []warehouse.Finding{{What: "connection", OK: true, Found: "PostgreSQL 18.1, schemas " + strings.Join(r.schemas, ", ")}}
		},
		setup: func(r *remote) (string, error) {
			if r.name == "ill" {
				return "", errors.New("the url names no user")
			}
			return "CREATE ROLE \"firth\" LOGIN PASSWORD '...';\nGRANT CREATE, TEMPORARY ON DATABASE \"analytics\" TO \"firth\";", nil
		},
	}}
}

const checkedConfig = `listen: 127.0.0.1:0
sources: { production: { write_key: key }, staging: { write_key: other } }
warehouses:
  well: { type: postgres, url: 'postgres://firth:topsecret@h/analytics', every: 1h }
  ill: { type: postgres, url: 'postgres://firth:topsecret@h/analytics', sources: [staging] }
  my: { type: mysql, url: 'mysql://firth:topsecret@h/analytics' }
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "firth.yaml")
	if err := os.WriteFile(path, []byte("data: "+dir+"/data\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckOfWarehouses(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, checkedConfig)
	var text, data bytes.Buffer
	err := Check(t.Context(), CheckOptions{Config: path, Output: "text", Stdout: &text, kinds: checkedKinds()})
	if !errors.Is(err, errFindings) || IsUsage(err) {
		t.Errorf("the outcome is %v", err)
	}
	if err := Check(t.Context(), CheckOptions{Config: path, Output: "json", Stdout: &data, kinds: checkedKinds()}); !errors.Is(err, errFindings) {
		t.Errorf("the outcome is %v", err)
	}
	var findings []Finding
	if err := json.Unmarshal(data.Bytes(), &findings); err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, data.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	both := regexp.MustCompile(regexp.QuoteMeta(filepath.Dir(path))).ReplaceAllString(text.String()+"----\n"+pretty.String(), "DIR")
	if strings.Contains(both, "topsecret") {
		t.Error("a password is told")
	}
	golden(t, "check.txt", []byte(both))
}

func TestWarehouseThatDoesNotAnswerHoldsUpNothing(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse("firth.yaml", []byte("sources: { production: { write_key: key } }\nwarehouses:\n  silent: { type: postgres, url: 'postgres://h/d' }\n  well: { type: postgres, url: 'postgres://h/d' }\n"))
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	list := checkRemotes(t.Context(), cfg, checkedKinds(), 200*time.Millisecond)
	if took := time.Since(began); took > 45*time.Second {
		t.Errorf("it took %s", took)
	}
	if len(list) != 2 || list[0].OK || !strings.Contains(list[0].Found, "no answer within 200ms") || list[0].Hint == "" || !list[1].OK {
		t.Errorf("%+v", list)
	}
}

func TestSetupPrintsStatementsAndNothingElse(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, checkedConfig)
	setup := func(name string) (string, error) {
		var out bytes.Buffer
		err := Check(t.Context(), CheckOptions{Config: path, Output: "text", Setup: name, Stdout: &out, kinds: checkedKinds()})
		return out.String(), err
	}
	if out, err := setup("well"); err != nil || out != "CREATE ROLE \"firth\" LOGIN PASSWORD '...';\nGRANT CREATE, TEMPORARY ON DATABASE \"analytics\" TO \"firth\";\n" {
		t.Errorf("%q, %v", out, err)
	}
	for name, usage := range map[string]bool{"ill": false, "my": false, "local": true, "wel": true} {
		if out, err := setup(name); err == nil || IsUsage(err) != usage || out != "" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

func TestSchemasAreThoseOfTheSelectedSources(t *testing.T) {
	t.Parallel()
	cfg, err := config.Load(writeConfig(t, checkedConfig))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range remotes(cfg, checkedKinds(), slog.New(slog.DiscardHandler)) {
		want := map[string]string{"well": "production staging", "ill": "staging", "my": ""}[r.name]
		if got := strings.Join(r.schemas, " "); got != want {
			t.Errorf("%s: %q, want %q", r.name, got, want)
		}
	}
}
