package query_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/query"
)

func TestReadersSeeTheirSchemas(t *testing.T) {
	e := newEngine(t, query.Options{})
	for text, want := range map[string]query.Code{
		"SELECT count(*) FROM production.tracks":           "",
		"SELECT count(*) FROM warehouse.production.tracks": "",
		"SELECT count(*) FROM lake.production":             "",
		"SELECT count(*) FROM lake.main.production":        "",
		"WITH companies AS (SELECT 1) FROM companies":      "",
		"DESCRIBE production.tracks":                       "",
		"EXPLAIN FROM production.tracks":                   "",
		"SELECT * FROM range(3)":                           "",
		"FROM app.companies":                               query.CodeForbidden,
		"FROM APP.companies":                               query.CodeForbidden,
		"FROM app.no_such_table":                           query.CodeForbidden,
		"FROM no_such_schema.t":                            query.CodeForbidden,
		"FROM lake.app":                                    query.CodeForbidden,
		"FROM lake.no_such_source":                         query.CodeForbidden,
		"FROM firth.no_such_view":                          query.CodeForbidden,
		"FROM lake.main.app":                               query.CodeForbidden,
		"FROM firth.runs":                                  query.CodeForbidden,
		"FROM firth.dead_letters":                          query.CodeForbidden,
		"FROM firth.main.runs":                             query.CodeForbidden,
		"FROM _firth.positions":                            query.CodeForbidden,
		"DESCRIBE app.companies":                           query.CodeForbidden,
		"SUMMARIZE app.companies":                          query.CodeForbidden,
		"SHOW app.companies":                               query.CodeForbidden,
		"EXPLAIN FROM app.companies":                       query.CodeForbidden,
		"SELECT (SELECT count(*) FROM app.companies) FROM production.tracks": query.CodeForbidden,
		"WITH a AS (FROM app.companies) FROM production.tracks":              query.CodeForbidden,
		"FROM production.tracks WHERE n IN (SELECT id FROM app.companies)":   query.CodeForbidden,
		"SHOW TABLES":                     query.CodeForbidden,
		"SHOW ALL TABLES":                 query.CodeForbidden,
		"SHOW TABLES FROM app":            query.CodeForbidden,
		"SHOW DATABASES":                  query.CodeForbidden,
		"FROM duckdb_tables()":            query.CodeForbidden,
		"FROM duckdb_columns":             query.CodeForbidden,
		"FROM information_schema.tables":  query.CodeForbidden,
		"FROM pg_class":                   query.CodeForbidden,
		"FROM sqlite_master":              query.CodeForbidden,
		"SELECT * FROM (SHOW ALL TABLES)": query.CodeForbidden,
		"PIVOT app.companies ON plan IN ('paid') USING count(*)":               query.CodeForbidden,
		"SELECT 1 UNION ALL SELECT id FROM app.companies":                      query.CodeForbidden,
		"SELECT * FROM production.tracks t JOIN app.companies c ON c.id = t.n": query.CodeForbidden,
		"FROM production.trackz":                                               query.CodeUnknownTable,
	} {
		_, err := run(e, reader, text)
		if code(err) != want {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(query.AsError(err).Hint, "companies") {
			t.Errorf("%s: the hint tells of another schema: %s", text, query.AsError(err).Hint)
		}
	}
	watcher := query.User{Name: "ops", Schemas: []string{"firth"}}
	if _, err := run(e, watcher, "FROM firth.dead_letters"); err != nil {
		t.Error(err)
	}
	if _, err := run(e, query.User{Name: "none", Schemas: []string{}}, "FROM production.tracks"); code(err) != query.CodeForbidden {
		t.Errorf("a user of no schema: %v", err)
	}
}

// A table that comes while the list of tables is held is found at once; so is one that goes.
func TestTablesComeAndGo(t *testing.T) {
	db, _ := open(t)
	e := query.New(database{db}, query.Options{})
	if _, err := run(e, everyone, "FROM app.fresh"); code(err) != query.CodeUnknownTable {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE app.fresh AS SELECT 1 AS x"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(e, everyone, "FROM app.fresh"); err != nil {
		t.Error(err)
	}
	if _, err := db.Exec("DROP TABLE app.fresh"); err != nil {
		t.Fatal(err)
	}
	if _, err := run(e, everyone, "FROM app.fresh"); code(err) != query.CodeUnknownTable {
		t.Error(err)
	}
}

// What the engine can do and the list does not sort must be looked at before anyone can call it.
func TestEveryFunctionIsSorted(t *testing.T) {
	text, err := os.ReadFile("functions.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "[") {
			for _, name := range strings.Fields(strings.ToLower(line)) {
				known[name] = true
			}
		}
	}
	db, _ := open(t)
	rows, err := db.Query("SELECT DISTINCT lower(function_name), function_type FROM duckdb_functions() WHERE internal ORDER BY ALL")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			t.Fatal(err)
		}
		if !known[name] && !strings.HasPrefix(name, "icu_collate_") && !strings.HasPrefix(name, "__internal_") {
			t.Errorf("functions.txt does not sort the %s function %s", kind, name)
		}
	}
	if rows.Err() != nil {
		t.Error(rows.Err())
	}
}

