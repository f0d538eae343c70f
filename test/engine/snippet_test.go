package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/test/engine/stand"
)

// installed makes a home folder in which DuckDB finds its extensions, as it would after INSTALL with a network.
const installed = `
import duckdb, importlib.util, os, sys
version = "v" + duckdb.__version__
db = duckdb.connect(config={"extension_directory": os.path.join(sys.argv[1], ".duckdb", "extensions")})
for name in ["httpfs", "avro", "iceberg"]:
    folder = os.path.dirname(importlib.util.find_spec("duckdb_extension_" + name).origin)
    db.execute("INSTALL '" + os.path.join(folder, "extensions", version, name + ".duckdb_extension") + "'")
`

// asking is what a person appends to the snippet.
const asking = `
import json
print(json.dumps(con.sql('SELECT event, count(*), sum((properties ->> \'$.n\')::BIGINT)::BIGINT FROM production GROUP BY ALL ORDER BY 1').fetchall()))
`

// runSQL runs a file of statements and asks.
const runSQL = `
import duckdb
con = duckdb.connect()
con.execute(open("snippet.sql").read())
` + asking

// TestSnippetsOfTheCatalog runs what firth lake snippet --catalog prints as it is, with a user's token, for a lake on disk, for one at a store whose
// keys the server hands out, and with keys of one's own.
func TestSnippetsOfTheCatalog(t *testing.T) {
	interpreter := python(t)
	home := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), interpreter, "-c", installed, home).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, onStore := range []bool{false, true} {
		name := "on disk"
		if onStore {
			name = "at a store"
		}
		t.Run(name, func(t *testing.T) {
			s := stand.New(t, onStore, "")
			s.Send("production", 200, "")
			want := s.MustAsk("SELECT event, count(*), sum((properties ->> '$.n')::BIGINT) FROM lake.production GROUP BY ALL ORDER BY 1")
			snippet := func(language string) string {
				out, err := s.Run("lake", "snippet", "--source", "production", "--catalog", s.Catalog(), "--in", language)
				if err != nil {
					t.Fatal(err)
				}
				if onStore && (strings.Contains(out, s.Store.SecretKey) || strings.Contains(out, s.Keys)) {
					t.Error("the snippet has keys")
				}
				return out
			}
			env := append(stand.ReaderEnv(), "HOME="+home, "FIRTH_TOKEN="+stand.Token)
			same(t, "Python", want, answers(t, interpreter, env, snippet("python")+asking, ""))
			statements := strings.ReplaceAll(snippet("sql"), "YOUR_TOKEN", stand.Token)
			if onStore {
				statements = strings.NewReplacer("YOUR_ACCESS_KEY", s.Reader, "YOUR_SECRET_KEY", s.Keys).Replace(statements)
			}
			same(t, "SQL", want, answers(t, interpreter, env, runSQL, statements))
			if onStore { // keys of one's own, and none from the server
				s.WithoutReaders()
				env = append(env, "AWS_ACCESS_KEY_ID="+s.Reader, "AWS_SECRET_ACCESS_KEY="+s.Keys)
				same(t, "Python with keys of one's own", want, answers(t, interpreter, env, snippet("python")+asking, ""))
			}
		})
	}
}

func same(t *testing.T, what string, want, got [][]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s answers (-want +got):\n%s", what, diff)
	}
}

// answers runs a program beside a file of statements and returns the rows that it prints, each value as its text.
func answers(t *testing.T, interpreter string, env []string, program, statements string) (out [][]string) {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "snippet.sql"), []byte(statements), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), interpreter, "-c", program)
	cmd.Dir, cmd.Env = folder, env
	printed, err := cmd.Output()
	if err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			t.Fatalf("%v\n%s\n%s", err, ended.Stderr, program)
		}
		t.Fatal(err)
	}
	var rows [][]any
	d := json.NewDecoder(bytes.NewReader(printed))
	d.UseNumber()
	if err := d.Decode(&rows); err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	for _, row := range rows {
		var texts []string
		for _, v := range row {
			switch v := v.(type) {
			case string:
				texts = append(texts, v)
			case json.Number:
				texts = append(texts, v.String())
			default:
				t.Fatalf("%v of %s", v, printed)
			}
		}
		out = append(out, texts)
	}
	return out
}
