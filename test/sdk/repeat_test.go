package sdk

import (
	"fmt"
	"testing"
	"time"

	"firth/test/rig"
)

// node returns the client of analytics-node with another script and the source that it sends to.
func node(name, script string) client {
	return client{name: name, library: "@segment/analytics-node", command: []string{"@bin/node", "node/" + script}}
}

func source(c client) string {
	return fmt.Sprintf("sources:\n  %s: { write_key: %s }\n", c.name, c.key())
}

// TestCopies: the same call sent twice in one batch, again in a later flush, after a restart and after a SIGKILL, is one row, the
// first; in users and accounts too.
func TestCopies(t *testing.T) {
	t.Parallel()
	c := node("copies", "copies.js")
	s := rig.New(t, source(c))
	s.Start()
	run := runID()
	c.copies(t, s, run, "1,2")
	c.copies(t, s, run, "3")
	if code := s.Stop(); code != 0 {
		t.Errorf("the server ended with exit code %d", code)
	}
	s.Start()
	c.copies(t, s, run, "4")
	s.Kill()
	s.Start()
	c.copies(t, s, run, "5,6")
}

// copies sends copies, waits for the marker behind them, and checks that the first copy is the only one.
func (c client) copies(t *testing.T, s *rig.Server, run, copies string) {
	t.Helper()
	tap := newTap(t, s.URL)
	out := c.run(t, tap.URL, run, "FIRTH_COPIES="+copies)
	if sent := calls(t, tap.exchanges(t)); len(sent) != len(out.Calls) {
		t.Fatalf("%d calls are on the wire, %d were made", len(sent), len(out.Calls))
	}
	eventually(t, time.Minute, "the marker behind copies "+copies, func() error {
		n, err := s.Count(fmt.Sprintf(`SELECT count(*) FROM %s.pages WHERE id = $1`, c.name), "marker-"+run+"-"+copies)
		if err == nil && n != 1 {
			err = fmt.Errorf("%d rows", n)
		}
		return err
	})
	for _, from := range []string{
		"(SELECT (properties::JSON->>'copy')::INT AS copy FROM lake.%[1]s WHERE type = 'track')",
		"(SELECT (properties::JSON->>'copy')::INT AS copy FROM lake.%[1]s WHERE type = 'identify')",
		"(SELECT (properties::JSON->>'copy')::INT AS copy FROM lake.%[1]s WHERE type = 'group')",
		"%[1]s.copied", "%[1]s.identifies", "%[1]s.users", "%[1]s.groups", "%[1]s.accounts",
		"(SELECT 1 AS copy FROM %[1]s.tracks)",
	} {
		from = fmt.Sprintf(from, c.name)
		out, err := s.SQL("SELECT copy::VARCHAR FROM " + from)
		if err != nil {
			t.Error(err)
		} else if len(out.Rows) != 1 || text(out.Rows[0][0]) != "1" {
			t.Errorf("after copies %s: %s holds %v, want the first copy alone", copies, from, out.Rows)
		}
	}
}
