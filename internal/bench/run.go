package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// RunResult is one load on one server.
type RunResult struct {
	Generator Result `json:"generator"`
	// Load is what the server's processes used while the load was measured; Total from the first request until all rows had
	// arrived. Peaks are those of the processes' whole life.
	Load  Usages `json:"load"`
	Total Usages `json:"total"`

	Loaded       time.Duration `json:"loaded_ns,omitempty"`     // from the generator's start to its end
	JournalBytes int64         `json:"journal_bytes,omitempty"` // written to the journal (the bare server: to its file)
	LakeBytes    int64         `json:"lake_bytes,omitempty"`    // Parquet files in the lake once all rows had arrived
	Arrival      `json:"arrival"`
}

// Usages are those of the server's two processes; a bare server has one.
type Usages struct {
	Parent usage `json:"parent"`
	Child  usage `json:"child"`
}

func (u Usages) minus(earlier Usages) Usages {
	return Usages{Parent: u.Parent.minus(earlier.Parent), Child: u.Child.minus(earlier.Child)}
}

// rate returns the events a second that were acknowledged.
func (r RunResult) rate() float64 {
	return float64(r.Generator.Events) / r.Generator.Seconds
}

// role is a process of this binary in one of its roles.
type role struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *json.Decoder
}

// startRole starts the binary in a role; it ends when close is called or this process dies.
func (b *bench) startRole(ctx context.Context, name string, options any) (*role, error) {
	return b.startNice(ctx, name, options, 0)
}

// startNice is startRole with a niceness for the whole process, as the answering half of a server has one.
func (b *bench) startNice(ctx context.Context, name string, options any, nice int) (*role, error) {
	args := append(append([]string{}, b.Role[1:]...), name)
	cmd := exec.CommandContext(ctx, b.Role[0], args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := startAt(cmd, nice); err != nil {
		return nil, fmt.Errorf("start role %s: %w", name, err)
	}
	r := &role{cmd: cmd, stdin: in, lines: json.NewDecoder(out)}
	if err := r.tell(options); err != nil {
		return nil, errors.Join(fmt.Errorf("tell role %s its options: %w", name, err), r.close())
	}
	return r, nil
}

// startAt starts a process with the niceness, which it inherits from the thread that starts it. That thread is given up: nobody
// may take niceness back.
func startAt(cmd *exec.Cmd, nice int) error {
	if nice == 0 {
		return cmd.Start()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice); err != nil {
			done <- fmt.Errorf("set niceness: %w", err)
			return
		}
		done <- cmd.Start()
	}()
	return <-done
}

// call runs a role that gives one line, and decodes that into result.
func (b *bench) call(ctx context.Context, name string, options, result any) error {
	r, err := b.startRole(ctx, name, options)
	if err != nil {
		return err
	}
	if err := r.lines.Decode(result); err != nil {
		return errors.Join(fmt.Errorf("role %s gave no result: %w", name, err), r.close())
	}
	return r.close()
}

// tell writes a value to the role.
func (r *role) tell(v any) error { return json.NewEncoder(r.stdin).Encode(v) }

// next reads the role's next line.
func (r *role) next() (message, error) {
	var m message
	if err := r.lines.Decode(&m); err != nil {
		return m, fmt.Errorf("role ended early: %w", err)
	}
	return m, nil
}

// close ends the role and waits for it.
func (r *role) close() error {
	if err := r.stdin.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return r.cmd.Wait()
}

// runBare measures one load on the bare server.
func (b *bench) runBare(ctx context.Context, load Load) (result RunResult, err error) {
	file := filepath.Join(b.dir, "bare.log")
	defer func() { err = errors.Join(err, os.RemoveAll(file)) }()
	server, err := b.startRole(ctx, RoleBare, BareOptions{Listen: "127.0.0.1:0", File: file})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	m, err := server.next()
	if err != nil {
		return result, err
	}
	pids := processes{parent: server.cmd.Process.Pid}
	before, err := pids.usages()
	if err != nil {
		return result, err
	}
	if result, err = b.load(ctx, b.generator(load, m.Listening, "bench"), pids); err != nil {
		return result, err
	}
	after, err := pids.usages()
	if err != nil {
		return result, err
	}
	result.Total = after.minus(before)
	info, err := os.Stat(file)
	if err != nil {
		return result, err
	}
	result.JournalBytes = info.Size()
	return result, nil
}

// load runs the generator and reads what the server's processes use while it measures.
func (b *bench) load(ctx context.Context, o GenOptions, pids processes) (result RunResult, err error) {
	g, err := b.startRole(ctx, RoleGenerate, o)
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	if _, err := g.next(); err != nil {
		return result, err
	}
	before, err := pids.usages()
	if err != nil {
		return result, err
	}
	m, err := g.next()
	if err != nil {
		return result, err
	}
	after, err := pids.usages()
	if err != nil {
		return result, err
	}
	if m.Result == nil {
		return result, errors.New("the load generator gave no result")
	}
	result.Generator, result.Load = *m.Result, after.minus(before)
	return result, nil
}

// processes are those of one server.
type processes struct {
	parent int
	child  []int
}

func (p processes) usages() (Usages, error) {
	parent, err := readUsage(p.parent)
	if err != nil {
		return Usages{}, fmt.Errorf("look at the server: %w", err)
	}
	child, err := readUsages(p.child)
	if err != nil {
		return Usages{}, fmt.Errorf("look at the server's child: %w", err)
	}
	return Usages{Parent: parent, Child: child}, nil
}

// poll calls f every so often until it says that it is done, fails, or the time is over; then it returns false.
func poll(ctx context.Context, every, limit time.Duration, f func() (bool, error)) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		done, err := f()
		if done || err != nil {
			return done, err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return false, nil
			}
			return false, ctx.Err()
		}
	}
}
