package odd_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/mirror"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// TestAppendOfAllKinds: ties, late rows, rows without a cursor, equal rows; and cursors of several types.
func TestAppendOfAllKinds(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		for i, x := range []struct{ kind, first, tie, later, late string }{
			{"INTEGER", "10", "10", "20", "9"}, {"TEXT", "'b'", "'b'", "'c'", "'b'"}, {"DATE", "'2026-03-29'", "'2026-03-29'", "'2026-03-30'", "'2026-03-29'"},
			{"DATETIME", "'2026-03-29 02:30:00'", "'2026-03-29 02:30:00'", "'2026-03-29 03:00:00'", "'2026-03-29 02:29:00'"},
			{"DECIMAL(20,4)", "'1234567890123.0001'", "'1234567890123.0001'", "'1234567890123.0002'", "'1234567890123.0001'"}, {"REAL", "1.5", "1.5", "2.5", "1.25"},
		} {
			p.table = warehouse.MirrorTable{Name: fmt.Sprintf("a%d", i), Schema: "copied", Table: fmt.Sprintf("a%d", i)}
			p.exec("DROP TABLE IF EXISTS m", "CREATE TABLE m (id INTEGER, at "+x.kind+")", "INSERT INTO m VALUES (1, "+x.first+"), (1, "+x.first+"), (2, NULL)")
			c := mirror.Config{Mode: mirror.ModeAppend, Cursor: "at", Late: &mirror.Late{Count: 5, Time: time.Hour}}
			p.good(c)
			p.want("id", "1", "1", "2")
			p.exec("INSERT INTO m VALUES (3, " + x.tie + ")")
			p.good(c)
			p.want("id", "1", "1", "2", "3")
			p.exec("INSERT INTO m VALUES (4, "+x.later+")", "INSERT INTO m VALUES (5, "+x.late+")", "INSERT INTO m VALUES (1, "+x.first+")")
			p.good(c)
			p.good(c)
			p.want("id", "1", "1", "1", "2", "3", "4", "5")
			if t.Failed() {
				t.Fatalf("the cursor is %s", x.kind)
			}
			p.exec("ALTER TABLE m RENAME COLUMN at TO moment")
			p.bad(c, "at")
			p.want("id", "1", "1", "1", "2", "3", "4", "5")
		}
	})
}

// TestCursorOfAnotherType: all is read, and nothing comes twice.
func TestCursorOfAnotherType(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		c := mirror.Config{Mode: mirror.ModeAppend, Cursor: "moment"}
		p.exec("CREATE TABLE m (id INTEGER, moment INTEGER)", "INSERT INTO m VALUES (1, 10), (2, 20)")
		p.good(c)
		p.exec("DROP TABLE m", "CREATE TABLE m (id INTEGER, moment TEXT)", "INSERT INTO m VALUES (1, '10'), (2, '20'), (3, '30')")
		p.good(c)
		p.good(c)
		p.want("id, moment", "1|10", "2|20", "3|30")
	})
}

// TestHistoryOfAllKinds: rows that come back, change twice between two runs, are equal to others, and get columns.
func TestHistoryOfAllKinds(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		present := func(columns string, want ...string) {
			t.Helper()
			p.table.Table += " WHERE _valid_to IS NULL"
			p.want(columns, want...)
			p.table.Table = strings.TrimSuffix(p.table.Table, " WHERE _valid_to IS NULL")
		}
		for _, c := range []mirror.Config{
			{Mode: mirror.ModeReplace, History: true, MaxDelete: 1}, {Mode: mirror.ModeReplace, History: true, Key: []string{"id"}, MaxDelete: 1},
			{Mode: mirror.ModeUpsert, History: true, Key: []string{"id"}, DeleteMissing: true, MaxDelete: 1},
		} {
			name := fmt.Sprintf("h_%s_%d", c.Mode, len(c.Key))
			p.table = warehouse.MirrorTable{Name: name, Schema: "copied", Table: name}
			p.exec("DROP TABLE IF EXISTS m", "CREATE TABLE m (id INTEGER, v TEXT)", "INSERT INTO m VALUES (1, 'a'), (2, 'b')")
			p.good(c)
			p.exec("DELETE FROM m WHERE id = 2", "UPDATE m SET v = 'x' WHERE id = 1", "UPDATE m SET v = 'c' WHERE id = 1")
			p.good(c)
			present("id, v", "1|c")
			p.exec("INSERT INTO m VALUES (2, 'b')", "UPDATE m SET v = 'a' WHERE id = 1")
			p.good(c)
			present("id, v", "1|a", "2|b")
			p.want("id, v", "1|a", "1|a", "1|c", "2|b", "2|b")
			if rep := p.good(c); rep.Inserted+rep.Updated+rep.Deleted > 0 {
				t.Errorf("nothing has changed: %s", rep.Text())
			}
			p.exec("ALTER TABLE m ADD COLUMN w TEXT", "UPDATE m SET w = 'new' WHERE id = 2")
			p.good(c)
			present("id, v, w", "1|a|~", "2|b|new")
			p.exec("ALTER TABLE m DROP COLUMN v")
			p.good(c)
			present("id, w", "1|~", "2|new")
			for _, old := range []string{"1|c", "1|a", "2|b"} {
				if !slices.Contains(p.rows("id, v"), old) {
					t.Errorf("%s: what was is lost: %v", name, p.rows("id, v"))
				}
			}
			if len(c.Key) > 0 {
				continue
			}
			p.exec("INSERT INTO m VALUES (3, 'twin'), (3, 'twin'), (3, 'twin')")
			p.good(c)
			p.exec("DELETE FROM m WHERE rowid = (SELECT max(rowid) FROM m)")
			if rep := p.good(c); rep.Deleted != 1 {
				t.Errorf("one of three equal rows went: %s", rep.Text())
			}
			present("id, w", "1|~", "2|new", "3|twin", "3|twin")
		}
	})
}

