// Package full tests that Spark and Trino read Firth's lake by the URL of its catalog. They are large and slow to start: `make engines` installs
// and runs them, and nothing else does.
package full

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/test/engine/stand"
)

// installed is the folder that setup.sh fills.
func installed(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("FIRTH_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(home, ".cache", "firth")
	}
	return filepath.Join(cache, "engines")
}

// dialect is what engines say differently.
type dialect struct {
	catalog   string // what stands before the namespace
	company   string // the number of an event's company
	snapshots string // lists the snapshots of production, oldest first
	at        string // production as of a snapshot
	upkeep    string // removes files without a commit; empty: the engine has no such statement, or asks for more than the table
}

type engine interface {
	ask(t *testing.T, statement string) ([][]string, error)
	dialect() dialect
}

var firth = dialect{company: "CAST(json_extract_string(properties, '$.company') AS BIGINT)"}

// questions are asked of every engine and of Firth itself.
func questions(d dialect) []string {
	lake := d.catalog + "lake."
	return []string{
		"SELECT count(*), sum(_firth_offset), count(user_id), count(DISTINCT event), min(_firth_offset) FROM " + lake + "production",
		"SELECT count(*), sum(_firth_offset) FROM " + lake + "production WHERE event = '" + stand.Events[1] + "'",
		"SELECT count(*), sum(_firth_offset) FROM " + lake + "production WHERE ts >= TIMESTAMP '2026-10-02 12:00:00+00:00' AND ts < TIMESTAMP '2026-10-04 00:00:00+00:00'",
		"SELECT event, count(*) FROM " + lake + "production WHERE user_id IS NOT NULL GROUP BY event ORDER BY 2, 1",
		"SELECT count(*), sum(p._firth_offset) FROM " + lake + "production p JOIN " + lake + "staging s ON p.user_id = s.user_id",
		"SELECT " + d.company + " AS company, count(*) FROM " + lake + "production GROUP BY 1 ORDER BY 1",
	}
}

func TestEngines(t *testing.T) {
	if os.Getenv("FIRTH_ENGINES") == "" {
		t.Skip("Spark and Trino run by: make engines")
	}
	for place, onStore := range map[string]bool{"disk": false, "store": true} {
		for name, start := range map[string]func(*testing.T, *stand.Stand) engine{
			"spark": func(t *testing.T, s *stand.Stand) engine { return newSpark(t, s) },
			"trino": func(t *testing.T, s *stand.Stand) engine { return newTrino(t, s) },
		} {
			t.Run(name+" on "+place, func(t *testing.T) {
				s := stand.New(t, onStore, "")
				try(t, s, start(t, s))
			})
		}
	}
}

func try(t *testing.T, s *stand.Stand, e engine) {
	const part, parts = 200, 3
	for range parts {
		s.Send("production", part, "")
	}
	s.Send("staging", 40, "")
	same(t, s, e, "at first")
	snapshots, err := e.ask(t, e.dialect().snapshots)
	if err != nil || len(snapshots) < parts {
		t.Fatalf("%d snapshots: %v", len(snapshots), err)
	}
	was := -1
	for _, snapshot := range snapshots {
		rows, err := e.ask(t, "SELECT count(*) FROM "+fmt.Sprintf(e.dialect().at, snapshot[0]))
		var n int
		if err == nil {
			_, err = fmt.Sscan(rows[0][0], &n)
		}
		if err != nil || n < was {
			t.Errorf("snapshot %s has %d rows, the one before %d: %v", snapshot[0], n, was, err)
		}
		was = n
	}
	if was != part*parts {
		t.Errorf("the last snapshot has %d rows", was)
	}
	for _, command := range []string{"merge", "expire"} {
		if out, err := s.Run("lake", command); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		same(t, s, e, "after lake "+command)
	}
	refused(t, s, e)
}

// same compares the answers of an engine with Firth's own.
func same(t *testing.T, s *stand.Stand, e engine, when string) {
	t.Helper()
	mine, its := questions(firth), questions(e.dialect())
	for i := range mine {
		// The text of a time with a zone is written in two ways.
		want := s.MustAsk(strings.ReplaceAll(mine[i], "TIMESTAMP '", "TIMESTAMPTZ '"))
		asked := strings.ReplaceAll(its[i], "+00:00'", " UTC'")
		got, err := e.ask(t, asked)
		if err != nil {
			t.Errorf("%s: %s: %v", when, asked, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s: %s", when, asked, diff)
		}
	}
}

// refused lets the engine try to change tables, and what it leaves behind go.
func refused(t *testing.T, s *stand.Stand, e engine) {
	t.Helper()
	s.Impatient()
	if out, err := s.Run("lake", "expire"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.Eventually(time.Minute, "old files to go", func() error {
		n, err := s.Metric("firth_tend_condemned_files")
		if err == nil && n != 0 {
			err = fmt.Errorf("%v files wait", n)
		}
		return err
	})
	before := objects(t, s)
	lake := e.dialect().catalog + "lake."
	statements := []string{
		"INSERT INTO " + lake + "staging SELECT * FROM " + lake + "staging", "DELETE FROM " + lake + "production WHERE user_id = 'user 3'",
		"CREATE TABLE " + lake + "mine AS SELECT event FROM " + lake + "staging", "DROP TABLE " + lake + "staging", "ALTER TABLE " + lake + "staging RENAME TO " + lake + "other",
		"ALTER TABLE " + lake + "staging ADD COLUMN x BIGINT",
	}
	if upkeep := e.dialect().upkeep; upkeep != "" {
		statements = append(statements, upkeep)
	}
	for _, statement := range statements {
		_, err := e.ask(t, statement)
		if err == nil {
			t.Errorf("%s was carried out", statement)
			continue
		}
		text, _, _ := strings.Cut(err.Error(), "\n")
		t.Logf("%s: %s", statement, text[:min(len(text), 300)])
	}
	after := objects(t, s)
	left := slices.DeleteFunc(slices.Clone(after), func(o string) bool { return slices.Contains(before, o) })
	t.Logf("they left %d files: %q", len(left), left)
	if s.Store != nil && len(left) > 0 {
		t.Errorf("keys for reading have written %q", left)
	}
	s.Eventually(time.Minute, "what was left to go", func() error {
		if diff := cmp.Diff(before, objects(t, s)); diff != "" {
			return fmt.Errorf("files: %s", diff)
		}
		return nil
	})
	same(t, s, e, "after writes that were refused")
}

// objects are the files of the lake, sorted.
func objects(t *testing.T, s *stand.Stand) (names []string) {
	t.Helper()
	if s.Store != nil {
		names = s.Store.Objects()
		slices.Sort(names)
		return names
	}
	err := filepath.WalkDir(filepath.Join(s.Data, "lake"), func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) { // the folder of a day that became empty
			return nil
		}
		if err == nil && d.Type().IsRegular() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
