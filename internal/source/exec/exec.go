// Package exec reads what a program prints, in any language: one JSON value a line.
//
// A list, or a copy, is a run of the program without input: exit status 0 says that what it printed is complete. A get is a run with the
// ids on its standard input, one as JSON a line; it prints one object a row.
package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"firth/internal/source"
	"firth/internal/source/feed"
	"firth/internal/vector"
)

// CursorVariable is the environment variable that holds, for append and upsert with a cursor, the least value of it that is wanted. A program
// may ignore it: what lies before is left out anyway.
const CursorVariable = "FIRTH_CURSOR"

// Table is a program that prints rows. It is safe for use by several goroutines; each scan and each get is a process of its own.
type Table struct {
	spec source.Spec
	o    source.Options
	pick *source.Pick
}

// Open makes a source of the program; nothing runs yet. url is not used.
func Open(_ context.Context, _ string, spec source.Spec, o source.Options) (*Table, error) {
	if len(spec.Exec) == 0 {
		return nil, &source.Error{Op: "run", Name: o.Name, Err: errors.New("no program is named"), Advice: "write exec: [./program.py, argument]"}
	}
	return &Table{spec: spec, o: o, pick: source.NewPick(spec.Columns, spec.Exclude, spec.ID, spec.Key, spec.Cursor)}, nil
}

// Describe finds the program.
func (t *Table) Describe(context.Context) (*source.Info, error) {
	if _, err := t.program(); err != nil {
		return nil, err
	}
	return &source.Info{Rows: -1, Bytes: -1}, nil
}

// program is the path of the program: from the folder where it runs, or by PATH.
func (t *Table) program() (string, error) {
	name := t.spec.Exec[0]
	if strings.ContainsRune(name, filepath.Separator) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(t.spec.Dir, name)
		}
		absolute, err := filepath.Abs(name)
		if err != nil {
			return "", fmt.Errorf("find %s: %w", name, err)
		}
		name = absolute
	}
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path, nil
	case errors.Is(err, fs.ErrPermission):
		return "", t.fail(err, "chmod +x "+name)
	}
	return "", t.fail(err, "give its path, from the folder of the configuration, or put it into a folder of PATH")
}

func (t *Table) fail(err error, advice string) *source.Error {
	return &source.Error{Op: "run", Name: t.spec.Exec[0], Err: err, Advice: advice}
}

// Begin does nothing: a program has no snapshots.
func (t *Table) Begin(context.Context) error { return nil }

// End does nothing.
func (t *Table) End() error { return nil }

// Close does nothing: each process ends with its rows.
func (t *Table) Close() error { return nil }

// Ranges is one: a program prints all or fails.
func (t *Table) Ranges(context.Context, int) ([]source.Range, error) { return []source.Range{{}}, nil }

// Scan runs the program without input.
func (t *Table) Scan(ctx context.Context, r source.Request) (source.Rows, error) {
	pick := t.pick
	if r.Only != nil {
		pick = source.NewPick(r.Only, t.spec.Exclude)
	}
	p, err := t.start(ctx, nil, r.From)
	if err != nil {
		return nil, err
	}
	p.feed = feed.New(p.out, orID(t.spec.ID), pick)
	p.from, p.cursor = r.From, t.spec.Cursor
	return p, nil
}

// Get runs the program with the ids on its standard input.
func (t *Table) Get(ctx context.Context, ids []vector.Value) (source.Rows, error) {
	if len(ids) == 0 {
		return none{}, nil
	}
	var in bytes.Buffer
	for _, id := range ids {
		in.Write(feed.AppendID(nil, id))
		in.WriteByte('\n')
	}
	p, err := t.start(ctx, &in, vector.Value{})
	if err != nil {
		return nil, err
	}
	p.feed = feed.New(p.out, orID(t.spec.Key), t.pick)
	return p, nil
}

func orID(name string) string {
	if name == "" {
		return "id"
	}
	return name
}

