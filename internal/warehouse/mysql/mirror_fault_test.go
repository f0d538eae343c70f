package mysql_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/mysql"
	"firth/test/server"
)

var (
	staff    = warehouse.MirrorTable{Name: "staff", Schema: "company", Table: "staff"}
	whole    = vector.Type{Kind: vector.Int, Bits: 64}
	words    = vector.Type{Kind: vector.Text}
	staffAre = []vector.Column{{Name: "id", Path: "id", Type: whole}, {Name: "name", Path: "name", Type: words}}
)

// stageStaff stages people of ids below n with a name.
func stageStaff(t *testing.T, m *mysql.Mirrors, run string, n int, name string, key ...string) *mysql.Stage {
	t.Helper()
	s, err := m.Stage(t.Context(), staff, warehouse.StageOptions{Run: run, Columns: staffAre, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	c := vector.NewChunk(staffAre)
	for i := range n {
		c.Vectors[0].AppendNum(int64(i))
		c.Vectors[1].AppendString(name)
		c.Rows++
	}
	if rejects, err := s.Write(t.Context(), c, json.RawMessage(`{}`)); err != nil || len(rejects) > 0 {
		t.Fatal(rejects, err)
	}
	return s
}

// TestMirrorKilled ends a replacement at each of its steps; the next open finds the old table with the old state or the new with the new.
func TestMirrorKilled(t *testing.T) {
	m := server.MariaDB(t, version())
	for _, c := range []struct {
		step string
		rows int
	}{{"mirror recorded", 3}, {"mirror renamed", 5}} {
		t.Run(c.step, func(t *testing.T) {
			m.Wipe()
			db := reader(t, m)
			mirrors := openMirrors(t, m.Admin)
			p := warehouse.Publication{Mode: warehouse.PublishReplace, At: time.Unix(1e9, 0), State: json.RawMessage(`3`), Rejects: []warehouse.MirrorReject{{Key: "1", Column: "name", Value: "a", Reason: "r"}}}
			if _, err := stageStaff(t, mirrors, "one", 3, "a").Publish(t.Context(), &p); err != nil {
				t.Fatal(err)
			}
			mirrors.SetMirrorStep(at(c.step, func() error { return errKilled }), true)
			p.State, p.Rejects = json.RawMessage(`5`), []warehouse.MirrorReject{{Key: "2", Column: "name", Value: "b", Reason: "r"}, {Key: "3", Column: "name", Value: "b", Reason: "r"}}
			if _, err := stageStaff(t, mirrors, "two", 5, "b").Publish(t.Context(), &p); !errors.Is(err, errKilled) {
				t.Fatalf("publish: %v", err)
			}
			again := openMirrors(t, m.Admin)
			for range 2 {
				state, err := again.Mirror(t.Context(), staff)
				if err != nil {
					t.Fatal(err)
				}
				if string(state.State) != fmt.Sprint(c.rows) || state.Rows != int64(c.rows) {
					t.Errorf("state %s with %d rows, want %d", state.State, state.Rows, c.rows)
				}
				var names, value string
				if err := db.QueryRowContext(t.Context(), "SELECT group_concat(table_name ORDER BY table_name LIKE '\\_%', table_name) FROM information_schema.tables WHERE table_schema = 'company'").Scan(&names); err != nil {
					t.Fatal(err)
				}
				want := map[int]string{3: "staff,staff__rejects,_firth_stage_staff", 5: "staff,staff__rejects"}[c.rows]
				if err := db.QueryRowContext(t.Context(), "SELECT max(value) FROM company.staff__rejects").Scan(&value); err != nil || names != want || (value == "a") != (c.rows == 3) {
					t.Errorf("tables %s with rejects of %s, %v; want %s", names, value, err, want)
				}
			}
			p.Mode, p.Key = warehouse.PublishUpsert, []string{"id"}
			got, err := stageStaff(t, again, "three", 5, "b", "id").Publish(t.Context(), &p)
			if err != nil || got.Unchanged+got.Inserted+got.Updated != 5 {
				t.Errorf("the next publication: %+v, %v", got, err)
			}
		})
	}
}

// TestMirrorCompare changes values to others that the server holds for equal.
func TestMirrorCompare(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	mirrors := openMirrors(t, m.Admin)
	columns := []vector.Column{staffAre[0], {Name: "f", Type: vector.Type{Kind: vector.Float, Bits: 64}}, {Name: "s", Type: words}, {Name: "r", Type: vector.Type{Kind: vector.Float, Bits: 32}}}
	row := func(f float64, s string, r float32) *vector.Chunk {
		c := vector.NewChunk(columns)
		c.Vectors[0].AppendNum(1)
		c.Vectors[1].AppendFloat(f)
		c.Vectors[2].AppendString(s)
		c.Vectors[3].AppendFloat(float64(r))
		c.Rows = 1
		return c
	}
	for _, mode := range []warehouse.Publication{{Mode: warehouse.PublishUpsert, Key: []string{"id"}}, {Mode: warehouse.PublishReplace, History: true}} {
		for i, c := range []*vector.Chunk{row(0, "a", 0.1), row(math.Copysign(0, -1), "a", 0.1), row(0, "a", math.Nextafter32(0.1, 1)), row(0, "A", 0.1), row(0, "A ", 0.1), row(0.1, "é", 0.1), row(math.Nextafter(0.1, 1), "é", 0.1), row(math.Nextafter(0.1, 1), "e\u0301", 0.1)} {
			for again := range 2 {
				s, err := mirrors.Stage(t.Context(), warehouse.MirrorTable{Name: fmt.Sprint(mode.Mode), Schema: "company", Table: fmt.Sprint("t", mode.Mode)}, warehouse.StageOptions{Run: "x", Columns: columns, Key: mode.Key})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.Write(t.Context(), c, nil); err != nil {
					t.Fatal(err)
				}
				p := mode
				p.At = time.Unix(int64(i), 0)
				got, err := s.Publish(t.Context(), &p)
				if err != nil || got.Unchanged != int64(again) {
					t.Errorf("mode %d, row %d: %+v, %v", mode.Mode, i, got, err)
				}
			}
		}
	}
}

// TestMirrorInserts stages where the server takes no LOAD DATA LOCAL, and keys of any length.
func TestMirrorInserts(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	mirrors := openMirrors(t, m.Admin)
	columns := []vector.Column{{Name: "id", Type: words}, {Name: "b", Type: vector.Type{Kind: vector.Blob}}, {Name: "t", Type: words}}
	texts := []string{"", "it's", "back\\slash", "tab\tnew\nline\r\x00\x1a", `\N`, strings.Repeat("日", 300), strings.Repeat("日", 299) + "x", "NULL"}
	for _, only := range []bool{false, true} {
		mirrors.SetMirrorInsert(only)
		table := warehouse.MirrorTable{Name: fmt.Sprint("m", only), Schema: "company", Table: fmt.Sprint("m_", only)}
		for again := range 2 {
			s, err := mirrors.Stage(t.Context(), table, warehouse.StageOptions{Run: "x", Columns: columns, Key: []string{"id"}})
			if err != nil {
				t.Fatal(err)
			}
			c := vector.NewChunk(columns)
			for _, text := range texts {
				c.Vectors[0].AppendString(text)
				c.Vectors[1].AppendString(text + "\xff")
				c.Vectors[2].AppendString(text)
				c.Rows++
			}
			if rejects, err := s.Write(t.Context(), c, nil); err != nil || len(rejects) > 0 {
				t.Fatal(rejects, err)
			}
			got, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, At: time.Unix(0, 0)})
			if err != nil || got.Unchanged != int64(again*len(texts)) {
				t.Errorf("%+v, %v", got, err)
			}
		}
		rows, err := reader(t, m).QueryContext(t.Context(), "SELECT id, b, t FROM company.m_"+fmt.Sprint(only)+" ORDER BY _firth_row")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var id, text string
			var blob []byte
			if err := rows.Scan(&id, &blob, &text); err != nil || id != texts[n] || text != texts[n] || string(blob) != texts[n]+"\xff" {
				t.Errorf("%.30q %.30q %.30q, %v", id, blob, text, err)
			}
		}
		if err := rows.Err(); err != nil || n != len(texts) {
			t.Errorf("%d rows, %v", n, err)
		}
	}
}

