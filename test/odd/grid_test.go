// Package odd_test carries odd values and odd tables from every kind of source into every kind of target, by the engine itself.
package odd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firth/internal/mirror"
	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/internal/warehouse/mysql"
	"firth/internal/warehouse/postgres"
	"firth/test/server"
)

// grid is a table of odd values at a source: its columns, and what the source's own server prints of each cell.
type grid struct {
	columns []gridColumn
	from    func(ctx context.Context) (mirror.Source, error)
	// list and get stand in for from where the table is kept by those.
	list, get func(ctx context.Context) (mirror.Source, error)
}

// gridColumn is one column: class says how texts of its values are compared.
type gridColumn struct {
	name, about, class string
	cells              []*string // of the rows 1, 2, 3 ...; nil: NULL
}

// basin is a warehouse beside the server's own words for what it holds.
type basin struct {
	name   string
	target mirror.Target
	pg     bool
	quote  string
	text   func(t vector.Type, column string) string
	read   func(query string) [][]*string
	do     func(statement string)
}

// basins are the three targets, each fresh.
func basins(t *testing.T) []*basin {
	return []*basin{duckBasin(t), postgresBasin(t), mariaBasin(t)}
}

func duckBasin(t *testing.T) *basin {
	dir := t.TempDir()
	db, err := duckdb.Open(t.Context(), filepath.Join(dir, "w.duckdb"), duckdb.Options{LakeDir: dir, TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &basin{name: "duckdb", target: mirror.Adapt(db.Mirrors()), quote: `"`, text: duckText, read: func(q string) [][]*string { return readAll(t, db.SQL(), q) },
		do: func(q string) { execute(t, db.SQL(), q) }}
}

func postgresBasin(t *testing.T) *basin {
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	m, err := postgres.OpenMirrors(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	conn := pg.Connect(database)
	for _, q := range plainPostgres {
		if _, err := conn.Exec(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	return &basin{name: "postgres", target: mirror.Adapt(m), pg: true, quote: `"`, text: postgresText, read: func(q string) [][]*string { return readPostgres(t, conn, q) },
		do: func(q string) { readPostgres(t, conn, q) }}
}

func mariaBasin(t *testing.T) *basin {
	m := server.MariaDB(t, "11.4")
	m.Exec("DROP DATABASE IF EXISTS copied", "DROP DATABASE IF EXISTS _firth")
	mirrors, err := mysql.OpenMirrors(t.Context(), strings.TrimSuffix(m.Admin, "mysql"), mysql.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mirrors.Close() })
	db := m.Open("mysql")
	return &basin{name: "mariadb", target: mirror.Adapt(mirrors), quote: "`", text: mariaText, read: func(q string) [][]*string { return readAll(t, db, q) },
		do: func(q string) { execute(t, db, q) }}
}

// mirror makes one of a grid.
func (b *basin) mirror(g *grid, c mirror.Config) *mirror.Mirror {
	c.Name, c.Table = "odd", warehouse.MirrorTable{Name: "odd", Schema: "copied", Table: "odd"}
	return mirror.New(mirror.Options{Config: c, Target: b.target, Lower: b.pg, Unbounded: b.pg, From: g.from, List: g.list, Get: g.get})
}

// carry runs a mirror of the grid.
func (b *basin) carry(t *testing.T, g *grid, c mirror.Config) *mirror.Report {
	t.Helper()
	rep, err := b.mirror(g, c).Sync(t.Context(), mirror.RunOptions{}, nil)
	if err != nil || rep.State != warehouse.RunSuccess {
		t.Fatalf("%s: %v\n%s", b.name, err, rep.Text())
	}
	return rep
}

// compare holds every cell of the table against the source's: equal, or NULL and listed; and few are.
func (b *basin) compare(t *testing.T, g *grid) {
	t.Helper()
	state, err := b.target.Mirror(t.Context(), warehouse.MirrorTable{Name: "odd", Schema: "copied", Table: "odd"})
	if err != nil {
		t.Fatal(err)
	}
	rejects := map[string][]*string{}
	for _, r := range b.rejects() {
		at := *r[0] + " " + *r[1]
		if rejects[at] != nil {
			t.Errorf("%s: %s is listed twice: %s, %s", b.name, at, show(rejects[at][2]), show(r[2]))
		}
		rejects[at] = r
	}
	listed, values := len(rejects), 0
	for _, c := range g.columns {
		i := slices.IndexFunc(state.Columns, func(s vector.Column) bool { return s.Name == c.name })
		if i < 0 {
			t.Errorf("%s: there is no column %s (%s)", b.name, c.name, c.about)
			continue
		}
		got := map[string]*string{}
		for _, r := range b.read("SELECT id, " + b.text(state.Columns[i].Type, b.quoted(c.name)) + " FROM copied.odd") {
			got[*r[0]] = r[1]
		}
		for row, want := range c.cells {
			if want != nil {
				values++
			}
			key := strconv.Itoa(row + 1)
			have, there := got[key]
			if !there {
				t.Fatalf("%s: the row %s is gone", b.name, key)
			}
			reject := rejects[key+" "+c.name]
			delete(rejects, key+" "+c.name)
			about := fmt.Sprintf("%s: %s as %s, row %s", b.name, c.about, state.Columns[i].Type, key)
			judge(t, about, c.class, want, have, reject)
		}
	}
	for at, r := range rejects {
		t.Errorf("%s: %s is listed for nothing: %s", b.name, at, show(r[2]))
	}
	if t.Logf("%s: %d values, %d of them listed", b.name, values, listed); listed*4 > values {
		t.Errorf("too many")
	}
}

// rejects are the rows of the table of rejects, which is there when there was one.
func (b *basin) rejects() [][]*string {
	if *b.read("SELECT count(*) FROM information_schema.tables WHERE table_schema = 'copied' AND table_name = 'odd__rejects'")[0][0] == "0" {
		return nil
	}
	return b.read("SELECT " + b.quoted("key") + ", column_name, value, reason FROM copied.odd__rejects")
}

func (b *basin) quoted(name string) string { return b.quote + name + b.quote }

func judge(t *testing.T, about, class string, want, have *string, reject []*string) {
	t.Helper()
	switch {
	case want == nil:
		if have != nil || reject != nil {
			t.Errorf("%s: NULL became %s, listed: %v", about, show(have), reject != nil)
		}
	case have != nil:
		if plainText(class, *have) != plainText(class, *want) || reject != nil {
			t.Errorf("%s: %s became %s, listed: %v", about, show(want), show(have), reject != nil)
		}
	case reject == nil:
		t.Errorf("%s: %s became NULL, and nobody was told", about, show(want))
	case reject[2] == nil || reject[3] == nil || *reject[3] == "":
		t.Errorf("%s: %s is listed without its text or a reason", about, show(want))
	case plainText(class, unquoted(*reject[2])) != plainText(class, *want):
		t.Errorf("%s: %s is listed as %s (%s)", about, show(want), show(reject[2]), show(reject[3]))
	default:
		t.Logf("%s: %s is listed: %s", about, show(want), *reject[3])
	}
}

// unquoted is a text that was listed in quotes, because not every warehouse can hold it as it is.
func unquoted(s string) string {
	if out, err := strconv.Unquote(s); err == nil && strings.ContainsRune(out, 0) {
		return out
	}
	return s
}

func show(s *string) string {
	if s == nil {
		return "NULL"
	}
	return fmt.Sprintf("%.60q", *s)
}

var (
	trailing = regexp.MustCompile(`(\.\d*?)0+\b`)
	numbers  = regexp.MustCompile(`-?\d[\d.]*(e[+-]?\d+)?`)
	noDot    = regexp.MustCompile(`\.($|[^\d])`)
)

// plainText makes texts of equal values equal, whichever server printed them.
func plainText(class, s string) string {
	switch class {
	case "number":
		if r, ok := new(big.Rat).SetString(s); ok {
			return r.RatString()
		}
	case "float", "float32":
		if f, err := strconv.ParseFloat(s, 64); err == nil || math.IsInf(f, 0) && strings.Contains(strings.ToLower(s), "inf") {
			if class == "float32" {
				f = float64(float32(f))
			}
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
	case "boolean":
		switch s {
		case "1", "t", "true":
			return "true"
		case "0", "f", "false":
			return "false"
		}
	case "time":
		bc := strings.Contains(s, "BC")
		s = strings.NewReplacer("(BC)", "", "BC", "").Replace(s)
		s = strings.Join(strings.Fields(strings.Replace(s, "T", " ", 1)), " ")
		s = noDot.ReplaceAllString(trailing.ReplaceAllString(s, "$1"), "$1")
		s = strings.TrimSuffix(strings.TrimSuffix(s, ":00+00:00")+map[bool]string{true: ":00+00"}[strings.HasSuffix(s, ":00+00:00")], " ")
		if bc {
			s += " BC"
		}
	case "list":
		var v any
		d := json.NewDecoder(bytes.NewReader([]byte(s)))
		d.UseNumber()
		if d.Decode(&v) == nil {
			return numbers.ReplaceAllStringFunc(fmt.Sprint(v), func(n string) string { return plainText("number", n) })
		}
	}
	return s
}
