// Package examples runs each example as its README tells.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"firth/test/rig"
)

// TestTwoDatabases runs the commands of the README in a copy of the folder, and compares what is printed.
func TestTwoDatabases(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("two-databases")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"make.py", "rows.py"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	commands, rest, ok := strings.Cut(between(t, string(readme), "```sh\n"), "```")
	if !ok {
		t.Fatal("the README has no commands")
	}
	want, _, _ := strings.Cut(between(t, rest, "```\n"), "```")
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", commands)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(rig.Binary(t))+":"+os.Getenv("PATH"))
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, said.String())
	}
	if !strings.HasSuffix(string(out), want) || !strings.Contains(want, "3 rows") {
		t.Errorf("it printed\n%s\nand the README says\n%s", out, want)
	}
}

func between(t *testing.T, text, begin string) string {
	t.Helper()
	_, after, ok := strings.Cut(text, begin)
	if !ok {
		t.Fatalf("the README has no %q", begin)
	}
	return after
}
