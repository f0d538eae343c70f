package warehouse

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firth/test/rig"
	"firth/test/server"
)

// hook is a web hook that remembers what it was told.
type hook struct {
	URL  string
	mu   sync.Mutex
	told []message
}

// message is what docs/alerts.md says that a web hook gets.
type message struct {
	Text, Event, State, Name, Error, Hint string
	Since, At                             time.Time
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m message
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || r.Method != http.MethodPost {
			t.Errorf("the web hook got a %s that it cannot read: %v", r.Method, err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.told = append(h.told, m)
	}))
	t.Cleanup(s.Close)
	h.URL = s.URL
	return h
}

// got are the messages so far.
func (h *hook) got() []message {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// fails waits for a run that has failed since a moment.
func fails(s *rig.Server, since time.Time) {
	s.Eventually(patience, "a run that failed", func() error {
		n, err := s.Count(`SELECT count(*) FROM firth.runs WHERE name = 'analytics' AND state = 'failure' AND started_at >= $1::TIMESTAMPTZ`, since.Format(time.RFC3339Nano))
		if err == nil && n == 0 {
			err = errors.New("none")
		}
		return err
	})
}

// TestAlerts: a web hook is told once that a database refuses, and once that it is back, and nothing in between or later, however often
// runs fail and Firth is started anew.
func TestAlerts(t *testing.T) {
	t.Parallel()
	d, h, began := postgres(t, "15"), newHook(t), time.Now()
	proxy := server.Fault(t, d.addr)
	s := rig.New(t, sources+quick+"alerts: { webhook: "+h.URL+" }\nwarehouses:\n"+d.warehouse("analytics", d.via(proxy), "every: 1s"))
	s.Start()
	send(t, s, show("d1", "ada", "main", "2026-03-01T00:00:00.000Z"))
	d.arrives(s, "SELECT count(*) FROM production.tracks", []string{"1"})
	proxy.Refuse(true)
	send(t, s, show("d2", "ada", "main", "2026-03-01T00:00:00.000Z"))
	tells := func(want ...string) {
		t.Helper()
		s.Eventually(3*patience, fmt.Sprintf("the web hook to be told %q", want), func() error {
			if got := h.got(); len(got) < len(want) {
				return fmt.Errorf("%+v", got)
			}
			return nil
		})
		for i, m := range h.got() {
			if i >= len(want) || m.State != want[i] || m.Event != "run_failed" || m.Name != "analytics" || m.Error == "" || m.Hint == "" || m.Since.Before(began) || !m.Since.Equal(h.got()[0].Since) {
				t.Fatalf("the web hook was told %+v, want %q", h.got(), want)
			}
		}
	}
	tells("firing")
	for range 2 { // runs of other processes fail too
		s.Stop()
		start := time.Now()
		s.Start()
		fails(s, start)
	}
	tells("firing")
	s.Stop()
	patient := os.Getenv("FIRTH_LONG") != ""
	if !patient {
		sooner(t, s)
	}
	s.Start()
	proxy.Refuse(false)
	d.arrives(s, "SELECT count(*) FROM production.tracks", []string{"2"})
	if !patient { // the run of so short a schedule goes on for a minute
		if r, err := load(t, s, "analytics"); err != nil || r.State != "success" {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	tells("firing", "resolved")
	s.Stop()
	s.Start()
	send(t, s, show("d3", "ada", "main", "2026-03-01T00:00:00.000Z"))
	d.arrives(s, "SELECT count(*) FROM production.tracks", []string{"3"})
	s.Stop()
	tells("firing", "resolved")
}

// sooner shortens, in what a server that is stopped remembers, the minute for which all must be well to a second.
func sooner(t *testing.T, s *rig.Server) {
	t.Helper()
	path := filepath.Join(s.Data, "alerts.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	minute, second := fmt.Sprintf(`"hold":%d`, time.Minute), fmt.Sprintf(`"hold":%d`, time.Second)
	shorter := strings.ReplaceAll(strings.ReplaceAll(string(text), `"hold": `, `"hold":`), minute, second)
	if !strings.Contains(shorter, second) {
		t.Fatalf("%s has no minute to be shortened:\n%s", path, text)
	}
	if err := os.WriteFile(path, []byte(shorter), 0o600); err != nil {
		t.Fatal(err)
	}
}
