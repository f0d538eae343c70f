package drift_test

import (
	"strings"
	"testing"

	"firth/internal/mirror"
)

const (
	wide  = "12345678901234567890123456789012345678.9"           // 39 digits
	widen = "1234567890123456789012345678901234567890.123456789" // 49
)

// TestDecimals lets the values of decimals without bounds grow: the column holds all of them at any time, exactly.
func TestDecimals(t *testing.T) {
	for _, from := range []string{"postgres 12", "postgres 15", "mysql", "sqlite"} {
		for _, to := range []string{"duckdb", "mysql", "postgres"} {
			for _, mode := range []string{"replace", "append", "upsert", "history"} {
				if mode != "upsert" && (to == "postgres" || from == "postgres 12") {
					continue
				}
				t.Run(strings.Join([]string{from, to, mode}, "/"), func(t *testing.T) { growDecimals(t, from, to, mode) })
			}
		}
	}
}

func numbersOf(t *testing.T, kind string) *side {
	switch kind {
	case "mysql":
		s := newMaria(t)
		s.exec("CREATE TABLE n (id INT PRIMARY KEY, d DECIMAL(65,20))")
		return s
	case "sqlite":
		s := newSQLite(t)
		s.exec("CREATE TABLE n (id INTEGER PRIMARY KEY, d NUMERIC)")
		return s
	}
	s := newPostgres(t, strings.TrimPrefix(kind, "postgres "))
	s.exec("CREATE TABLE n (id int PRIMARY KEY, d numeric)")
	return s
}

func growDecimals(t *testing.T, from, to, mode string) {
	s, w, schema := numbersOf(t, from), newTarget(t, to), schemaOf(t)
	c := mirror.Config{Mode: mode, Key: []string{"id"}}
	switch mode {
	case "append":
		c.Cursor = "id"
	case "history":
		c.Mode, c.History = "upsert", true
	}
	m := w.mirror(s, schema, "n", c)
	rows := map[string]string{}
	step := func(id, value, duck, maria string) {
		t.Helper()
		s.exec("INSERT INTO n VALUES (" + id + ", " + value + ")")
		rows[id] = value
		r := w.mustRun(m)
		if got := w.typeOf(schema, "n", "d"); to == "duckdb" && got != duck || to == "mysql" && got != maria || to == "postgres" && from != "sqlite" && got != "numeric" {
			t.Errorf("after %s the column is %s\n%s", value, got, r.Text())
		}
		var want []string
		for id, value := range rows {
			want = append(want, id+"|"+value)
		}
		got := w.content(schema, "n", "id", "d")
		for i, row := range got {
			if at := strings.IndexByte(row, '.'); at >= 0 {
				got[i] = strings.TrimRight(strings.TrimRight(row, "0"), ".")
			}
		}
		same(t, "after "+value, got, want...)
		if r.Rejects != 0 {
			t.Errorf("after %s: %s", value, r.Text())
		}
	}
	step("1", "12.5", map[string]string{"mysql": "decimal(38,20)"}[from]+map[bool]string{true: "decimal(19,1)"}[from != "mysql"],
		map[string]string{"mysql": "decimal(38,20)"}[from]+map[bool]string{true: "decimal(19,1)"}[from != "mysql"])
	if from == "sqlite" {
		return // its numbers are floats
	}
	if from == "mysql" {
		step("2", "99999999999999999999.5", "varchar", "decimal(40,20)")
		step("3", wide, "varchar", "decimal(58,20)")
		return
	}
	step("2", "-0.00123", "decimal(23,5)", "decimal(23,5)")
	step("3", "99999999999999999999", "decimal(25,5)", "decimal(25,5)")
	step("4", wide, "varchar", "decimal(43,5)")
	step("5", widen, "varchar", "decimal(49,9)")
	step("6", "0."+strings.Repeat("0", 40)+"1", "varchar", "longtext")
	step("7", "7", "varchar", "longtext")
}

// TestNoNumbers: NaN and Infinity are rejected by a decimal, and stay in a text.
func TestNoNumbers(t *testing.T) {
	s := newPostgres(t, "15")
	s.exec("CREATE TABLE n (id int PRIMARY KEY, d numeric)", "INSERT INTO n VALUES (1, 1.5), (2, 'NaN'), (3, 'Infinity'), (4, NULL)")
	for _, to := range []string{"duckdb", "mysql"} {
		t.Run(to, func(t *testing.T) {
			w, schema := newTarget(t, to), schemaOf(t)
			m := w.mirror(s, schema, "n", mirror.Config{Mode: "replace"})
			r := w.mustRun(m)
			same(t, "the table", w.content(schema, "n", "id", "d"), "1|1.5", "2|~", "3|~", "4|~")
			same(t, "the rejects", w.content(schema, "n__rejects", "key", "column_name", "value"), "2|d|NaN", "3|d|Infinity")
			if !strings.Contains(r.Text(), "types: { d: text }") {
				t.Errorf("%s", r.Text())
			}
		})
	}
	s.exec("INSERT INTO n VALUES (5, " + wide + "5), (6, 1e-40)")
	for _, to := range []string{"duckdb", "mysql"} {
		t.Run("text/"+to, func(t *testing.T) {
			w, schema := newTarget(t, to), schemaOf(t)
			m := w.mirror(s, schema, "n", mirror.Config{Mode: "replace"})
			r := w.mustRun(m)
			same(t, "the table", w.content(schema, "n", "id", "d"), "1|1.5", "2|NaN", "3|Infinity", "4|~", "5|"+wide+"5", "6|0."+strings.Repeat("0", 39)+"1")
			if r.Rejects != 0 {
				t.Errorf("%s", r.Text())
			}
		})
	}
}
