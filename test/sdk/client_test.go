package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// client is one SDK in one way of using it. Its name is that of its source, of its schema and of its golden files.
type client struct {
	name    string
	library string // what context.library.name says
	command []string
	env     []string
	browser bool // client-side traffic: the server fills context.ip in
}

// The parts of a command and of its environment that begin with @ are files of the cache, which setup.sh fills.
var clients = []client{
	{name: "segment_node", library: "@segment/analytics-node", command: []string{"@bin/node", "node/segment.js"}},
	{name: "rudder_node", library: "analytics-node", command: []string{"@bin/node", "node/rudder.js"}},
	{name: "segment_next", library: "analytics.js", command: []string{"@bin/node", "node/browser.js"},
		env: []string{"FIRTH_CHROMIUM=@bin/chromium"}, browser: true},
	{name: "segment_next_batching", library: "analytics.js", command: []string{"@bin/node", "node/browser.js"},
		env: []string{"FIRTH_CHROMIUM=@bin/chromium", "FIRTH_BATCHING=true"}, browser: true},
	{name: "segment_python", library: "analytics-python", command: []string{"@python/bin/python", "python/client.py"}},
	{name: "segment_python_gzip", library: "analytics-python", command: []string{"@python/bin/python", "python/client.py"},
		env: []string{"FIRTH_GZIP=true"}},
	{name: "segment_java", library: "analytics-java", command: []string{"@bin/java",
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", "@java/lib/*", "java/Client.java"}},
	{name: "segment_go", library: "analytics-go", command: []string{"go", "run", "-C", "go", "."}},
}

func (c client) key() string { return "key-of-" + c.name }

// config is the part of firth.yaml that names a source for every client.
func config() string {
	var b strings.Builder
	b.WriteString("sources:\n")
	for _, c := range clients {
		fmt.Fprintf(&b, "  %s: { write_key: %s }\n", c.name, c.key())
	}
	return b.String()
}

// sent is what a client prints: the calls that it made, with the values as the SDK was given them.
type sent struct {
	Library string
	Version string
	Calls   []map[string]any
}

// runID tells the calls of one run from those of any other.
func runID() string { return fmt.Sprintf("%08x", rand.Uint32()) }

// run runs the client against the host and returns what it says it sent.
func (c client) run(t *testing.T, host, run string, extra ...string) sent {
	t.Helper()
	out := c.start(t, host, run, extra...).wait(t)
	var s sent
	decode(t, out, &s)
	return s
}

// process is a client that runs.
type process struct {
	name        string
	cmd         *exec.Cmd
	in          io.Closer // closing it tells a client that goes on until then to end
	out, errors bytes.Buffer
}

func (c client) start(t *testing.T, host, run string, extra ...string) *process {
	t.Helper()
	cache := cacheDir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	t.Cleanup(cancel)
	words := make([]string, len(c.command))
	for i, word := range c.command {
		words[i] = fromCache(t, cache, word)
	}
	p := &process{name: c.name, cmd: exec.CommandContext(ctx, words[0], words[1:]...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.errors
	p.cmd.Env = append(os.Environ(), "FIRTH_HOST="+host, "FIRTH_WRITE_KEY="+c.key(), "FIRTH_RUN="+run,
		"NODE_PATH="+filepath.Join(cache, "node", "node_modules"), "GOFLAGS=-mod=readonly", "GOWORK=off")
	for _, pair := range append(c.env, extra...) {
		name, value, _ := strings.Cut(pair, "=")
		p.cmd.Env = append(p.cmd.Env, name+"="+fromCache(t, cache, value))
	}
	// By SIGTERM, so that the browser's driver takes the browser with it.
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 5 * time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// wait waits for the client's end and returns the line that it printed.
func (p *process) wait(t *testing.T) []byte {
	t.Helper()
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%s: %v\n%s", p.name, err, p.errors.Bytes())
	}
	return p.out.Bytes()
}

// cacheDir is where setup.sh puts everything.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("FIRTH_CACHE")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		dir = filepath.Join(home, ".cache", "firth")
	}
	return filepath.Join(dir, "sdk")
}

// fromCache resolves @path; a test whose tool is missing is skipped, but not where everything is promised to be there.
func fromCache(t *testing.T, cache, word string) string {
	t.Helper()
	name, ok := strings.CutPrefix(word, "@")
	if !ok || name == "" || strings.Contains(name, "@") {
		return word
	}
	path := filepath.Join(cache, name)
	if _, err := os.Stat(strings.TrimSuffix(path, "/*")); err != nil {
		missing := fmt.Sprintf("%s is missing: run test/sdk/setup.sh", path)
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	return path
}

// decode reads JSON with its numbers as they were written.
func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
}
