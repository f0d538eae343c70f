// Package lake runs the firth lake commands of the real binary, beside a server and without one.
package lake

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/test/rig"
)

const config = `
sources: { production: { write_key: k }, staging: { write_key: s } }
lake: { flush: { every: 100ms }, merge: false }
`

// command runs firth lake with the server's configuration and returns what it printed and its exit code.
func command(t *testing.T, s *rig.Server, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rig.Binary(t), append([]string{"lake", args[0], "-c", filepath.Join(s.Dir, "firth.yaml")}, args[1:]...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// done runs a command that must succeed, with -o json, and decodes what it printed.
func done(t *testing.T, s *rig.Server, into any, args ...string) {
	t.Helper()
	stdout, stderr, code := command(t, s, append(args, "-o", "json")...)
	if code != 0 {
		t.Fatalf("firth lake %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), into); err != nil {
		t.Fatalf("firth lake %s printed %q: %v", strings.Join(args, " "), stdout, err)
	}
}

type files struct {
	Files []struct {
		Table, Day, Path string
		Rows             int
	}
	Total struct{ Files, Rows int }
}

// fill sends events in several goes, so that the table has several files.
func fill(t *testing.T, s *rig.Server, load *rig.Load, goes int) {
	t.Helper()
	for range goes {
		load.Send(3)
		var before files
		s.Eventually(time.Minute, "the flush", func() error {
			done(t, s, &before, "files", "--source", "production")
			if before.Total.Rows < load.Acked() {
				return errors.New("not all is flushed")
			}
			return nil
		})
	}
}

// TestCommands takes a lake through all commands, first beside a server, which has to do the work, then without.
func TestCommands(t *testing.T) {
	for _, serving := range []bool{true, false} {
		name := map[bool]string{true: "beside a server", false: "without a server"}[serving]
		t.Run(name, func(t *testing.T) {
			s := rig.New(t, config)
			s.Start()
			load := rig.NewLoad(s, "production", "k", 2, 1)
			fill(t, s, load, 4)
			if !serving {
				s.Stop()
			}
			var list files
			done(t, s, &list, "files", "--source", "production")
			if list.Total.Files < 4 || list.Total.Rows != load.Acked() {
				t.Errorf("%d files with %d rows, of %d events", list.Total.Files, list.Total.Rows, load.Acked())
			}
			var none files
			done(t, s, &none, "files", "--day", "2001-01-01")
			if none.Total.Files != 0 || none.Files == nil {
				t.Errorf("files of another day: %+v", none)
			}
			var snapshots []struct {
				Table, What string
				Current     bool
				Rows        int
			}
			done(t, s, &snapshots, "snapshots", "--source", "production")
			if len(snapshots) < 4 || !snapshots[0].Current || snapshots[0].What != "flush" || snapshots[0].Rows != load.Acked() {
				t.Errorf("snapshots: %+v", snapshots)
			}
			tend(t, s, load.Acked(), list.Total.Files)
			var damaged struct{ Files, Damaged any }
			done(t, s, &damaged, "verify")
			spoil(t, s)
			if !serving {
				s.Start()
				load.Settle(30 * time.Second)
			}
		})
	}
}

// tend merges the table's files into one and expires.
func tend(t *testing.T, s *rig.Server, rows, have int) {
	t.Helper()
	var merged struct {
		FilesIn    int `json:"files_in"`
		FilesOut   int `json:"files_out"`
		RowsOut    int `json:"rows_out"`
		Duplicates int
	}
	done(t, s, &merged, "merge", "--source", "production")
	if merged.FilesIn != have || merged.FilesOut != 1 || merged.RowsOut != rows || merged.Duplicates != 0 {
		t.Errorf("merged %+v, of %d files with %d rows", merged, have, rows)
	}
	var after files
	done(t, s, &after, "files", "--source", "production")
	if after.Total.Files != 1 || after.Total.Rows != rows {
		t.Errorf("after the merge: %+v", after.Total)
	}
	var expired struct {
		WaitingFiles int `json:"waiting_files"`
		RemovedFiles int `json:"removed_files"`
	}
	done(t, s, &expired, "expire")
	if expired.RemovedFiles != 0 { // the grace has just begun
		t.Errorf("expired: %+v", expired)
	}
}

// spoil flips a bit of a file, sees that verify names it, and flips it back.
func spoil(t *testing.T, s *rig.Server) {
	t.Helper()
	var list files
	done(t, s, &list, "files", "--source", "production")
	path := list.Files[0].Path
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	bad := bytes.Clone(text)
	bad[len(bad)/2] ^= 1
	write(bad)
	stdout, stderr, code := command(t, s, "verify")
	write(text)
	if code != 1 || !strings.Contains(stdout, path) || !strings.Contains(stderr, "firth lake restore") {
		t.Errorf("verify of a spoiled file: exit code %d\n%s%s", code, stdout, stderr)
	}
}

// TestBackupAndRestore backs up beside a server, and after a kill without one, and brings the events back into other data folders.
func TestBackupAndRestore(t *testing.T) {
	s := rig.New(t, config)
	s.Start()
	load := rig.NewLoad(s, "production", "k", 2, 2)
	load.Send(5)
	dir := filepath.Join(t.TempDir(), "backup")
	var report struct {
		Tables []struct {
			Table  string
			Rows   int
			Copied int
		}
	}
	rows := func() (n int) {
		for _, table := range report.Tables {
			if table.Table == "production" {
				n = table.Rows
			}
		}
		return n
	}
	done(t, s, &report, "backup", dir)
	if rows() != load.Acked() { // however lately it was acknowledged
		t.Errorf("the backup has %d rows, %d events were acknowledged before it", rows(), load.Acked())
	}
	load.Send(5)
	s.Kill() // what the journal holds belongs into the backup
	done(t, s, &report, "backup", dir)
	if rows() != load.Acked() {
		t.Errorf("the backup after the kill has %d rows of %d events", rows(), load.Acked())
	}
	for _, serving := range []bool{true, false} {
		other := rig.New(t, config)
		if serving {
			other.Start()
		}
		stdout, stderr, code := command(t, other, "restore", dir)
		if code != 0 || !strings.Contains(stdout, "typed tables follow") {
			t.Fatalf("restore: exit code %d\n%s%s", code, stdout, stderr)
		}
		if !serving {
			other.Start()
		}
		there := load.Fork(other)
		there.Settle(30 * time.Second)
		other.Stop()
	}
}

// TestWrongUsageAndNothingThere checks exit codes, and that errors say what to do.
func TestWrongUsageAndNothingThere(t *testing.T) {
	s := rig.New(t, config)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"files"}, 1, "firth serve"},
		{[]string{"merge"}, 1, "firth serve"},
		{[]string{"files", "-o", "xml"}, 2, "-o json"},
		{[]string{"files", "--day", "yesterday"}, 2, "2006-01-02"},
		{[]string{"merge", "--which", "medium"}, 2, "small, large or all"},
		{[]string{"backup"}, 2, "firth lake backup DIR"},
		{[]string{"restore", filepath.Join(s.Dir, "nothing")}, 1, "firth lake backup"},
		{[]string{"purge"}, 2, "--user ID"},
	} {
		stdout, stderr, code := command(t, s, c.args...)
		if code != c.code || !strings.Contains(stderr, c.says) || !strings.Contains(stderr, "→") || stdout != "" {
			t.Errorf("firth lake %s: exit code %d, want %d\n%s%s", strings.Join(c.args, " "), code, c.code, stdout, stderr)
		}
	}
	for _, name := range []string{"files", "snapshots", "verify", "merge", "expire", "backup", "restore", "purge", "snippet"} {
		stdout, _, code := command(t, s, name, "--help")
		if code != 0 || !strings.Contains(stdout, "Examples:\n  firth lake "+name) {
			t.Errorf("firth lake %s --help: exit code %d\n%s", name, code, stdout)
		}
	}
}
