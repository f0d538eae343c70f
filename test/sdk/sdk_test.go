package sdk

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"firth/test/rig"
)

var (
	update = flag.Bool("update", false, "write what was seen into testdata")
	stub   = flag.Bool("stub", false, "run the clients against a server that stores nothing, and check what they send only")
)

// TestSDKs: every call of every SDK arrives once, with every field, in the lake and in the typed tables.
func TestSDKs(t *testing.T) {
	url := ""
	var server *rig.Server
	if *stub {
		url = newStub(t)
	} else {
		server = rig.New(t, config())
		server.Start()
		url = server.URL
	}
	t.Run("clients", func(t *testing.T) {
		for _, c := range clients {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				tap := newTap(t, url)
				began := time.Now()
				out := c.run(t, tap.URL, runID())
				exchanges := tap.exchanges(t)
				wire := checkSent(t, c, out, exchanges)
				checkForms(t, c, exchanges)
				t.Logf("%s %s: %d calls in %d requests, %s", out.Library, out.Version, len(wire), len(exchanges), time.Since(began).Round(time.Millisecond))
				if server == nil {
					return
				}
				arrived(t, server, c.name, len(wire))
				rows := checkLake(t, server, c, wire, began)
				checkTables(t, server, c, rows)
			})
		}
	})
	if server != nil {
		if code := server.Stop(); code != 0 {
			t.Errorf("the server ended with exit code %d", code)
		}
	}
}

// eventually tries until it gets nil or the time is over.
func eventually(t *testing.T, patience time.Duration, what string, try func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = try(); err == nil {
			return
		}
	}
	t.Fatalf("waited %s for %s: %v", patience, what, err)
}

// arrived waits until the lake has n rows of the source, and the typed tables one for each of them.
func arrived(t *testing.T, s *rig.Server, source string, n int) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("%d rows in lake and tables of %s", n, source), func() error {
		got, err := s.Count(fmt.Sprintf(`SELECT count(*) FROM lake.%q`, source))
		if err != nil || got < n {
			return fmt.Errorf("lake: %d rows, %w", got, err)
		}
		typed := 0
		for _, table := range []string{"tracks", "identifies", "pages", "screens", "groups", "aliases"} {
			rows, err := s.Count(fmt.Sprintf(`SELECT count(*) FROM %q.%s`, source, table))
			if err != nil {
				return err
			}
			typed += rows
		}
		if typed < n {
			return fmt.Errorf("tables: %d rows", typed)
		}
		return nil
	})
}
