package mirror

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

// figures are what events cost and how late they are.
type figures struct {
	requests              int
	p50, p99, worst       time.Duration // of a POST
	freshMedian, freshest time.Duration // from the answer to the row in SQL; freshest is the worst of all
}

func (f figures) String() string {
	return fmt.Sprintf("%d requests: p50 %s, p99 %s, worst %s; in SQL after %s, %s at worst", f.requests, f.p50, f.p99, f.worst, f.freshMedian, f.freshest)
}

// ingest sends 500 events a second for a while, in batches of ten, and asks for marked ones in SQL.
func ingest(t *testing.T, s *rig.Server, mark string, lasting time.Duration) (out figures) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lasting)
	defer cancel()
	var group sync.WaitGroup
	var mu sync.Mutex
	var took, fresh []time.Duration
	post := func(name string) bool {
		var events []string
		for i := range 10 {
			events = append(events, fmt.Sprintf(`{"type":"track","event":"%s","messageId":"%s-%d","userId":"u"}`, mark, name, i))
		}
		began := time.Now()
		status, body, err := s.Post(t.Context(), "/v1/batch", "k", []byte(`{"batch":[`+strings.Join(events, ",")+`]}`))
		if err != nil || status != http.StatusOK {
			t.Errorf("%d %s %v", status, body, err)
			return false
		}
		mu.Lock()
		took = append(took, time.Since(began))
		mu.Unlock()
		return true
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	group.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			name := fmt.Sprintf("%s-look-%d", mark, i)
			if !post(name) {
				return
			}
			began := time.Now()
			s.Eventually(time.Minute, "an event in SQL", func() error {
				n, err := s.Count("SELECT count(*) FROM production.tracks WHERE id = $1", name+"-0")
				if err == nil && n != 1 {
					err = fmt.Errorf("%d rows", n)
				}
				return err
			})
			fresh = append(fresh, time.Since(began))
		}
	})
	for i := 0; ctx.Err() == nil; i++ {
		<-tick.C
		group.Go(func() { post(fmt.Sprintf("%s-%d", mark, i)) })
	}
	group.Wait()
	slices.Sort(took)
	slices.Sort(fresh)
	if len(took) == 0 || len(fresh) == 0 {
		t.Fatal("nothing was sent or seen")
	}
	return figures{len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1], fresh[len(fresh)/2], fresh[len(fresh)-1]}
}

// TestMirrorsBesideEventsWhileOneIsSilent runs ten mirrors (three in the short form) all the time while events come in: these stay quick to take and soon in SQL. One mirror more
// hangs on a source that has gone silent: it delays no other, not the stop either, and says that its source is silent.
func TestMirrorsBesideEventsWhileOneIsSilent(t *testing.T) {
	many, lasting := 10, 8*time.Second
	if rig.Rounds(1) == 1 {
		many, lasting = 3, 3*time.Second
	}
	pg := server.Postgres(t, "15")
	database := pg.Database()
	role, secret := pg.Role(database, "SUPERUSER")
	url := pg.URL(role, secret, database)
	origin := newSQLOrigin(t, open(t, "pgx", url), "app", "", "")
	proxy := server.Fault(t, pg.Addr())
	mirrors := "  silent: { from: { database: far, table: things }, into: { schema: copied }, every: 1s }\n"
	modes := []string{"mode: replace", "mode: upsert, key: id, delete_missing: true", "mode: append, cursor: id"}
	var names []string
	for i := range many {
		names = append(names, fmt.Sprintf("m%d", i))
		mirrors += fmt.Sprintf("  m%d: { from: { database: app, table: things }, into: { schema: copied }, %s, every: 1s }\n", i, modes[i%len(modes)])
	}
	config := "sources:\n  production: { write_key: k }\n"
	s := rig.New(t, config)
	s.Start()
	_ = ingest(t, s, "warm", 2*time.Second)
	t.Logf("alone: %s", ingest(t, s, "alone", lasting))
	s.Stop()
	s.Configure(s.Data, config+fmt.Sprintf("databases:\n  app: { type: postgres, url: %q }\n  far: { type: postgres, url: %q }\nmirrors:\n%s", url, server.Via(url, proxy.Addr), mirrors))
	s.Start()
	arrives := func(version int) {
		t.Helper()
		for i, name := range names {
			if i%len(modes) != 2 { // what was appended stays as it was
				s.Eventually(patience, name+" to have what its source has", func() error { return has(nil, s, "copied."+name, version) })
			}
		}
	}
	arrives(0)
	s.Eventually(patience, "the first copy through the network that goes silent", func() error { return has(nil, s, "copied.silent", 0) })
	proxy.Stall(true)
	stop := make(chan struct{})
	var changing sync.WaitGroup
	version := 0
	changing.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				version++
				origin.change(int64(version))
			}
		}
	})
	with := ingest(t, s, "beside", lasting)
	close(stop)
	changing.Wait()
	t.Logf("beside %d mirrors: %s", many, with)
	if with.p99 > 2*time.Second || with.freshest > time.Minute {
		t.Errorf("events suffer from mirrors: %s", with)
	}
	arrives(version)
	runs, err := s.SQL("SELECT name, count(*), max(date_diff('millisecond', started_at, finished_at)) FROM firth.runs WHERE kind = 'mirror' AND state = 'success' GROUP BY ALL ORDER BY ALL")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("runs, and milliseconds of the longest: %v", runs.Rows)
	if rig.Rounds(1) > 1 { // it takes minutes until that is sure
		s.Eventually(6*time.Minute, "the mirror of the silent source to say so", func() error {
			m, err := statusOf(t, s, "silent")
			if err == nil && (m.State != "failed" || m.Error == "") {
				err = fmt.Errorf("%+v", m)
			}
			if err == nil {
				t.Log(m.Error, "→", m.Hint)
			}
			return err
		})
	}
	began := time.Now()
	if code := s.Stop(); code != 0 || time.Since(began) > 45*time.Second {
		t.Errorf("exit code %d after %s", code, time.Since(began))
	}
	t.Logf("stopped in %s", time.Since(began))
}
