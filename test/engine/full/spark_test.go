package full

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"firth/test/engine/stand"
)

// spark is a Spark that is attached to servers.
type spark struct {
	in  io.Writer
	out *bufio.Scanner
	log string
}

// settings are those of the page, with a catalog for each place.
func settings(t *testing.T, places []place, jars []string) string {
	t.Helper()
	out := map[string]string{
		"spark.jars": strings.Join(jars, ","), "spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": "2",
		"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1",
	}
	const catalog = "spark.sql.catalog.firth"
	for _, p := range places {
		for line := range strings.Lines(p.Snippet("Spark")) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			if rest, ok := strings.CutPrefix(name, catalog); ok {
				name = "spark.sql.catalog." + p.name + rest
			}
			out[name] = strings.ReplaceAll(strings.TrimSpace(value), "TOKEN", stand.Token)
		}
		if out["spark.sql.catalog."+p.name] == "" {
			t.Fatalf("the page has no catalog for Spark: %q", out)
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newSpark(t *testing.T, places []place) *spark {
	t.Helper()
	jars, err := filepath.Glob(filepath.Join(installed(t), "jars", "*.jar"))
	if err != nil || len(jars) != 2 {
		t.Fatalf("Iceberg's jars for Spark: %q, %v", jars, err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(installed(t), "python", "bin", "python"), "spark.py", settings(t, places, jars))
	cmd.Env = append(stand.ReaderEnv(), "SPARK_LOCAL_IP=127.0.0.1", "SPARK_LOCAL_DIRS="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its Java is a process of its own
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait() // how it ends means nothing
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		log.Close()
	})
	e := &spark{in: in, out: bufio.NewScanner(out), log: log.Name()}
	e.out.Buffer(nil, 16<<20)
	if _, err := e.ask(t, "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *spark) ask(t *testing.T, statement string) ([][]string, error) {
	t.Helper()
	line, err := json.Marshal(statement)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.in.Write(append(line, '\n')); err != nil || !e.out.Scan() {
		text, _ := os.ReadFile(e.log)
		t.Fatalf("Spark is gone: %v, %v\n%s", err, e.out.Err(), text[max(0, len(text)-8000):])
	}
	var answer struct {
		Rows  [][]string
		Error string
	}
	if err := json.Unmarshal(e.out.Bytes(), &answer); err != nil {
		t.Fatalf("%v: %s", err, e.out.Bytes())
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Rows, nil
}

func (e *spark) dialect() dialect {
	return dialect{
		company:   "CAST(get_json_object(properties, '$.company') AS BIGINT)",
		snapshots: "SELECT snapshot_id FROM @lake.production.snapshots ORDER BY committed_at",
		at:        "@lake.production VERSION AS OF %s",
		upkeep:    "CALL @system.remove_orphan_files(table => 'lake.production', older_than => TIMESTAMP '2020-01-01 00:00:00')",
	}
}