// TestMirrorRights: a user with the rights that the hint grants can do everything, and one without is told what is missing.
func TestMirrorRights(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	user, password := m.User()
	_, err := mysql.OpenMirrors(t.Context(), m.URL(user, password, ""), mysql.Options{Name: "test"})
	if warehouse.KindOf(err) != warehouse.Denied || !strings.Contains(warehouse.HintOf(err), "GRANT ") || strings.Contains(fmt.Sprint(err, warehouse.HintOf(err)), password) {
		t.Errorf("without rights: %v (%s)", err, warehouse.HintOf(err))
	}
	rights := "CREATE, ALTER, DROP, INDEX, SELECT, INSERT, UPDATE, DELETE, CREATE TEMPORARY TABLES"
	m.Exec("GRANT "+rights+" ON `\\_firth%`.* TO "+user+"@'%'", "GRANT "+rights+" ON company.* TO "+user+"@'%'")
	mirrors := openMirrors(t, m.URL(user, password, ""))
	for _, p := range []warehouse.Publication{{Mode: warehouse.PublishReplace}, {Mode: warehouse.PublishUpsert, Key: []string{"id"}, DeleteMissing: true, Deletes: 1}, {Mode: warehouse.PublishReplace}} {
		p.At = time.Unix(0, 0)
		if _, err := stageStaff(t, mirrors, "x", 4, "a", p.Key...).Publish(t.Context(), &p); err != nil {
			t.Errorf("mode %d: %v (%s)", p.Mode, err, warehouse.HintOf(err))
		}
	}
}