func TestParams(t *testing.T) {
	e := newEngine(t, query.Options{})
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(`[1, 9223372036854775808, -2.5e1, "it's", true, null, "2026-11-01T00:00:00Z", -170141183460469231731687303715884105727]`), &raw); err != nil {
		t.Fatal(err)
	}
	params, err := query.Params(raw)
	if err != nil {
		t.Fatal(err)
	}
	huge, _ := new(big.Int).SetString("-170141183460469231731687303715884105727", 10)
	if diff := cmp.Diff([]any{int64(1), new(big.Int).Lsh(big.NewInt(1), 63), -25.0, "it's", true, nil, "2026-11-01T00:00:00Z", huge}, params,
		cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })); diff != "" {
		t.Error(diff)
	}
	out, err := run(e, everyone, "SELECT $2 AS b, $1 + 1 AS a, $3::DOUBLE AS c, $4 AS d, $5 AS e, $6::VARCHAR AS f, count(*) FILTER (WHERE received_at < $7::TIMESTAMPTZ + INTERVAL 1 HOUR) AS g, $8 AS h, typeof($2) AS i FROM production.tracks", params...)
	if err != nil {
		t.Fatal(err)
	}
	if want := `["9223372036854775808",2,-25,"it's",true,null,60,"-170141183460469231731687303715884105727","HUGEINT"]`; !strings.Contains(out, want) {
		t.Errorf("got %s", out)
	}
	// A text is compared with a number or an instant as SQL would a literal.
	if out, err := run(e, everyone, "SELECT count(*) FROM production.tracks WHERE n = $1 OR received_at = $2", "5", "2026-11-01 00:06:00+00"); err != nil || !strings.Contains(out, "[2]") {
		t.Errorf("%s, %v", out, err)
	}
	for _, bad := range []string{`[[1]]`, `[{"a": 1}]`, `[1e999]`, `[1000000000000000000000000000000000000000000]`} {
		if err := json.Unmarshal([]byte(bad), &raw); err != nil {
			t.Fatal(err)
		}
		if _, err := query.Params(raw); code(err) != query.CodeBadParam {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, text := range []string{"SELECT $1", "SELECT $2", "SELECT ?", "SELECT $name"} {
		given := []any{}
		if text == "SELECT $2" || text == "SELECT $name" {
			given = []any{int64(1)}
		}
		if _, err := run(e, everyone, text, given...); code(err) != query.CodeBadParam {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := run(e, everyone, "SELECT n FROM production.tracks WHERE n = $1", "x"); code(err) != query.CodeFailed {
		t.Errorf("a text that is no number: %v", err)
	}
}

// The words for everything that can go wrong, as replies carry them.
func TestErrors(t *testing.T) {
	e := newEngine(t, query.Options{})
	var b strings.Builder
	for _, text := range []string{
		"SELEC 1",
		"SELECT 1 FROM\nproduction.tracks WHERE WHERE",
		"",
		"SELECT 1; SELECT 2",
		"DROP TABLE production.tracks",
		"PIVOT production.tracks ON event USING count(*)",
		"SELECT * FROM tracks",
		"SELECT * FROM production.trakcs",
		"SELECT * FROM 'events.parquet'",
		"SELECT * FROM read_csv('/etc/passwd')",
		"SELECT current_setting('threads')",
		"FROM _firth.positions",
		"SELECT evnt FROM production.tracks",
		"SELECT t.evnt FROM production.tracks t",
		"SELECT x.event FROM production.tracks t",
		"SELECT event, count(*) FROM production.tracks",
		"SELECT lengh(event) FROM production.tracks",
		"SELECT length(n) FROM production.tracks",
		"SELECT event + 1 FROM production.tracks",
		"SELECT event::INTEGER FROM production.tracks",
		"SELECT 1 // 0, 9223372036854775807 + 1",
		"SELECT DATE '2026-13-01'",
		"SELECT (SELECT n FROM production.tracks)",
		"SELECT '{\"a\": 1}'::JSON::VARIANT AS v",
		"SELECT $1",
		"SHOW VARIABLES",
		"SELECT error('my own words')",
	} {
		_, err := run(e, everyone, text)
		if err == nil {
			t.Errorf("%s: no error", text)
			continue
		}
		got := query.AsError(err)
		fmt.Fprintf(&b, "%s\n%d %s\n\n", text, got.Status, query.ErrorJSON(got))
	}
	golden(t, "errors.txt", []byte(b.String()))
}

func FuzzGate(f *testing.F) {
	for _, text := range friendly {
		f.Add(text)
	}
	for _, list := range hostile() {
		for _, text := range list {
			f.Add(text)
		}
	}
	db, dir := open(f)
	if err := os.WriteFile(filepath.Join(dir, "canary.csv"), []byte("secret_bait\nsecret_bait\n"), 0o600); err != nil {
		f.Fatal(err)
	}
	e := query.New(database{db}, query.Options{MaxRows: 1000, Deadline: 2 * time.Second})
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ReplaceAll(text, "DIR", dir)
		out, err := run(e, everyone, text)
		if err == nil && strings.Contains(out, "secret_bait") && !strings.Contains(text, "secret_bait") {
			t.Errorf("%q read the file", text)
		}
		if code(err) == query.CodeInternal {
			t.Errorf("%q: %v", text, err)
		}
	})
}
