package exec_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"firth/internal/source"
	"firth/internal/source/exec"
	"firth/internal/source/sourcetest"
	"firth/internal/vector"
)

// TestMain is also the program that is run: its first argument says what it does.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		if do, ok := map[string]func(string) error{
			"print": printFile, "get": printAsked, "half": printHalf, "stay": stay, "forked": forked, "args": printArgs,
		}[os.Args[1]]; ok {
			if err := do(os.Args[2]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(3)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

func printFile(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

func printArgs(string) error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]string{"dir": dir, "cursor": os.Getenv(exec.CursorVariable)})
}

// printAsked prints the lines of the file whose id is asked for.
func printAsked(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	asked := map[string]bool{}
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		asked[s.Text()] = true
	}
	for line := range strings.Lines(string(text)) {
		var row struct{ ID json.Number }
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return err
		}
		if asked[row.ID.String()] {
			fmt.Print(line)
		}
	}
	return nil
}

func printHalf(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(text[:len(text)/2]); err != nil {
		return err
	}
	return errors.New("the database went away")
}

// stay prints one row and then nothing, for ever.
func stay(string) error {
	fmt.Println(`{"id":1}`)
	select {}
}

// forked leaves a child behind that holds its output open, and writes the child's pid to the file.
func forked(file string) error {
	child, err := os.StartProcess(os.Args[0], []string{os.Args[0], "stay", "x"}, &os.ProcAttr{Files: []*os.File{nil, os.Stdout, os.Stderr}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, fmt.Append(nil, child.Pid), 0o600); err != nil {
		return err
	}
	select {}
}

func open(t *testing.T, spec source.Spec) *exec.Table {
	t.Helper()
	s, err := exec.Open(t.Context(), "", spec, source.Options{Name: "program"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSource(t *testing.T) {
	file := filepath.Join(t.TempDir(), "rows")
	sourcetest.Documents(t, sourcetest.Stand{
		Fill: func(t *testing.T, people []sourcetest.Person) {
			var b strings.Builder
			for _, p := range people {
				name, err := json.Marshal(p.Name)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&b, `{"id":%d,"name":%s`, p.ID, name)
				if p.Age != 0 {
					fmt.Fprintf(&b, `,"age":%d`, p.Age)
				}
				b.WriteString("}\n")
			}
			if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		Open: func(t *testing.T, spec source.Spec, get bool) sourcetest.Source {
			spec.Exec = []string{os.Args[0], "print", file}
			if get {
				spec.Exec[1] = "get"
			}
			return open(t, spec)
		},
		Missing: func(t *testing.T) sourcetest.Source { return open(t, source.Spec{Exec: []string{"./no-such-program"}}) },
		Lacks:   []string{"snapshot"},
	})
}

func scan(t *testing.T, ctx context.Context, spec source.Spec, r source.Request) (n int, err error) { //nolint:revive // t is first in tests
	t.Helper()
	rows, err := open(t, spec).Scan(ctx, r)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		var b source.Batch
		if err := rows.Next(ctx, &b); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
		n += len(b.Docs)
	}
}

// TestFailures: whatever a program does wrong, the rows are never told to be complete, and the error says why.
func TestFailures(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rows := write("rows", strings.Repeat("{\"id\":1}\n", 5000))
	notRunnable := write("plain.py", "print(1)")
	for _, tt := range []struct {
		name       string
		exec       []string
		says, hint string
	}{
		{"it fails half-way", []string{os.Args[0], "half", rows}, "exit status 3: the database went away", "run it by hand"},
		{"it prints no JSON", []string{os.Args[0], "print", write("prose", "{\"id\":1}\nall is well\n")}, "value 2 is no JSON", "nothing else"},
		{"it ends in the middle", []string{os.Args[0], "print", write("cut", "{\"id\":1}\n{\"id\":")}, "in the middle of value 2", ""},
		{"a list that is not closed", []string{os.Args[0], "print", write("open", "[1,2,3")}, "in the middle", ""},
		{"more behind the list", []string{os.Args[0], "print", write("more", "[1,2] 3")}, "something follows", ""},
		{"it cannot be run", []string{notRunnable}, "permission", "chmod +x"},
		{"it is not there", []string{"./nowhere.py"}, "no such file", "PATH"},
		{"bytes that are no text", []string{os.Args[0], "print", write("bytes", "{\"id\":\"\xff\"}\n")}, "UTF-8", ""},
	} {
		n, err := scan(t, t.Context(), source.Spec{Exec: tt.exec, Dir: dir}, source.Request{})
		var e *source.Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(e.Hint(), tt.hint) {
			t.Errorf("%s: %d rows, %v", tt.name, n, err)
		}
	}
	for name, want := range map[string]int{"": 0, "[]": 0, "[1,\"a\",null]": 3, "1\n2\n": 2, "{\"id\":1}{\"id\":2}": 2, "\n\n": 0} {
		if n, err := scan(t, t.Context(), source.Spec{Exec: []string{os.Args[0], "print", write("good", name)}}, source.Request{}); err != nil || n != want {
			t.Errorf("%q: %d rows, %v", name, n, err)
		}
	}
}

// TestEnds: a program that does not end by itself is ended with all that it started.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if n, err := scan(t, ctx, source.Spec{Exec: []string{os.Args[0], "stay", "x"}}, source.Request{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d rows, %v", n, err)
	}
	file := filepath.Join(t.TempDir(), "pid")
	rows, err := open(t, source.Spec{Exec: []string{os.Args[0], "forked", file}}).Scan(t.Context(), source.Request{})
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	for deadline := time.Now().Add(time.Minute); pid == 0; time.Sleep(10 * time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil {
			_, _ = fmt.Sscan(string(text), &pid)
		}
		if time.Now().After(deadline) {
			t.Fatal("no child was started")
		}
	}
	if err := rows.Close(); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(time.Minute); syscall.Kill(pid, 0) == nil && !zombie(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("what the program started runs on")
		}
	}
}

func zombie(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return len(fields) > 0 && slices.Contains([]string{"Z", "X"}, fields[0])
}

// TestCursor: the program is told where to begin and in which folder it runs.
func TestCursor(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, source.Spec{Exec: []string{os.Args[0], "args", "x"}, Dir: dir, Cursor: "cursor"})
	rows, err := s.Scan(t.Context(), source.Request{From: vector.Value{Kind: vector.Text, Text: "2026-03-01"}})
	if err != nil {
		t.Fatal(err)
	}
	var b source.Batch
	if err := errors.Join(rows.Next(t.Context(), &b), rows.Close()); err != nil || len(b.Docs) != 1 {
		t.Fatalf("%d rows, %v", len(b.Docs), err)
	}
	if got := string(b.Docs[0].Find("cursor").Bytes) + " in " + string(b.Docs[0].Find("dir").Bytes); got != "2026-03-01 in "+dir {
		t.Errorf("the program saw %s", got)
	}
}
