// Package store lets the real server run on an S3-compatible store behind a proxy that spoils requests, while events are sent, files merged
// and swept, processes killed and the store taken away: the counts are exact, and what is left at the store is what the tables name.
package store

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/test/audit"
	"firth/test/rig"
	"firth/test/server"
)

const patience = 2 * time.Minute

// length is FIRTH_LONG, or the short form.
func length(t *testing.T) time.Duration {
	d, err := time.ParseDuration(os.Getenv("FIRTH_LONG"))
	if err != nil || d <= 0 {
		d = 12 * time.Second
	}
	t.Logf("FIRTH_LONG=%s", d)
	return d
}

// stand is a server with its lake at a store behind a proxy.
type stand struct {
	*testing.T
	real  *server.Store
	proxy *server.StoreProxy
	s     *rig.Server
	load  *rig.Load
}

const prefix = "company/lake"

func newStand(t *testing.T) *stand {
	t.Helper()
	real := server.S3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", real.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", real.SecretKey)
	t.Setenv("AWS_SESSION_TOKEN", "")
	st := &stand{T: t, real: real, proxy: server.StoreFaulty(t, real)}
	st.s = rig.New(t, st.config())
	st.load = rig.NewLoad(st.s, "shop", "shop-key", 3, 1)
	st.load.Resend, st.load.Pause = 0.1, 10*time.Millisecond
	return st
}

func (st *stand) config() string {
	return fmt.Sprintf(`
sources:
  shop: { write_key: shop-key }
lake:
  url: "%s"
  cache: { bytes: 64MiB }
  flush: { every: 200ms }
  merge: { small: { every: 300ms }, large: { every: 1s } }
  grace: 5s
  orphans: 5s
query: { deadline: 4s }
`, st.proxy.URL(prefix, "5s"))
}

// lake compares what lies at the store with what the tables name.
func (st *stand) lake() (*audit.Lake, error) {
	dir := filepath.Join(st.real.Dir, filepath.FromSlash(prefix))
	found, err := audit.ReadAt(st.Context(), st.s.Data, "s3://"+st.real.Bucket+"/"+prefix, dir)
	if err != nil {
		return nil, err
	}
	var orphans []string
	for _, path := range found.Orphans {
		if path != filepath.Join(dir, "firth.json") { // whose the prefix is
			orphans = append(orphans, path)
		}
	}
	found.Orphans = orphans
	return found, nil
}

// clean waits until nothing but what the tables name is at the store, with all rows.
func (st *stand) clean() {
	st.Helper()
	st.s.Eventually(patience, "the lake to be clean", func() error {
		found, err := st.lake()
		if err != nil {
			return err
		}
		if len(found.Orphans)+len(found.Missing) > 0 || found.Rows["shop"] != int64(st.load.Acked()) {
			return fmt.Errorf("%s, %d rows of %d; orphans %v, missing %v", found, found.Rows["shop"], st.load.Acked(), found.Orphans, found.Missing)
		}
		st.Log(found)
		return nil
	})
	for _, path := range uploads(st.real) {
		st.Errorf("an upload that never ended is left: %s", path)
	}
}

// uploads are the parts of uploads that are neither ended nor given up.
func uploads(real *server.Store) (left []string) {
	found, err := filepath.Glob(filepath.Join(real.Dir, ".sgwtmp", "multipart", "*", "*"))
	if err != nil {
		return []string{err.Error()}
	}
	return found
}

// TestEveryOperationFailsOnce lets requests of all kinds fail once, in every way, while everything is at work.
func TestEveryOperationFailsOnce(t *testing.T) {
	st := newStand(t)
	st.s.Start()
	st.proxy.FailOnce(1, 0.2)
	st.load.Start()
	for until := time.Now().Add(length(t)); time.Now().Before(until) && !t.Failed(); {
		time.Sleep(500 * time.Millisecond)
		if _, err := st.load.See(rig.Lake); err != nil && strings.Contains(err.Error(), "doubled or lost") {
			t.Fatal(err)
		}
	}
	st.load.Stop()
	st.load.Settle(patience)
	served, spoilt := st.proxy.Served()
	t.Logf("%d events; %v requests, spoilt %v", st.load.Acked(), served, spoilt)
	for _, fault := range server.StoreFaults {
		if spoilt[fault] == 0 {
			t.Errorf("no request met the fault %q", fault)
		}
	}
	st.proxy.Rule(nil)
	for _, name := range []string{"firth_merges_total", "firth_tend_swept_files_total", "firth_store_failed_requests_total",
		`firth_store_requests_total{half="collect",operation="PUT"}`, `firth_cache_hits_total{half="answer"}`} {
		st.s.Eventually(patience, name, func() error {
			n, err := st.s.Metric(name)
			if err == nil && n == 0 {
				err = errors.New("none")
			}
			return err
		})
	}
	st.clean()
	if code := st.s.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestKilledServer kills the server again and again while it writes, merges and sweeps at a store that fails now and then.
func TestKilledServer(t *testing.T) {
	st := newStand(t)
	st.s.Start()
	st.proxy.FailOnce(2, 0.1)
	st.load.Start()
	rounds := max(3, int(length(t)/(20*time.Second)))
	for range rounds {
		time.Sleep(1500 * time.Millisecond)
		st.s.Kill()
		st.s.Launch()
		st.s.Eventually(patience, "the server to accept writes", st.s.Accepts)
	}
	st.load.Stop()
	st.proxy.Rule(nil)
	st.load.Settle(patience)
	st.clean()
}

// TestStoreAway takes the store away: events are taken all the while, /readyz says what is wrong and what to do, and all is caught up.
func TestStoreAway(t *testing.T) {
	st := newStand(t)
	st.s.Start()
	st.load.Start()
	time.Sleep(time.Second)
	st.real.Stop()
	before := st.load.Acked()
	st.s.Eventually(patience, "/readyz to say that the store is away", func() error {
		status, components, err := st.s.Ready()
		if err != nil {
			return err
		}
		if status != http.StatusOK {
			return fmt.Errorf("it answered %d", status)
		}
		for _, c := range components {
			if c.Name == "lake" && c.State == "failed" && strings.Contains(c.Error, "s3://") && strings.Contains(c.Hint, "see whether") {
				return nil
			}
		}
		return fmt.Errorf("%+v", components)
	})
	if refused := st.load.Refused.Load(); st.load.Acked() == before || refused > 0 {
		t.Errorf("without a store %d events were taken, and %d batches refused", st.load.Acked()-before, refused)
	}
	// A server that is started without a store takes events too.
	st.s.Kill()
	st.s.Launch()
	st.s.Eventually(patience, "the server to accept writes without a store", st.s.Accepts)
	before = st.load.Acked()
	st.s.Eventually(patience, "more events to be taken", func() error {
		if st.load.Acked() < before+100 {
			return fmt.Errorf("%d", st.load.Acked()-before)
		}
		return nil
	})
	st.real.Start()
	st.load.Stop()
	st.load.Settle(patience)
	st.clean()
}
