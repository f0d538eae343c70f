package duckdb_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestKilledWhileMade kills a process as soon as the file that it makes appears: whatever is there then, the next one opens it.
func TestKilledWhileMade(t *testing.T) {
	for range 8 {
		path := filepath.Join(t.TempDir(), "warehouse.duckdb")
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), holdVar+"="+path)
		stdin, err := cmd.StdinPipe() // held open: at its end the process would end by itself
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(time.Minute)
		for found := []string(nil); len(found) == 0; found, _ = filepath.Glob(path + "*") {
			if time.Now().After(deadline) {
				t.Fatal("no file was made")
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		stdin.Close()
		open(t, path)
	}
}

// TestLeftOvers: neither the log of a file that was deleted nor a half-made file keeps a new one from being made.
func TestLeftOvers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "warehouse.duckdb")
	for _, name := range []string{path + ".wal", path + ".new", path + ".new.wal"} {
		if err := os.WriteFile(name, []byte("what was left"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open(t, path)
	if _, err := os.Stat(path + ".new"); !os.IsNotExist(err) {
		t.Errorf("the half-made file is still there: %v", err)
	}
}