// TestMirrorCut loses the connection while rows are staged and while they are published.
func TestMirrorCut(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	proxy := server.Fault(t, m.Addr())
	mirrors := openMirrors(t, strings.Replace(m.Admin, m.Addr(), proxy.Addr, 1))
	direct := openMirrors(t, m.Admin)
	p := warehouse.Publication{Mode: warehouse.PublishReplace, At: time.Unix(0, 0)}
	if _, err := stageStaff(t, direct, "x", 100, "a").Publish(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
	for bytes := int64(50); bytes < 4000; bytes += 411 {
		s := stageStaff(t, mirrors, fmt.Sprint(bytes), 200, "b")
		p.State = json.RawMessage(fmt.Sprint(bytes))
		proxy.CutAfter(bytes)
		_, err := s.Publish(t.Context(), &p)
		proxy.CutAfter(-1)
		if err != nil && warehouse.KindOf(err) != warehouse.Down {
			t.Errorf("after %d bytes: kind %s, %v", bytes, warehouse.KindOf(err), err)
		}
		state, stateErr := direct.Mirror(t.Context(), staff)
		if stateErr != nil {
			t.Fatal(stateErr)
		}
		isNew := string(state.State) == fmt.Sprint(bytes)
		if err == nil && !isNew || state.Rows == 100 && isNew || state.Rows != 100 && state.Rows != 200 {
			t.Errorf("after %d bytes: %v, state %s of %d rows", bytes, err, state.State, state.Rows)
		}
	}
}

// TestMirrorRows stages rows that are longer than a page: the values that have no room are rejected, and the row is stored.
func TestMirrorRows(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	mirrors := openMirrors(t, m.Admin)
	columns := []vector.Column{staffAre[0]}
	for i := range 600 {
		columns = append(columns, vector.Column{Name: fmt.Sprintf("c%d", i), Type: []vector.Type{words, whole, {Kind: vector.Blob}}[i%3]})
	}
	c := vector.NewChunk(columns)
	for row := range 3 {
		c.Vectors[0].AppendNum(int64(row))
		for _, v := range c.Vectors[1:] {
			if v.Type.Kind == vector.Int {
				v.AppendNum(7)
			} else {
				v.AppendString(strings.Repeat("x", []int{5, 40, 5000}[row]))
			}
		}
		c.Rows++
	}
	s, err := mirrors.Stage(t.Context(), staff, warehouse.StageOptions{Run: "x", Columns: columns, Key: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	rejects, err := s.Write(t.Context(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	by := map[int]int{}
	for _, r := range rejects {
		by[r.Row]++
		if r.Reason != warehouse.ReasonRow || len(r.Value) < 1 || r.Column == "id" {
			t.Errorf("%.100s", fmt.Sprint(r))
		}
	}
	if by[0] > 0 || by[1] == 0 || by[2] == 0 || by[1] > 480 || by[2] > 240 {
		t.Errorf("rejects by row: %v", by)
	}
	for _, p := range []warehouse.Publication{{Mode: warehouse.PublishUpsert, Key: []string{"id"}, History: true}} {
		p.At = time.Unix(0, 0)
		if got, err := s.Publish(t.Context(), &p); err != nil || got.Inserted != 3 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}