// Check finds the program; it is not run.
func (t *Table) Check(context.Context) []source.Finding {
	f := source.Finding{What: "program " + t.spec.Exec[0]}
	path, err := t.program()
	if err != nil {
		var e *source.Error
		if errors.As(err, &e) {
			f.Hint = e.Hint()
		}
		f.Found = err.Error()
		return []source.Finding{f}
	}
	f.OK, f.Found = true, path
	return []source.Finding{f}
}

// process is one run of the program: its rows.
type process struct {
	t    *Table
	cmd  *exec.Cmd
	out  io.ReadCloser
	said *tail // the end of what it wrote to its standard error

	feed   *feed.Reader
	cursor string
	from   vector.Value
	waited bool
}

// grace is how long a program that was told to end may take before it is killed.
const grace = 2 * time.Second

func (t *Table) start(ctx context.Context, in io.Reader, from vector.Value) (*process, error) {
	path, err := t.program()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, t.spec.Exec[1:]...)
	cmd.Dir, cmd.Stdin = t.spec.Dir, in
	cmd.Env = os.Environ()
	if from.Kind != vector.Null {
		v := vector.New(vector.Type{Kind: from.Kind, Bits: from.Bits})
		v.AppendValue(from)
		cmd.Env = append(cmd.Env, CursorVariable+"="+string(v.AppendText(nil, 0)))
	}
	p := &process{t: t, cmd: cmd, said: &tail{}}
	cmd.Stderr = p.said
	// What the program started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	if p.out, err = cmd.StdoutPipe(); err != nil {
		return nil, fmt.Errorf("run %s: %w", path, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, t.fail(err, "run it by hand to see what it needs: "+t.line())
	}
	return p, nil
}

func (t *Table) line() string { return strings.Join(t.spec.Exec, " ") }

// Next implements source.Rows. io.EOF comes after the program has ended with status 0.
func (p *process) Next(ctx context.Context, b *source.Batch) error {
	for {
		err := p.feed.Next(b)
		if source.AtEnd(err) {
			if err := p.wait(ctx); err != nil {
				return err
			}
			return io.EOF
		}
		if err != nil {
			broken := p.t.fail(fmt.Errorf("what it prints: %w", err), "it must print one JSON value a line, and nothing else, to its standard output: "+p.t.line())
			if ended := p.wait(ctx); ended != nil && !p.cmd.ProcessState.Success() && p.cmd.ProcessState.Exited() {
				return ended // it broke off: that is why the rest is missing
			}
			return broken
		}
		if p.from.Kind != vector.Null {
			kept := b.Docs[:0]
			for i := range b.Docs {
				if source.Reaches(b.Docs[i].Find(p.cursor), p.from) {
					kept = append(kept, b.Docs[i])
				}
			}
			b.Docs = kept
		}
		if len(b.Docs) > 0 {
			return nil
		}
	}
}

// wait ends the process, which has closed its output or printed nonsense, and tells how it ended.
func (p *process) wait(ctx context.Context) error {
	if p.waited {
		return nil
	}
	p.waited = true
	_ = p.out.Close() // a program that prints on is ended by that
	err := p.cmd.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		return nil
	}
	why := err.Error()
	if text := strings.TrimSpace(p.said.String()); text != "" {
		why += ": " + text
	}
	return p.t.fail(errors.New(why), "exit status 0 says that all was printed; run it by hand to see more: "+p.t.line())
}

// Close ends the program where it still runs.
func (p *process) Close() error {
	if p.waited {
		return nil
	}
	p.waited = true
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM) // it may have ended
	_ = p.out.Close()
	_ = p.cmd.Wait() // nobody asks any more how it ended
	return nil
}

// tail keeps the last bytes written to it.
type tail struct{ kept []byte }

const tailBytes = 2000

func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b...)
	if over := len(t.kept) - tailBytes; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

func (t *tail) String() string { return strings.ToValidUTF8(string(t.kept), "�") }

// none are the rows of no ids.
type none struct{}

func (none) Next(context.Context, *source.Batch) error { return io.EOF }
func (none) Close() error                              { return nil }
