package drift_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/mirror"
)

// historyModes are the ways in which a table with history is kept.
var historyModes = map[string]mirror.Config{
	"replace":         {Mode: "replace"},
	"keyless":         {Mode: "replace"},
	"upsert":          {Mode: "upsert", Key: []string{"id"}},
	"delete_missing":  {Mode: "upsert", Key: []string{"id"}, DeleteMissing: true, MaxDelete: 1},
	"cursor":          {Mode: "upsert", Key: []string{"id"}, Cursor: "seq", Late: &mirror.Late{Count: 3}},
	"cursor, deletes": {Mode: "upsert", Key: []string{"id"}, Cursor: "seq", Late: &mirror.Late{Count: 3}, DeleteMissing: true, MaxDelete: 1},
}

// TestHistory lets a table change at random, with its columns, and asks for every moment what it was: the rows of the source at the last run
// before.
func TestHistory(t *testing.T) {
	for _, to := range []string{"duckdb", "postgres", "mysql"} {
		for mode, c := range historyModes {
			t.Run(to+"/"+mode, func(t *testing.T) {
				t.Parallel()
				h := &past{t: t, from: newPostgres(t, "15"), to: newTarget(t, to), schema: schemaOf(t), mode: mode, random: rand.New(rand.NewPCG(uint64(hash(t.Name())), 7))}
				c.History = true
				h.live(c)
			})
		}
	}
}

// past is a table and what it was at each run.
type past struct {
	t      *testing.T
	from   *side
	to     *stand
	schema string
	mode   string
	random *rand.Rand
	seq    int
	known  map[string]string // of an upsert that deletes nothing: the rows that ever were
	dates  []time.Time
	were   [][]string
	have   []string // columns at the source
	all    []string // columns that the table ever had
}

func (h *past) live(c mirror.Config) {
	key := " PRIMARY KEY"
	if h.mode == "keyless" {
		key = ""
	}
	h.from.exec("CREATE TABLE h (id int" + key + ", seq bigint, a text, n smallint, f float8, d numeric)")
	h.have = []string{"id", "seq", "a", "n", "f", "d"}
	h.all, h.known = slices.Clone(h.have), map[string]string{}
	m := h.to.mirror(h.from, h.schema, "h", c)
	for step := range 9 {
		for range h.random.IntN(8) {
			h.change()
		}
		switch {
		case step == 3:
			h.from.exec("ALTER TABLE h ADD COLUMN late text")
			h.have, h.all = append(h.have, "late"), append(h.all, "late")
		case step == 5:
			h.from.exec("ALTER TABLE h ALTER COLUMN n TYPE bigint")
		case step == 6 && !strings.HasPrefix(h.mode, "cursor"):
			h.from.exec("ALTER TABLE h DROP COLUMN a")
			h.have = slices.DeleteFunc(h.have, func(c string) bool { return c == "a" })
		}
		r := h.to.mustRun(m)
		h.remember()
		h.look(fmt.Sprintf("after step %d: %s", step, r.Text()))
		if r := h.to.mustRun(m); r.Inserted+r.Updated+r.Deleted != 0 {
			h.t.Errorf("step %d: nothing has changed, and the run says %s", step, r.Text())
		}
		if h.t.Failed() {
			return
		}
	}
}

func (h *past) change() {
	h.seq++
	id := h.random.IntN(9)
	pick := func(list ...string) string { return list[h.random.IntN(len(list))] }
	values := map[string]string{
		"id": fmt.Sprint(id), "seq": fmt.Sprint(h.seq), "a": pick("NULL", "''", "'x'", "'x '", "'X'"), "n": pick("NULL", "0", "1"), "f": pick("NULL", "0", "2", "0.5"),
		"d": pick("NULL", "0", "1.5", "1.50", "22"), "late": pick("NULL", "'new'"),
	}
	var list, set []string
	for _, c := range h.have {
		list = append(list, values[c])
		set = append(set, c+" = "+values[c])
	}
	if h.mode == "keyless" {
		list[1], set[1] = "0", "seq = 0"
	}
	where := fmt.Sprintf(" WHERE ctid = (SELECT ctid FROM h WHERE id = %d LIMIT 1)", id)
	switch h.random.IntN(4) {
	case 0:
		h.from.exec("DELETE FROM h" + where)
	case 1:
		h.from.exec("UPDATE h SET " + strings.Join(set, ", ") + where)
	default:
		conflict := " ON CONFLICT (id) DO UPDATE SET " + strings.Join(set, ", ")
		if h.mode == "keyless" {
			conflict = ""
		}
		h.from.exec("INSERT INTO h VALUES (" + strings.Join(list, ", ") + ")" + conflict)
	}
}

// remember notes what the source has.
func (h *past) remember() {
	list := make([]string, len(h.all))
	for i, c := range h.all {
		list[i] = "NULL"
		if slices.Contains(h.have, c) {
			list[i] = h.from.text(c)
		}
		if c == "d" {
			list[i] = "trim_scale(d)::text"
		}
	}
	now := h.from.rows("SELECT " + strings.Join(list, ", ") + " FROM h")
	if h.mode == "upsert" || h.mode == "cursor" {
		for _, row := range now {
			id, _, _ := strings.Cut(row, "|")
			h.known[id] = row
		}
		now = now[:0]
		for id := range h.known {
			if h.all[len(h.all)-1] == "late" && strings.Count(h.known[id], "|") < len(h.all)-1 {
				h.known[id] += "|~"
			}
			now = append(now, h.known[id])
		}
		slices.Sort(now)
	}
	h.dates, h.were = append(h.dates, h.to.now), append(h.were, now)
}

// look asks for all moments.
func (h *past) look(when string) {
	list := make([]string, len(h.all))
	for i, c := range h.all {
		list[i] = h.to.text(c)
	}
	table := h.to.name(h.schema) + "." + h.to.name("h")
	for i, at := range h.dates {
		for _, later := range []time.Duration{0, time.Second, 119 * time.Second} {
			moment := "TIMESTAMP '" + at.Add(later).Format("2006-01-02 15:04:05") + "'"
			if h.to.kind != "mysql" {
				moment = "TIMESTAMPTZ '" + at.Add(later).Format("2006-01-02 15:04:05") + "+00'"
			}
			got := h.to.rows("SELECT " + strings.Join(list, ", ") + " FROM " + table + " WHERE " + moment + " >= _valid_from AND (_valid_to IS NULL OR " + moment + " < _valid_to)")
			for j, row := range got {
				got[j] = h.plain(row)
			}
			slices.Sort(got)
			var want []string
			for _, row := range h.were[i] {
				for strings.Count(row, "|") < len(h.all)-1 {
					row += "|~"
				}
				want = append(want, row)
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				h.t.Fatalf("%s\nat %s of step %d it was\n%s\nwanted\n%s\nall:\n%s", when, moment, i, strings.Join(got, "\n"), strings.Join(want, "\n"),
					strings.Join(h.to.rows("SELECT "+strings.Join(append(list, h.to.text("_valid_from"), h.to.text("_valid_to")), ", ")+" FROM "+table), "\n"))
			}
		}
	}
}

// plain writes numbers as PostgreSQL does.
func (h *past) plain(row string) string {
	cells := strings.Split(row, "|")
	for i, c := range h.all {
		if (c == "f" || c == "d") && strings.Contains(cells[i], ".") {
			cells[i] = strings.TrimRight(strings.TrimRight(cells[i], "0"), ".")
		}
	}
	return strings.Join(cells, "|")
}
