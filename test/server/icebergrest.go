package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// REST is Iceberg's own REST catalog, the one that its tests use, over an SQLite file and tables on local disk. It ends with the test.
type REST struct {
	URL string
	t   testing.TB
	p   *process
}

// IcebergREST starts a catalog for one test.
func IcebergREST(t testing.TB) *REST {
	t.Helper()
	libraries := filepath.Join(installed(t, "iceberg-rest"), "lib")
	java, err := exec.LookPath("java")
	if err != nil {
		missing(t, "there is no java: run test/setup")
	}
	f := newFolder(t, "KILL")
	f.as = nil // it writes the metadata of tables that the test reads
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(Port(t)))
	r := &REST{URL: "http://" + addr, t: t}
	_, port, _ := net.SplitHostPort(addr)
	r.p = &process{folder: f, name: java, up: r.answers, args: []string{
		"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", libraries + string(os.PathListSeparator) + filepath.Join(libraries, "*"),
		"Serve", port, filepath.Join(f.dir, "catalog.db"),
	}}
	r.p.start(t)
	t.Cleanup(func() {
		r.Stop()
		if t.Failed() {
			t.Logf("the log of the REST catalog:\n%s", r.p.log())
		}
		f.remove()
	})
	return r
}

func (r *REST) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+"/v1/config", nil)
	if err != nil {
		return err
	}
	got, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	got.Body.Close()
	if got.StatusCode != http.StatusOK {
		return errors.New(fmt.Sprint("it answers ", got.Status))
	}
	return nil
}

// Stop ends the catalog at once.
func (r *REST) Stop() {
	r.t.Helper()
	r.p.stop(r.t, syscall.SIGKILL)
}

// Start starts it again on the same port with what it had.
func (r *REST) Start() {
	r.t.Helper()
	r.p.start(r.t)
}
