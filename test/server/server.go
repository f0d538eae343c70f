// Package server starts real database servers, an S3-compatible store and a faulty network for tests: on free ports of the loopback
// interface, in folders of their own, never on anything that was there before. The programs come from test/setup.
//
// Postgres and MariaDB share one server of a kind among all tests of a test binary, so each test takes a database of its own; the Own
// forms start one for a single test, which may stop, break or fill it. A server ends, and its folder is removed, when the test or the
// test binary ends, however that ends.
package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startPatience is how long a server may take until it answers.
const startPatience = 90 * time.Second

// installed returns the path of something below the folder that test/setup fills. Without it the test fails where CI=true and is
// skipped elsewhere.
func installed(t testing.TB, name string) string {
	t.Helper()
	cache := os.Getenv("FIRTH_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(home, ".cache", "firth")
	}
	path := filepath.Join(cache, "server", name)
	if _, err := os.Stat(path); err != nil {
		missing(t, fmt.Sprintf("%s is not installed (%v): run test/setup", name, err))
	}
	return path
}

// missing fails the test where CI=true and skips it elsewhere.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// ports has a byte of a file for each port, which the process that was given the port keeps locked to its end, so that no test beside it is
// given the same one between the choice and the start, or while a server is stopped.
var ports struct {
	sync.Mutex
	file  *os.File
	taken map[int]bool // by this process
}

// reserve reports whether a port is this caller's from now on. Where the file cannot be had only this process is asked.
func reserve(port int) bool {
	ports.Lock()
	defer ports.Unlock()
	if ports.taken[port] {
		return false
	}
	if ports.taken == nil {
		ports.taken = map[int]bool{}
		if f, err := os.OpenFile(filepath.Join(os.TempDir(), "firth-test-ports"), os.O_CREATE|os.O_RDWR, 0o666); err == nil {
			ports.file = f
		}
	}
	if ports.file != nil {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: int64(port), Len: 1}
		if err := unix.FcntlFlock(ports.file.Fd(), unix.F_OFD_SETLK, &lock); errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
			return false
		}
	}
	ports.taken[port] = true
	return true
}

// Port returns a port of the loopback interface that nobody listens on, from below the range that the system hands out by itself: so a
// server that was stopped finds it free again. No other test is given it until this process ends.
func Port(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 16000 + rand.IntN(16000)
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if reserve(port) {
			return port
		}
	}
	t.Fatal("no free port was found")
	return 0
}

// plain is the credential that a server is started with: nobody's when the tests run as root, which database servers refuse.
func plain(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	return credential(t, "nobody")
}

// credential is that of a user by name.
func credential(t testing.TB, name string) *syscall.Credential {
	t.Helper()
	who, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// folder is a short temporary folder that belongs to whom servers run as. A shell removes it, and ends the process whose pid its file
// pid has, as soon as remove is called or this process is gone, be it by a panic or a kill.
type folder struct {
	dir    string
	as     *syscall.Credential
	reaper *exec.Cmd
	leash  io.Closer
}

const reap = `cat >/dev/null
pid=$(cat "$1/pid" 2>/dev/null) && {
	kill -"$2" "$pid"
	i=0
	while kill -0 "$pid" && [ $i -lt 30 ]; do sleep 0.1; i=$((i+1)); done
	kill -KILL "$pid"
} 2>/dev/null
rm -rf "$1"`

func newFolder(t testing.TB, signal string) *folder {
	t.Helper()
	dir, err := os.MkdirTemp("", "firth")
	if err != nil {
		t.Fatal(err)
	}
	f := &folder{dir: dir, as: plain(t), reaper: exec.Command("sh", "-c", reap, "sh", dir, signal)}
	f.own(t, dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f.reaper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the tests
	if f.leash, err = f.reaper.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := f.reaper.Start(); err != nil {
		t.Fatal(err)
	}
	return f
}

// own gives a path to whom the server runs as.
func (f *folder) own(t testing.TB, path string) {
	t.Helper()
	if f.as == nil {
		return
	}
	if err := os.Chown(path, int(f.as.Uid), int(f.as.Gid)); err != nil {
		t.Fatal(err)
	}
}

// write makes a file of the server's.
func (f *folder) write(t testing.TB, path string, text []byte, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
	f.own(t, path)
}

func (f *folder) remove() {
	f.leash.Close()
	_ = f.reaper.Wait() // it says nothing
}

// run runs a program as the server will run, to its end.
func (f *folder) run(t testing.TB, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	f.prepare(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}

func (f *folder) prepare(cmd *exec.Cmd) {
	cmd.Dir = f.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=" + f.dir, "TMPDIR=" + f.dir, "LD_LIBRARY_PATH=" + filepath.Join(filepath.Dir(filepath.Dir(cmd.Path)), "lib")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: f.as, Setpgid: true}
}

// process is a server's program, running or stopped.
type process struct {
	*folder
	name string
	args []string
	up   func(context.Context) error // nil when the server answers

	mu    sync.Mutex
	cmd   *exec.Cmd // nil while none runs
	ended chan struct{}
}

func (p *process) logFile() string { return filepath.Join(p.dir, "log") }

// start starts the program and returns when it answers.
func (p *process) start(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(p.name, p.args...)
	p.prepare(cmd)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.write(t, filepath.Join(p.dir, "pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // what it says is in its log
	}()
	p.cmd, p.ended = cmd, ended
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	for err = p.up(ctx); err != nil; err = p.up(ctx) {
		if !p.running() || ctx.Err() != nil {
			t.Fatalf("%s did not start: %v\n%s", filepath.Base(p.name), err, p.log())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// running reports whether the program runs; the caller holds the lock.
func (p *process) running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.ended:
		p.cmd = nil
		return false
	default:
		return true
	}
}

// stop ends the program with a signal, by SIGKILL when it does not end within patience.
func (p *process) stop(t testing.TB, signal syscall.Signal) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return
	}
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	select {
	case <-p.ended:
	case <-time.After(startPatience):
		t.Errorf("%s did not end by %s", filepath.Base(p.name), signal)
		_ = p.cmd.Process.Kill() // it may be gone
		<-p.ended
	}
	p.cmd = nil
	if err := os.Remove(filepath.Join(p.dir, "pid")); err != nil {
		t.Error(err)
	}
}

// log is the end of what the program wrote.
func (p *process) log() []byte {
	b, _ := os.ReadFile(p.logFile()) // it is shown to people; without it there is less to see
	return b[max(0, len(b)-4000):]
}

// reachable returns a folder of programs that the server's user can read: root's home is nobody's business, so what lies there is
// linked, or copied, into the server's own folder.
func (f *folder) reachable(t testing.TB, from string) string {
	t.Helper()
	if f.as == nil {
		return from
	}
	closed := false
	for dir := from; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		closed = closed || info.Mode().Perm()&0o001 == 0
	}
	if !closed {
		return from
	}
	to := filepath.Join(f.dir, "programs")
	if err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return mirror(path, filepath.Join(to, rel), d)
	}); err != nil {
		t.Fatal(err)
	}
	return to
}

// mirror makes one entry of a mirrored folder.
func mirror(from, to string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		return os.Mkdir(to, 0o755)
	case d.Type()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	if os.Link(from, to) == nil {
		return nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := d.Info()
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(to, text, info.Mode()), os.Chmod(to, info.Mode().Perm()))
}

// lines joins configuration lines.
func lines(parts ...string) []byte {
	var b bytes.Buffer
	for _, p := range parts {
		b.WriteString(p + "\n")
	}
	return b.Bytes()
}
