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
	"strings"
	"syscall"
	"testing"
	"time"

	"firth/test/engine/stand"
	"firth/test/server"
)

// trino is a Trino of one node that is attached to a server.
type trino struct{ url string }

// newTrino starts one and returns when it answers.
func newTrino(t *testing.T, s *stand.Stand) *trino {
	t.Helper()
	home, dir := filepath.Join(installed(t), "trino"), t.TempDir()
	port := server.Port(t)
	files := "fs.native-local.enabled=true\nlocal.location=/\n"
	if s.Store != nil {
		files = fmt.Sprintf("fs.native-s3.enabled=true\ns3.endpoint=%s\ns3.region=%s\ns3.path-style-access=true\ns3.aws-access-key=%s\ns3.aws-secret-key=%s\n",
			s.Store.Endpoint, s.Store.Region, s.Reader, s.Keys) // it takes the catalog's keys with a session token alone
	}
	write(t, filepath.Join(dir, "catalog", "firth.properties"), "connector.name=iceberg\niceberg.catalog.type=rest\niceberg.rest-catalog.uri="+s.Catalog()+
		"\niceberg.rest-catalog.security=OAUTH2\niceberg.rest-catalog.oauth2.token="+stand.Token+"\n"+files)
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
	e.await(t, ended, log.Name())
	return e
}

func (e *trino) await(t *testing.T, ended <-chan struct{}, log string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(500 * time.Millisecond) {
		if _, err = e.query(t.Context(), "SELECT count(*) FROM firth.information_schema.schemata"); err == nil {
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
	Error *struct{ Message, ErrorName string }
}

func (e *trino) query(ctx context.Context, statement string) (rows [][]string, err error) {
	p, err := e.page(ctx, http.MethodPost, e.url+"/v1/statement", statement)
	for ; err == nil; p, err = e.page(ctx, http.MethodGet, p.Next, "") {
		if p.Error != nil {
			return nil, fmt.Errorf("%s: %s", p.Error.ErrorName, p.Error.Message)
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
		catalog: "firth.", company: "CAST(json_extract_scalar(properties, '$.company') AS BIGINT)",
		snapshots: `SELECT snapshot_id FROM firth.lake."production$snapshots" ORDER BY committed_at`,
		at:        "firth.lake.production FOR VERSION AS OF %s",
	}
}
