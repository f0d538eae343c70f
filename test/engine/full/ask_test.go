package full

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/test/engine/stand"
)

// dialect is what engines say differently.
type dialect struct {
	company   string // the number of an event's company
	snapshots string // lists the snapshots of production, oldest first
	at        string // production as of a snapshot
	upkeep    string // removes files without a commit; empty: the engine has no such statement, or asks for more than the table
}

var firth = dialect{company: "CAST(json_extract_string(properties, '$.company') AS BIGINT)"}

// Questions that every engine and Firth itself are asked. An @ stands for the catalog, COMPANY for the number of an event's company, and a time
// with a zone is written TIMESTAMP '... UTC'. Firth answers those about tables from its embedded warehouse.
var (
	events = []string{
		"SELECT count(*), sum(_firth_offset), count(user_id), count(DISTINCT event), min(_firth_offset) FROM @lake.production",
		"SELECT count(*), sum(_firth_offset) FROM @lake.production WHERE event = '" + stand.Events[1] + "'",
		"SELECT count(*), sum(_firth_offset) FROM @lake.production WHERE ts >= TIMESTAMP '2026-10-02 12:00:00 UTC' AND ts < TIMESTAMP '2026-10-04 00:00:00 UTC'",
		"SELECT event, count(*) FROM @lake.production WHERE user_id IS NOT NULL GROUP BY event ORDER BY 2, 1",
		"SELECT count(*), sum(p._firth_offset) FROM @lake.production p JOIN @lake.staging s ON p.user_id = s.user_id",
		"SELECT c.name, count(*) FROM @lake.production p JOIN @crm.companies c ON COMPANY = c.id GROUP BY c.name ORDER BY 1",
	}
	tables = []string{
		"SELECT count(*), count(user_id), count(DISTINCT event), min(id), max(id) FROM @production.tracks",
		"SELECT count(*), sum(n), sum(company), count(user_id), count(anonymous_id) FROM @production.opened",
		"SELECT count(*), sum(n) FROM @production.opened WHERE company = 3 AND n > 100",
		"SELECT count(*), sum(n) FROM @production.opened o WHERE o.timestamp >= TIMESTAMP '2026-10-02 12:00:00 UTC' AND o.timestamp < TIMESTAMP '2026-10-04 00:00:00 UTC'",
		"SELECT count(*), sum(o.n) FROM @production.opened o JOIN @production.tracks t ON o.id = t.id",
		"SELECT id, plan FROM @production.users ORDER BY 1",
		"SELECT id, name FROM @crm.companies ORDER BY 1",
		"SELECT c.name, count(*), sum(o.n) FROM @production.opened o JOIN @crm.companies c ON o.company = c.id GROUP BY c.name ORDER BY 1",
	}
	later = []string{
		"SELECT later, count(*), sum(n) FROM @production.opened GROUP BY later ORDER BY 2",
		"SELECT count(*) FROM @production.opened WHERE later IS NULL",
		"SELECT count(*) FROM @production.opened WHERE later = 'größer'",
		"SELECT id, name, country FROM @crm.companies ORDER BY 1",
		"SELECT c.country, count(*) FROM @lake.production p JOIN @crm.companies c ON COMPANY = c.id WHERE c.country IS NOT NULL GROUP BY c.country",
	}
	forgotten = []string{
		"SELECT count(*) FROM @lake.production WHERE user_id = 'user 3'",
		"SELECT count(*) FROM @production.tracks WHERE user_id = 'user 3'",
		"SELECT count(*) FROM @production.opened WHERE user_id = 'user 3'",
		"SELECT count(*) FROM @production.users WHERE id = 'user 3'",
	}
)

func slicesOf(s ...[]string) []string { return slices.Concat(s...) }

// mine is a question as Firth's own SQL is asked it.
func mine(question string) string {
	question = strings.ReplaceAll(question, "COMPANY", firth.company)
	question = strings.ReplaceAll(question, "TIMESTAMP '", "TIMESTAMPTZ '")
	return strings.ReplaceAll(question, "@", "")
}

func (p place) its(e engine, question string) string {
	return strings.ReplaceAll(strings.ReplaceAll(question, "COMPANY", e.dialect().company), "@", p.name+".")
}

// same compares the answers of the engines with Firth's own.
func (p place) same(t *testing.T, when string, questions []string) {
	t.Helper()
	took := map[string]time.Duration{}
	for _, question := range questions {
		want := p.MustAsk(mine(question))
		if len(want) == 0 {
			t.Errorf("%s: %s: nothing to tell engines by", when, question)
		}
		for name, e := range p.engines {
			began := time.Now()
			got, err := e.ask(t, p.its(e, question))
			took[name] += time.Since(began)
			if err != nil {
				t.Errorf("%s, %s: %s: %v", name, when, question, err)
				continue
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, %s: %s: %s", name, when, question, diff)
			}
		}
	}
	for name, d := range took {
		t.Logf("%s: %s answers %d questions in %s", when, name, len(questions), d.Round(10*time.Millisecond))
	}
}

// none wants 0 from Firth itself; the engines have been compared with it.
func (p place) none(t *testing.T, questions []string) {
	t.Helper()
	for _, question := range questions {
		if got := p.MustAsk(mine(question)); got[0][0] != "0" {
			t.Errorf("%s: %q", question, got)
		}
	}
}

// unknown wants the engines to know nothing of a column.
func (p place) unknown(t *testing.T, question, column string) {
	t.Helper()
	for name, e := range p.engines {
		if got, err := e.ask(t, p.its(e, question)); err == nil || !strings.Contains(err.Error(), column) {
			t.Errorf("%s: %s: %q, %v", name, question, got, err)
		}
	}
}

// snapshots reads each snapshot of the events: every flush has added some, and none is lost.
func (p place) snapshots(t *testing.T, atLeast int) {
	t.Helper()
	for name, e := range p.engines {
		list, err := e.ask(t, p.its(e, e.dialect().snapshots))
		if err != nil || len(list) < 3 {
			t.Fatalf("%s: %d snapshots: %v", name, len(list), err)
		}
		was := 0
		for _, snapshot := range list {
			rows, err := e.ask(t, "SELECT count(*) FROM "+p.its(e, fmt.Sprintf(e.dialect().at, snapshot[0])))
			var n int
			if err == nil {
				_, err = fmt.Sscan(rows[0][0], &n)
			}
			if err != nil || n < was {
				t.Errorf("%s: snapshot %s has %d rows, the one before %d: %v", name, snapshot[0], n, was, err)
			}
			was = n
		}
		if was < atLeast {
			t.Errorf("%s: the last snapshot has %d rows", name, was)
		}
	}
}
