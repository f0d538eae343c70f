package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// The one source of the server under test.
const (
	sourceName = "bench"
	writeKey   = "bench-key"
)

// Arrival tells when and how many of the acknowledged events had arrived as rows. Times run from the end of the load.
type Arrival struct {
	LakeRows  int64         `json:"lake_rows"`
	TableRows int64         `json:"table_rows"`
	Lake      time.Duration `json:"lake_after_ns"`
	Tables    time.Duration `json:"tables_after_ns"`
	Complete  bool          `json:"complete"` // every acknowledged event is one row in the lake and one in the tables
}

// server is the server under test with a data folder of its own.
type server struct {
	cmd  *exec.Cmd
	log  *os.File
	url  string
	addr string
	data string
	http *http.Client
}

// serving says how a server under test is to run.
type serving struct {
	dir    string // data, configuration and log are kept here
	config string // further lines of the configuration
	// collectOnly leaves the answering half out.
	collectOnly bool
}

// startServer starts the server and waits until it takes events.
func (b *bench) startServer(ctx context.Context, o serving) (s *server, err error) {
	dir := o.dir
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	s = &server{addr: addr, url: "http://" + addr, data: filepath.Join(dir, "data"), http: &http.Client{Timeout: time.Minute}}
	config := filepath.Join(dir, "firth.yaml")
	text := fmt.Sprintf("listen: %s\ndata: %s\nsources:\n  %s: { write_key: %s }\n", addr, s.data, sourceName, writeKey) + o.config
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	var args []string
	if o.collectOnly {
		args = []string{"--roles", "collect,write"}
	}
	s.cmd = b.Server(config, args...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start the server: %w", err), s.log.Close())
	}
	ready, err := poll(ctx, 20*time.Millisecond, time.Minute, func() (bool, error) {
		if _, err := readUsage(s.cmd.Process.Pid); err != nil {
			return false, errors.New("the server ended at once")
		}
		return s.ready(ctx, !o.collectOnly), nil
	})
	if err == nil && !ready {
		err = errors.New("the server was not ready within a minute")
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// ready tells whether the server takes events and, where that is asked, answers SQL.
func (s *server) ready(ctx context.Context, answering bool) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return false
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	if answering {
		_, err = s.count(ctx, "SELECT 1")
	}
	return err == nil
}

// stop ends the server as a person would and waits for it. What it wrote is part of the error when it failed.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	killer := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() }) // Wait tells how it ended
	err := s.cmd.Wait()
	killer.Stop()
	if err != nil {
		err = fmt.Errorf("the server ended with %w; the end of its log:\n%s", err, tail(s.log.Name()))
	}
	return errors.Join(err, s.log.Close())
}

// runServer measures one load on the server, on a folder of its own, and waits until every event is a row.
func (b *bench) runServer(ctx context.Context, load Load) (result RunResult, err error) {
	dir, err := os.MkdirTemp(b.dir, "run-")
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := b.startServer(ctx, serving{dir: dir, config: b.config})
	if err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	pids := processes{parent: s.cmd.Process.Pid}
	if pids.child, err = children(pids.parent); err != nil {
		return result, err
	}
	before, err := pids.usages()
	if err != nil {
		return result, err
	}
	watch := &journalWatch{dir: filepath.Join(s.data, "journal"), sizes: map[string]int64{}}
	measured, stop := context.WithCancel(ctx)
	defer stop()
	g, gctx := errgroup.WithContext(measured)
	g.Go(func() error { return watch.run(gctx) })
	g.Go(func() error {
		defer stop()
		var err error
		began := time.Now()
		if result, err = b.load(gctx, b.generator(load, s.addr, writeKey), pids); err != nil {
			return err
		}
		result.Loaded = time.Since(began)
		result.Arrival, err = b.arrive(gctx, s, result.Generator.Accepted, b.options.Drain)
		return err
	})
	if err := g.Wait(); err != nil {
		return result, err
	}
	after, err := pids.usages()
	if err != nil {
		return result, err
	}
	result.Total, result.JournalBytes = after.minus(before), watch.total()
	if b.config == "" {
		result.LakeBytes, err = treeBytes(filepath.Join(s.data, "lake"), ".parquet")
	}
	return result, err
}

// arrive waits until the lake and the tables hold as many rows as events were acknowledged.
func (b *bench) arrive(ctx context.Context, s *server, want int64, drain time.Duration) (Arrival, error) {
	var a Arrival
	if drain < 0 {
		return a, nil
	}
	begin := time.Now()
	// Not too often: what the answers cost is counted as the server's own.
	_, err := poll(ctx, 500*time.Millisecond, drain, func() (bool, error) {
		// Until the first load there is no such table: that is no rows.
		if a.LakeRows < want {
			if n, err := s.count(ctx, "SELECT count(*) FROM lake."+sourceName); err == nil && n != a.LakeRows {
				a.LakeRows, a.Lake = n, time.Since(begin)
			}
		}
		if n, err := s.count(ctx, "SELECT count(*) FROM "+sourceName+".tracks"); err == nil && n != a.TableRows {
			a.TableRows, a.Tables = n, time.Since(begin)
		}
		return a.LakeRows >= want && a.TableRows >= want, nil
	})
	a.Complete = a.LakeRows == want && a.TableRows == want
	return a, err
}

// journalWatch adds up what is written to a journal while old parts of it are deleted: the largest size seen of every file.
type journalWatch struct {
	dir   string
	sizes map[string]int64
}

// run looks often enough not to miss much of a file that is deleted.
func (w *journalWatch) run(ctx context.Context) error {
	_, err := poll(ctx, 20*time.Millisecond, time.Hour, func() (bool, error) {
		entries, err := os.ReadDir(w.dir)
		if err != nil {
			return false, err
		}
		for _, e := range entries {
			if info, err := e.Info(); err == nil { // else it has just been deleted
				w.sizes[e.Name()] = max(w.sizes[e.Name()], info.Size())
			}
		}
		return false, nil
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (w *journalWatch) total() int64 {
	var sum int64
	for _, n := range w.sizes {
		sum += n
	}
	return sum
}

// freeAddress returns an address on loopback that nobody listens at.
func freeAddress(ctx context.Context) (string, error) {
	var c net.ListenConfig
	l, err := c.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// tail returns the last lines of a file.
func tail(path string) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-2000):]
}
