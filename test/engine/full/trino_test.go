package full

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"firth/test/engine/stand"
	"firth/test/server"
)

// trino is a Trino of one node that is attached to servers.
type trino struct{ url string }

// properties are those of a catalog, as the page has them. What is for a lake on a store stands in comments there.
func properties(t *testing.T, p place) string {
	t.Helper()
	var out, names []string
	for line := range strings.Lines(p.Snippet("Trino")) {
		line = strings.TrimSpace(line)
		code, comment := strings.CutPrefix(line, "# ")
		name, value, isSetting := strings.Cut(code, "=")
		local, store := strings.HasPrefix(name, "fs.native-local") || strings.HasPrefix(name, "local."), strings.HasPrefix(name, "fs.native-s3") || strings.HasPrefix(name, "s3.")
		if !isSetting || comment != store || local && p.Store != nil || store && p.Store == nil {
			continue
		}
		switch name {
		case "s3.aws-access-key": // it takes the catalog's keys with a session token alone
			value = p.Reader
		case "s3.aws-secret-key":
			value = p.Keys
		}
		out, names = append(out, name+"="+strings.ReplaceAll(value, "TOKEN", stand.Token)), append(names, name)
	}
	if !slices.Contains(names, "iceberg.rest-catalog.uri") || p.Store != nil && !slices.Contains(names, "s3.aws-secret-key") {
		t.Fatalf("the page has no catalog for Trino: %q", names)
	}
	return strings.Join(out, "\n") + "\n"
}

// newTrino starts one and returns when it answers.
func newTrino(t *testing.T, places []place) *trino {
	t.Helper()
	home, dir := filepath.Join(installed(t), "trino"), t.TempDir()
	port := server.Port(t)
	for _, p := range places {
		write(t, filepath.Join(dir, "catalog", p.name+".properties"), properties(t, p))
	}
	write(t, filepath.Join(dir, "config.properties"), fmt.Sprintf("coordinator=true\nnode-scheduler.include-coordinator=true\nhttp-server.http.port=%d\n"+
		"discovery.uri=http://127.0.0.1:%[1]d\nplugin.dir=%s\ncatalog.config-dir=%s\nquery.max-memory-per-node=300MB\nquery.max-memory=300MB\n",
		port, filepath.Join(home, "plugin"), filepath.Join(dir, "catalog")))
	java, err := os.ReadFile(filepath.Join(installed(t), "python", "java25"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(strings.TrimSpace(string(java)), "bin", "java"),
		"-Xmx1500M", "-XX:+ExitOnOutOfMemoryError", "-Djdk.attach.allowAttachSelf=true",
		"--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow",
		"-Dnode.environment=test", "-Dnode.id=firth", "-Dnode.data-dir="+dir, "-Dnode.internal-address=127.0.0.1",
		"-Dconfig="+filepath.Join(dir, "config.properties"), "-cp", filepath.Join(home, "lib", "*"), "io.trino.server.TrinoServer")
	cmd.Dir, cmd.Env = home, stand.ReaderEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // what it says is in its log
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may be gone
		<-ended
		log.Close()
	})
	e := &trino{url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	e.await(t, ended, log.Name(), places[0].name)
	return e
}

func (e *trino) await(t *testing.T, ended <-chan struct{}, log, catalog string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		if _, err = e.query(t.Context(), "SELECT count(*) FROM "+catalog+".information_schema.schemata"); err == nil {
			return
		}
		select {
		case <-ended:
			deadline = time.Time{}
		default:
		}
	}
	text, _ := os.ReadFile(log)
	t.Fatalf("Trino does not answer: %v\n%s", err, text[max(0, len(text)-8000):])
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func (e *trino) ask(t *testing.T, statement string) ([][]string, error) {
	t.Helper()
	return e.query(t.Context(), statement)
}

// page is an answer of Trino's protocol for statements.
type page struct {
	Next  string `json:"nextUri"`
	Data  [][]any
	Error *struct {
		Message, ErrorName string
		FailureInfo        *failure
	}
}

// failure is an exception of Trino's.
type failure struct {
	Message string
	Cause   *failure
}

// because is what a failure and its causes say.
func (f *failure) because() (text string) {
	for ; f != nil; f = f.Cause {
		text += ": " + f.Message
	}
	return text
}

func (e *trino) query(ctx context.Context, statement string) (rows [][]string, err error) {
	p, err := e.page(ctx, http.MethodPost, e.url+"/v1/statement", statement)
	for ; err == nil; p, err = e.page(ctx, http.MethodGet, p.Next, "") {
		if p.Error != nil {
			return nil, fmt.Errorf("%s%s", p.Error.ErrorName, p.Error.FailureInfo.because())
		}
		for _, row := range p.Data {
			var texts []string
			for _, v := range row {
				texts = append(texts, stand.Text(v))
			}
			rows = append(rows, texts)
		}
		if p.Next == "" {
			return rows, nil
		}
	}
	return nil, err
}

func (e *trino) page(ctx context.Context, method, url, body string) (*page, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("X-Trino-User", "test")
	r.Header.Set("X-Trino-Time-Zone", "UTC")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	d := json.NewDecoder(answer.Body)
	d.UseNumber()
	var p page
	return &p, d.Decode(&p)
}

func (e *trino) dialect() dialect {
	return dialect{
		company:   "CAST(json_extract_scalar(properties, '$.company') AS BIGINT)",
		snapshots: `SELECT snapshot_id FROM @lake."production$snapshots" ORDER BY committed_at`,
		at:        "@lake.production FOR VERSION AS OF %s",
	}
}
