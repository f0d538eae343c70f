// Package rig starts the real firth binary for tests, on a folder and ports of its own, and asks it over HTTP as a user would.
package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Binary returns the path of the binary under test: FIRTH_BIN, or one built for this test run.
func Binary(t testing.TB) string {
	t.Helper()
	if bin := os.Getenv("FIRTH_BIN"); bin != "" {
		return bin
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	bin := filepath.Join(os.TempDir(), "firth-test-"+strconv.Itoa(os.Getpid()), "firth")
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	build := exec.Command("go", "build", "-o", bin, "./cmd/firth")
	build.Dir = strings.TrimSpace(string(root))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build firth: %v\n%s", err, out)
	}
	return bin
}

// Server is one running (or stopped) firth serve.
type Server struct {
	Dir  string // holds firth.yaml and the server's log
	Data string // the data folder
	URL  string
	Env  []string // what the environment of the server and its commands has beside the test's own
	bin  string
	addr string
	log  *os.File
	t    testing.TB

	cmd   *exec.Cmd     // nil while none runs
	ended chan struct{} // closed when cmd has ended
}

// New makes a server that is not started yet; config are the lines of firth.yaml behind listen and data.
func New(t testing.TB, config string) *Server {
	t.Helper()
	return NewAt(t, filepath.Join(t.TempDir(), "data"), config)
}

// NewAt is New for a data folder of the caller's.
func NewAt(t testing.TB, data, config string) *Server {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Dir: dir, URL: "http://" + addr, bin: Binary(t), addr: addr, log: log, t: t}
	s.Configure(data, config)
	t.Cleanup(func() {
		if s.cmd != nil {
			s.Kill()
		}
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the server's log:\n%s", tail(text, 8000))
		}
		log.Close()
	})
	return s
}

// At is a server that somebody else runs at a URL; it can be asked, and no more.
func At(t testing.TB, url string) *Server { return &Server{URL: url, t: t} }

// Configure writes firth.yaml anew, for the next start: config are its lines behind listen and data.
func (s *Server) Configure(data, config string) {
	s.t.Helper()
	s.Data = data
	text := fmt.Sprintf("listen: %s\ndata: %s\n%s", s.addr, data, config)
	if err := os.WriteFile(filepath.Join(s.Dir, "firth.yaml"), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func tail(b []byte, n int) []byte {
	if len(b) > n {
		return b[len(b)-n:]
	}
	return b
}

// Start starts the server and returns when it accepts writes.
func (s *Server) Start() {
	s.t.Helper()
	s.Launch()
	s.Eventually(time.Minute, "the server to accept writes", s.Accepts)
}

// Accepts returns nil when /readyz says that the server accepts writes.
func (s *Server) Accepts() error {
	status, components, err := s.Ready()
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d: %+v", status, components)
	}
	return err
}

// Launch starts the server and waits for nothing.
func (s *Server) Launch() {
	s.t.Helper()
	// Those to the server that was at this address before are of no use, which the client may not have noticed yet.
	http.DefaultClient.CloseIdleConnections()
	cmd := exec.Command(s.bin, "serve", "-c", filepath.Join(s.Dir, "firth.yaml"))
	cmd.Env = append(os.Environ(), s.Env...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	// The server dies with the test, however the test ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // what it says is in ProcessState
	}()
	s.cmd, s.ended = cmd, ended
}

// Wait waits until the server ends by itself and returns its exit code; false when it is still there after patience.
func (s *Server) Wait(patience time.Duration) (code int, ended bool) {
	s.t.Helper()
	select {
	case <-s.ended:
		code = s.cmd.ProcessState.ExitCode()
		s.cmd = nil
		return code, true
	case <-time.After(patience):
		return 0, false
	}
}

// Run runs another command of the binary with the server's configuration and returns what it printed.
func (s *Server) Run(args ...string) (stdout string, err error) {
	cmd := exec.CommandContext(s.t.Context(), s.bin, append(args, "-c", filepath.Join(s.Dir, "firth.yaml"))...)
	cmd.Env = append(os.Environ(), s.Env...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("firth %s: %w: %s", strings.Join(args, " "), err, &problem)
	}
	return out.String(), nil
}

// Metric is a number of /metrics, added up over its labels.
func (s *Server) Metric(name string) (float64, error) {
	r, err := http.Get(s.URL + "/metrics")
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:]), 64)
		if err != nil {
			return 0, fmt.Errorf("%s of /metrics: %w", name, err)
		}
		sum, found = sum+n, true
	}
	if !found {
		return 0, fmt.Errorf("/metrics has no %s", name)
	}
	return sum, nil
}

// Log is what the server has written to its log since an earlier length of it.
func (s *Server) Log(from int) string {
	s.t.Helper()
	b, err := os.ReadFile(s.log.Name())
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b[min(from, len(b)):])
}

// stopPatience is how long a server may take to end itself.
const stopPatience = 2 * time.Minute

// Stop ends the server by SIGTERM and returns its exit code.
func (s *Server) Stop() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	code, ended := s.Wait(stopPatience)
	if !ended || code < 0 {
		s.t.Fatalf("the server did not end by itself: ended %v, exit code %d", ended, code)
	}
	return code
}

// Kill ends the server by SIGKILL.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may be gone already
	<-s.ended
	s.cmd = nil
}

// PID of the server.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// ChildPID returns the pid of the answering half, or 0 while there is none.
func (s *Server) ChildPID() int {
	b, err := os.ReadFile(filepath.Join(s.Data, "child.pid"))
	if err != nil {
		return 0
	}
	pid, _, _ := strings.Cut(string(b), " ")
	n, _ := strconv.Atoi(pid)
	return n
}

// Post sends a body to a path with the write key and returns status and body; an error means that no answer came.
func (s *Server) Post(ctx context.Context, path, key string, body []byte) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.SetBasicAuth(key, "")
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// Table is the answer of POST /api/sql.
type Table struct {
	Columns []struct{ Name, Type string }
	Rows    [][]any
	Error   *struct{ Code, Message, Hint string }
}

// SQL asks one question.
func (s *Server) SQL(query string, params ...any) (*Table, error) {
	body, err := json.Marshal(map[string]any{"sql": query, "params": params})
	if err != nil {
		return nil, err
	}
	r, err := http.Post(s.URL+"/api/sql", "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	var out Table
	if err := json.NewDecoder(r.Body).Decode(&out); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Status, err)
	}
	if out.Error != nil {
		return nil, fmt.Errorf("%s: %s: %s", r.Status, out.Error.Code, out.Error.Message)
	}
	return &out, nil
}

// Count asks for one number.
func (s *Server) Count(query string, params ...any) (int, error) {
	out, err := s.SQL(query, params...)
	if err != nil {
		return 0, err
	}
	if len(out.Rows) != 1 || len(out.Rows[0]) != 1 {
		return 0, fmt.Errorf("%d rows where one number was asked for", len(out.Rows))
	}
	n, ok := out.Rows[0][0].(float64)
	if !ok {
		return 0, fmt.Errorf("%v is no number", out.Rows[0][0])
	}
	return int(n), nil
}

// gone reports whether the server has ended without being told to.
func (s *Server) gone() bool {
	if s.cmd == nil {
		return false
	}
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Eventually tries until it gets nil or the time is over.
func (s *Server) Eventually(patience time.Duration, what string, try func() error) {
	s.t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
		if s.gone() {
			s.t.Fatalf("the server ended while the test waited for %s: %v", what, err)
		}
	}
	s.t.Fatalf("waited %s for %s: %v", patience, what, err)
}
