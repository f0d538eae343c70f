// Package notebook runs the notebook of examples/notebook over what firth lake snippet prints, with nothing of Firth in its Python.
package notebook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/test/rig"
	"firth/test/server"
)

// python returns the interpreter that setup.sh made. Where it is missing the test fails in CI and is skipped elsewhere.
func python(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil && os.Getenv("CI") != "true" {
		t.Skip("python3 is missing: apt-get install python3 python3-venv")
	}
	cmd := exec.Command("./setup.sh")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("setup.sh: %v\n%s", err, &problem)
		}
		t.Skipf("the notebook's Python could not be installed, see test/notebook/setup.sh: %v\n%s", err, &problem)
	}
	return strings.TrimSpace(string(out))
}

const (
	users = 30
	days  = 3
)

// send makes a company's calls: every user signs up on the first day, two of three view a product on the second, one of three orders on the third.
func send(t *testing.T, s *rig.Server) (calls int) {
	t.Helper()
	first := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -days)
	var batch []map[string]any
	add := func(day, user int, call map[string]any) {
		call["messageId"] = fmt.Sprintf("m%d", len(batch)+calls)
		call["userId"] = fmt.Sprintf("u%02d", user)
		call["timestamp"] = first.AddDate(0, 0, day).Add(time.Duration(len(batch)) * time.Second).Format(time.RFC3339Nano)
		call["context"] = map[string]any{"library": map[string]any{"name": []string{"analytics.js", "analytics-go"}[user%2]}}
		batch = append(batch, call)
	}
	for user := range users {
		add(0, user, map[string]any{"type": "track", "event": "Signed Up", "properties": map[string]any{"from": `a "quoted" place`}})
		add(0, user, map[string]any{"type": "identify", "traits": map[string]any{"plan": "free", "n": user}})
		if user%3 != 0 {
			add(1, user, map[string]any{"type": "track", "event": "Product Viewed"})
		}
		if user%3 == 1 {
			add(2, user, map[string]any{"type": "track", "event": "Order Completed", "properties": map[string]any{"plan": []string{"pro", "team"}[user%2], "amount": "10.50"}})
		}
	}
	body, err := json.Marshal(map[string]any{"batch": batch})
	if err != nil {
		t.Fatal(err)
	}
	if status, answer, err := s.Post(t.Context(), "/v1/batch", "key", body); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s %v", status, answer, err)
	}
	return len(batch)
}

const configuration = `
sources:
  production: { write_key: key }
`

func TestNotebookOnDisk(t *testing.T) {
	interpreter := python(t)
	s := rig.New(t, configuration)
	s.Start()
	run(t, interpreter, s)
}

func TestNotebookOnAStore(t *testing.T) {
	interpreter := python(t)
	real := server.S3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", real.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", real.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	s := rig.New(t, configuration+"lake: { url: \""+real.URL("company/lake")+"\" }\n")
	s.Start()
	text := run(t, interpreter, s)
	for _, secret := range []string{real.AccessKey, real.SecretKey} {
		if strings.Contains(text, secret) {
			t.Error("the snippet has the server's keys")
		}
	}
}

// run sends calls, prints the snippet and runs the notebook over it.
func run(t *testing.T, interpreter string, s *rig.Server) (snippet string) {
	t.Helper()
	calls := send(t, s)
	s.Eventually(time.Minute, "the calls to be in the lake", func() error {
		n, err := s.Count("SELECT count(*) FROM lake.production")
		if err == nil && n != calls {
			err = fmt.Errorf("%d of %d", n, calls)
		}
		return err
	})
	snippet, err := s.Run("lake", "snippet", "--source", "production", "--in", "python")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "snippet.py"), []byte(snippet), 0o600); err != nil {
		t.Fatal(err)
	}
	notebook, err := filepath.Abs("../../examples/notebook/events.ipynb")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), interpreter, "run.py", notebook, folder)
	cmd.Env = append(os.Environ(), "HOME="+home(t, interpreter), "IPYTHONDIR="+filepath.Join(folder, "ipython"))
	out, err := cmd.Output()
	if err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			t.Fatalf("%v\n%s", err, ended.Stderr)
		}
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff(expected(t), got); diff != "" {
		t.Errorf("the notebook answers (-want +got):\n%s", diff)
	}
	return snippet
}

func expected(t *testing.T) (want any) {
	t.Helper()
	text := `{
		"by_event": [["Signed Up", 30, 30], ["Product Viewed", 20, 20], ["Order Completed", 10, 10]],
		"active": [[0, 0, 30], [0, 20, 0], [10, 0, 0]],
		"revenue": [["pro", 5, 52.5], ["team", 5, 52.5]],
		"funnel": [30, 20, 10], "timeline": 2, "user": "u00", "traits": {"plan": "free", "n": 0},
		"libraries": [["analytics-go", 45], ["analytics.js", 45]]
	}`
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	return want
}

// home is a home folder in which DuckDB finds its extension, as it would after INSTALL with a network.
func home(t *testing.T, interpreter string) string {
	t.Helper()
	dir := t.TempDir()
	const place = `import duckdb, os, importlib.util, platform, shutil, sys
spec = importlib.util.find_spec("duckdb_extension_httpfs")
version = "v" + duckdb.__version__
to = os.path.join(sys.argv[1], ".duckdb", "extensions", version, duckdb.sql("PRAGMA platform").fetchone()[0])
os.makedirs(to)
db = duckdb.connect(config={"extension_directory": os.path.join(sys.argv[1], ".duckdb", "extensions")})
db.execute("INSTALL '" + os.path.join(os.path.dirname(spec.origin), "extensions", version, "httpfs.duckdb_extension") + "'")`
	if out, err := exec.CommandContext(t.Context(), interpreter, "-c", place, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}
