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

// spark is a Spark that is attached to a server.
type spark struct {
	in  io.Writer
	out *bufio.Scanner
	log string
}

func newSpark(t *testing.T, s *stand.Stand) *spark {
	t.Helper()
	jars, err := filepath.Glob(filepath.Join(installed(t), "jars", "*.jar"))
	if err != nil || len(jars) != 2 {
		t.Fatalf("Iceberg's jars for Spark: %q, %v", jars, err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(installed(t), "python", "bin", "python"), "spark.py", s.Catalog(), stand.Token, strings.Join(jars, ","))
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
		catalog: "firth.", company: "CAST(get_json_object(properties, '$.company') AS BIGINT)",
		snapshots: "SELECT snapshot_id FROM firth.lake.production.snapshots ORDER BY committed_at",
		at:        "firth.lake.production VERSION AS OF %s",
		upkeep:    "CALL firth.system.remove_orphan_files(table => 'lake.production', older_than => TIMESTAMP '2020-01-01 00:00:00')",
	}
}
