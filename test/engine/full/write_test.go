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
)

// refused lets the engines try to change tables, and what they leave behind go.
func (p place) refused(t *testing.T) {
	t.Helper()
	p.Impatient()
	p.run(t, "lake", "expire")
	p.Eventually(time.Minute, "old files to go", func() error {
		n, err := p.Metric("firth_tend_condemned_files")
		if err == nil && n != 0 {
			err = fmt.Errorf("%v files wait", n)
		}
		return err
	})
	before := p.objects(t)
	for name, e := range p.engines {
		p.refuse(t, name, e)
	}
	left := slices.DeleteFunc(p.objects(t), func(o string) bool { return slices.Contains(before, o) })
	t.Logf("they left %d files: %q", len(left), left)
	if p.Store != nil && len(left) > 0 {
		t.Errorf("keys for reading have written %q", left)
	}
	p.Eventually(time.Minute, "what was left to go", func() error {
		if diff := cmp.Diff(before, p.objects(t)); diff != "" {
			return fmt.Errorf("files: %s", diff)
		}
		return nil
	})
}

// refuse lets an engine try. What writes files before it commits is refused by the store, which gave the key for reading alone; the rest by the
// catalog, which says so.
func (p place) refuse(t *testing.T, name string, e engine) {
	t.Helper()
	const byStore, byCatalog = "denied", "Server does not support endpoint" // what is not announced, no client tries
	statements := [][2]string{
		{"INSERT INTO @lake.staging SELECT * FROM @lake.staging", byStore},
		{"INSERT INTO @production.users SELECT * FROM @production.users", byStore},
		{"DELETE FROM @lake.production WHERE user_id = 'user 4'", byStore},
		{"CREATE TABLE @lake.mine AS SELECT event FROM @lake.staging", byCatalog},
		{"DROP TABLE @lake.staging", byCatalog},
		{"ALTER TABLE @lake.staging RENAME TO @lake.other", byCatalog},
		{"ALTER TABLE @lake.staging ADD COLUMN x BIGINT", byCatalog},
	}
	if upkeep := e.dialect().upkeep; upkeep != "" {
		statements = append(statements, [2]string{upkeep, "GC is disabled"})
	}
	for _, s := range statements {
		_, err := e.ask(t, p.its(e, s[0]))
		if err == nil {
			t.Errorf("%s: %s was carried out", name, s[0])
			continue
		}
		text := err.Error()
		want := s[1]
		if want == byStore && p.Store == nil {
			want = byCatalog
		}
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("%s: %s: want %q in %s", name, s[0], want, text)
		}
		t.Logf("%s: %s: %s", name, s[0], text[:min(len(text), 300)])
	}
}

// objects are the files of events, sorted. Those of typed tables are not among them: upkeep of these goes on all the while.
func (p place) objects(t *testing.T) (names []string) {
	t.Helper()
	if p.Store != nil {
		names = p.Store.Objects()
	} else {
		err := filepath.WalkDir(filepath.Join(p.Data, "lake"), func(path string, d fs.DirEntry, err error) error {
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
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.Contains(name, "/_tables/") })
	slices.Sort(names)
	return names
}
