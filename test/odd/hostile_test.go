package odd_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/source/sqlite"
	"firth/internal/warehouse"
)

// pond is a database of SQLite beside a warehouse.
type pond struct {
	*basin
	t     *testing.T
	path  string
	db    *sql.DB
	now   time.Time
	table warehouse.MirrorTable
}

// ponds runs a test with each warehouse.
func ponds(t *testing.T, test func(t *testing.T, p *pond)) {
	for _, b := range basins(t) {
		t.Run(b.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "source.db")
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			test(t, &pond{basin: b, t: t, path: path, db: db, now: time.Unix(1_800_000_000, 0), table: warehouse.MirrorTable{Name: "m", Schema: "copied", Table: "m"}})
		})
	}
}

func (p *pond) exec(statements ...string) {
	p.t.Helper()
	for _, s := range statements {
		if _, err := p.db.ExecContext(p.t.Context(), s); err != nil {
			p.t.Fatalf("%s: %v", s, err)
		}
	}
}

// sync runs the mirror once, a minute after the last time.
func (p *pond) sync(c mirror.Config) (*mirror.Report, error) {
	p.now = p.now.Add(time.Minute)
	now := p.now
	c.Name, c.Table = p.table.Name, p.table
	spec := source.Spec{Table: "m", Cursor: c.Cursor}
	spec.Columns, spec.Exclude = c.Selection()
	return mirror.New(mirror.Options{
		Config: c, Target: p.target, Lower: p.pg, Unbounded: p.pg, Now: func() time.Time { return now },
		From: func(ctx context.Context) (mirror.Source, error) {
			return sqlite.Open(ctx, "sqlite:"+p.path, spec, source.Options{Name: "source"})
		},
	}).Copy(p.t.Context(), mirror.RunOptions{}, nil)
}

func (p *pond) good(c mirror.Config) *mirror.Report {
	p.t.Helper()
	rep, err := p.sync(c)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, rep.Text())
	}
	return rep
}

// bad runs a mirror that must fail, saying all of the words.
func (p *pond) bad(c mirror.Config, words ...string) {
	p.t.Helper()
	rep, err := p.sync(c)
	if err == nil {
		p.t.Fatalf("it did not fail:\n%s", rep.Text())
	}
	for _, w := range words {
		if !strings.Contains(rep.Text(), w) {
			p.t.Errorf("%q is not in: %s", w, rep.Text())
		}
	}
}

// rows are those of a query on the mirror's table, sorted.
func (p *pond) rows(columns string) (out []string) {
	p.t.Helper()
	for _, r := range p.read("SELECT " + columns + " FROM copied." + p.table.Table) {
		var parts []string
		for _, v := range r {
			if v == nil {
				parts = append(parts, "~")
			} else {
				parts = append(parts, *v)
			}
		}
		out = append(out, strings.Join(parts, "|"))
	}
	slices.Sort(out)
	return out
}

func (p *pond) want(columns string, want ...string) {
	p.t.Helper()
	slices.Sort(want)
	if got := p.rows(columns); !slices.Equal(got, want) {
		p.t.Errorf("%s is %q, want %q", columns, got, want)
	}
}

func (p *pond) count(want int) {
	p.t.Helper()
	if got := len(p.rows("id")); got != want {
		p.t.Errorf("%d rows, want %d", got, want)
	}
}

// numbers fills the table m with ids from 1 on.
func (p *pond) numbers(n int) {
	p.exec("CREATE TABLE IF NOT EXISTS m (id INTEGER PRIMARY KEY, v TEXT)", "DELETE FROM m",
		fmt.Sprintf("WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < %d) INSERT INTO m SELECT i, 'v' || i FROM s", n))
}

func TestEmptySourceEmptiesNoTable(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		for _, c := range []mirror.Config{
			{Mode: mirror.ModeReplace}, {Mode: mirror.ModeReplace, History: true}, {Mode: mirror.ModeUpsert, DeleteMissing: true},
			{Mode: mirror.ModeUpsert, DeleteMissing: true, Cursor: "id"}, {Mode: mirror.ModeUpsert, DeleteMissing: true, History: true},
		} {
			p.table.Table = fmt.Sprintf("m_%s_%v_%s", c.Mode, c.History, c.Cursor)
			p.table.Name = p.table.Table
			for _, n := range []int{1, 3} {
				p.numbers(n)
				p.good(c)
				open := "id, v"
				p.exec("DELETE FROM m")
				p.bad(c, "empty", "max_delete")
				p.count(n)
				all := c
				all.MaxDelete = 1
				p.good(all)
				if !c.History {
					p.want(open)
				}
				p.good(c)
				if c.History {
					break
				}
			}
		}
	})
}

func TestShareOfRowsThatMayGo(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		for i, x := range []struct {
			rows, gone int
			part       float64
			good       bool
		}{
			{100, 29, 0.29, true}, {100, 30, 0.29, false}, {10, 1, 0.1, true}, {10, 2, 0.1, false}, {9, 1, 0.1, true}, {9, 2, 0.1, false}, {2, 1, 0.1, true},
			{30, 3, 0.1, true}, {30, 4, 0.1, false}, {1000, 57, 0.057, true},
		} {
			p.table.Table = fmt.Sprintf("m%d", i)
			p.table.Name = p.table.Table
			c := mirror.Config{Mode: mirror.ModeUpsert, DeleteMissing: true, MaxDelete: x.part}
			p.numbers(x.rows)
			p.good(c)
			p.exec(fmt.Sprintf("DELETE FROM m WHERE id <= %d", x.gone))
			if x.good {
				p.good(c)
				p.count(x.rows - x.gone)
			} else {
				p.bad(c, "max_delete")
				p.count(x.rows)
			}
		}
	})
}