// rename gives a table of the warehouse another name, as a user would.
func (p *pond) rename(from, to string) {
	p.t.Helper()
	p.do("ALTER TABLE copied." + from + " RENAME TO " + map[bool]string{true: "copied."}[p.name == "mariadb"] + to)
}

// TestNamesInTheWay: tables of users and of other mirrors stay whole.
func TestNamesInTheWay(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		c := mirror.Config{Mode: mirror.ModeReplace}
		p.numbers(3)
		p.table = warehouse.MirrorTable{Name: "one", Schema: "copied", Table: "shared"}
		p.good(c)
		p.exec("INSERT INTO m VALUES (4, 'x')")
		p.table.Name = "two"
		rep, err := p.sync(c)
		if err == nil {
			t.Errorf("two mirrors write one table:\n%s", rep.Text())
		}
		p.count(3)
		p.table = warehouse.MirrorTable{Name: "keep", Schema: "copied", Table: "mine__rejected"}
		p.good(c)
		p.rename("mine__rejected", "mine__rejects") // as if a user had made it
		for _, c := range []mirror.Config{{Mode: mirror.ModeReplace}, {Mode: mirror.ModeUpsert}} {
			p.table = warehouse.MirrorTable{Name: "mine", Schema: "copied", Table: "mine"}
			p.bad(c, "somebody else's")
		}
		p.table.Table = "mine__rejects"
		p.count(4)
		for _, name := range []string{"shared__rejects", "_firth_ids_shared", "Shared__Rejects"} {
			p.table = warehouse.MirrorTable{Name: "three", Schema: "copied", Table: name}
			p.bad(c, "cannot be called", "choose another table")
		}
	})
}

// TestAnotherMode: mode, key and columns change between two runs, and the table is what the source has.
func TestAnotherMode(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		p.exec("CREATE TABLE m (id INTEGER PRIMARY KEY, v TEXT, w TEXT)", "INSERT INTO m VALUES (1, 'a', 'p'), (2, 'b', 'q')")
		p.good(mirror.Config{Mode: mirror.ModeReplace})
		p.exec("INSERT INTO m VALUES (3, 'c', 'r')")
		p.good(mirror.Config{Mode: mirror.ModeAppend, Cursor: "id"})
		p.want("id, v, w", "1|a|p", "2|b|q", "3|c|r")
		p.exec("UPDATE m SET v = 'z' WHERE id = 1")
		p.good(mirror.Config{Mode: mirror.ModeUpsert})
		p.want("id, v, w", "1|z|p", "2|b|q", "3|c|r")
		p.exec("UPDATE m SET w = 'n' WHERE id = 2")
		p.good(mirror.Config{Mode: mirror.ModeUpsert, Key: []string{"v"}, DeleteMissing: true})
		p.want("id, v, w", "1|z|p", "2|b|n", "3|c|r")
		p.good(mirror.Config{Mode: mirror.ModeUpsert, Cursor: "id", Exclude: []string{"w"}})
		p.good(mirror.Config{Mode: mirror.ModeReplace, Columns: []mirror.ColumnRule{{Path: "v", As: "value"}}})
		p.want("id, value, w", "1|z|p", "2|b|n", "3|c|r")
		p.good(mirror.Config{Mode: mirror.ModeUpsert, Columns: []mirror.ColumnRule{{Path: "id", As: "number"}, {Path: "v", As: "value"}}, DeleteMissing: true, MaxDelete: 1})
		p.want("number, value, w", "1|z|p", "2|b|n", "3|c|r")
		p.good(mirror.Config{Mode: mirror.ModeUpsert, Columns: []mirror.ColumnRule{{Path: "id", As: "number", Mask: mirror.MaskHash}, {Path: "v", As: "value"}}, DeleteMissing: true, MaxDelete: 1})
		p.want("value, w", "z|p", "b|n", "c|r")
	})
}

// TestStateOfTheFuture: what a newer version has written is left alone.
func TestStateOfTheFuture(t *testing.T) {
	ponds(t, func(t *testing.T, p *pond) {
		p.numbers(3)
		p.good(mirror.Config{Mode: mirror.ModeReplace})
		s, err := p.target.Stage(t.Context(), p.table, warehouse.StageOptions{Run: "newer", Columns: []vector.Column{{Name: "id", Path: "id", Type: vector.Type{Kind: vector.Int, Bits: 64}}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishAppend, At: p.now, State: json.RawMessage(`{"version":99,"copy":{"soul":1}}`)}); err != nil {
			t.Fatal(err)
		}
		p.exec("DELETE FROM m WHERE id = 1")
		p.bad(mirror.Config{Mode: mirror.ModeReplace}, "version 99", "update firth")
		p.count(3)
	})
}
