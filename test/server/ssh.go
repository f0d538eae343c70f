package server

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Shell is an SSH server that forwards connections.
type Shell struct {
	Port       int
	User       string
	KeyFile    string // the key that may log in
	KnownHosts string // a file that has the server's key
	t          testing.TB
	p          *process
}

// SSH starts OpenSSH's server for one test.
func SSH(t testing.TB) *Shell {
	t.Helper()
	program := installed(t, filepath.Join("sshd", "bin", "sshd"))
	f := newFolder(t, "TERM")
	t.Cleanup(f.remove)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	name := me.Username
	if f.as != nil {
		name = "daemon" // nobody may be locked, which this server minds
		f.as = credential(t, name)
		f.own(t, f.dir)
	}
	programs := f.reachable(t, filepath.Dir(filepath.Dir(program)))
	s := &Shell{Port: Port(t), User: name, t: t, KeyFile: filepath.Join(t.TempDir(), "key"), KnownHosts: filepath.Join(t.TempDir(), "known_hosts")}
	host := newSSHKey(t, filepath.Join(t.TempDir(), "host"))
	login := newSSHKey(t, s.KeyFile)
	hostKey, err := os.ReadFile(host.file)
	if err != nil {
		t.Fatal(err)
	}
	f.write(t, filepath.Join(f.dir, "host"), hostKey, 0o600)
	f.write(t, filepath.Join(f.dir, "authorized"), []byte(login.line), 0o600)
	line := fmt.Sprintf("[127.0.0.1]:%d %s", s.Port, host.line)
	if err := os.WriteFile(s.KnownHosts, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`ListenAddress 127.0.0.1
Port %d
HostKey %s/host
AuthorizedKeysFile %s/authorized
PidFile %s/sshd.pid
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
`, s.Port, f.dir, f.dir, f.dir)
	f.write(t, filepath.Join(f.dir, "config"), []byte(config), 0o600)
	s.p = &process{folder: f, name: filepath.Join(programs, "bin", "sshd"), args: []string{"-D", "-e", "-f", filepath.Join(f.dir, "config")}, up: s.answers}
	s.p.start(t)
	t.Cleanup(s.Stop)
	return s
}

func (s *Shell) answers(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return err
	}
	return conn.Close()
}

// Addr is where it listens.
func (s *Shell) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Stop ends the server and every connection through it.
func (s *Shell) Stop() {
	s.t.Helper()
	var connections []int
	s.p.mu.Lock()
	if s.p.running() {
		connections = descendants(s.p.cmd.Process.Pid)
	}
	s.p.mu.Unlock()
	s.p.stop(s.t, syscall.SIGTERM)
	for _, pid := range connections {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended
	}
}

// descendants are the processes that a process started, and those that these started: a connection has two.
func descendants(pid int) (out []int) {
	id := strconv.Itoa(pid)
	text, _ := os.ReadFile(filepath.Join("/proc", id, "task", id, "children")) // it may have ended
	for _, field := range strings.Fields(string(text)) {
		if child, err := strconv.Atoi(field); err == nil {
			out = append(append(out, child), descendants(child)...)
		}
	}
	return out
}

// Start starts it again.
func (s *Shell) Start() {
	s.t.Helper()
	s.p.start(s.t)
}

// Log is the end of what the server wrote.
func (s *Shell) Log() string { return string(s.p.log()) }

type sshKey struct {
	file string
	line string // public half, as authorized_keys has it
}

func newSSHKey(t testing.TB, file string) sshKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return sshKey{file: file, line: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + "\n"}
}