// TestKeysThatEnginesHoldForEqual: case, a blank at the end, the form of an accent.
func TestKeysThatEnginesHoldForEqual(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		p.exec("CREATE TABLE m (a TEXT, b TEXT, n INTEGER, PRIMARY KEY (a, b))", "INSERT INTO m VALUES ('x', 'é', 1), ('X', 'é', 2), ('x ', 'é', 3), ('x', 'e\u0301', 4), ('x', '', 5), ('', 'x', 6), ('x' || char(0), 'é', 7), ('ß', 'ss', 8), ('ss', 'ß', 9)")
		if p.pg {
			p.exec("DELETE FROM m WHERE n = 7") // PostgreSQL has no such texts
		}
		want := []string{"x|é|1", "X|é|2", "x |é|3", "x|e\u0301|4", "x||5", "|x|6", "ß|ss|8", "ss|ß|9"}
		seven := "x\u0000|é|7"
		if !p.pg {
			want = append(want, seven)
		}
		c := mirror.Config{Mode: mirror.ModeUpsert, DeleteMissing: true, MaxDelete: 0.5}
		p.good(c)
		p.want("a, b, n", want...)
		p.exec("UPDATE m SET n = 20 WHERE n = 2", "DELETE FROM m WHERE n = 3")
		if rep := p.good(c); rep.Updated != 1 || rep.Deleted != 1 || rep.Inserted != 0 {
			t.Errorf("%s", rep.Text())
		}
		want = slices.DeleteFunc(want, func(s string) bool { return s == "x |é|3" })
		want[slices.Index(want, "X|é|2")] = "X|é|20"
		p.want("a, b, n", want...)
		p.table = warehouse.MirrorTable{Name: "h", Schema: "copied", Table: "h"}
		c = mirror.Config{Mode: mirror.ModeReplace, History: true}
		p.good(c)
		p.exec("UPDATE m SET n = 21 WHERE n = 20")
		if rep := p.good(c); rep.Updated != 1 || rep.Deleted+rep.Inserted != 0 {
			t.Errorf("%s", rep.Text())
		}
		p.table = warehouse.MirrorTable{Name: "a", Schema: "copied", Table: "a"}
		c = mirror.Config{Mode: mirror.ModeAppend, Cursor: "n", Key: []string{"a", "b"}, Late: &mirror.Late{Count: 100}}
		p.good(c)
		p.exec("INSERT INTO m VALUES ('Ss', 'ß', 30)")
		if rep := p.good(c); rep.Inserted != 1 {
			t.Errorf("%s", rep.Text())
		}
	})
}

func TestKeysThatAreNone(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		up := mirror.Config{Mode: mirror.ModeUpsert, Key: []string{"k"}, DeleteMissing: true}
		p.exec("CREATE TABLE m (k TEXT, id INTEGER)", "INSERT INTO m VALUES ('a', 1), ('b', 2), ('abc', 3)")
		p.good(up)
		p.exec("INSERT INTO m VALUES (NULL, 4)")
		p.bad(up, "key")
		p.count(3)
		p.exec("DELETE FROM m WHERE k IS NULL", "INSERT INTO m VALUES ('a', 5)")
		rep := p.good(up) // the last one wins, and it is told
		p.want("k, id", "a|5", "abc|3", "b|2")
		if !strings.Contains(rep.Text(), "the same k") {
			t.Errorf("that rows have the same key is not told: %s", rep.Text())
		}
		for _, c := range []mirror.Config{
			{Columns: []mirror.ColumnRule{{Path: "k", Mask: "truncate:1"}}}, {Exclude: []string{"k"}}, {Columns: []mirror.ColumnRule{{Path: "k", Mask: mirror.MaskDrop}}},
			{Key: []string{"gone"}}, {Columns: []mirror.ColumnRule{{Path: "id"}}, Only: true},
		} {
			c.Mode = mirror.ModeUpsert
			if c.Key == nil {
				c.Key = up.Key
			}
			p.bad(c, "key")
			p.want("k, id", "a|5", "abc|3", "b|2")
		}
	})
}

func TestKeyOfAnotherType(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		up := mirror.Config{Mode: mirror.ModeUpsert, Key: []string{"k"}, DeleteMissing: true}
		p.exec("CREATE TABLE m (k INTEGER, id INTEGER)", "INSERT INTO m VALUES (1, 1), (2, 2)")
		p.good(up)
		p.exec("DROP TABLE m", "CREATE TABLE m (k TEXT, id INTEGER)", "INSERT INTO m VALUES ('1', 1), ('x', 2)")
		rep, err := p.sync(up)
		if err == nil {
			t.Logf("%s", rep.Text())
			p.want("k, id", "1|1", "x|2")
		} else {
			t.Logf("%v", err)
			p.want("k, id", "1|1", "2|2")
		}
	})
}
