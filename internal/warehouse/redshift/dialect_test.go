package redshift

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/name"
	"firth/internal/object"
	"firth/internal/table"
	"firth/internal/warehouse"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(path, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

// TestDialect holds every statement that is built from names to a golden file.
func TestDialect(t *testing.T) {
	const schema, odd = "production", `we"ird 'name'; \ --`
	columns := []table.Column{
		{Name: "id", Type: table.String}, {Name: "received_at", Type: table.Timestamp}, {Name: "n", Type: table.Integer, Path: "properties.n"},
		{Name: "f", Type: table.Float, Path: "properties.f"}, {Name: "b", Type: table.Boolean, Path: "properties.b"}, {Name: odd, Type: table.String, Path: "properties.odd"},
	}
	must := func(s string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	now := stamp(time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC))
	var stage []stageColumn
	var list []assignment
	for i, c := range columns {
		stage = append(stage, stageColumn{kind: c.Type, bytes: 10 * i})
		list = append(list, assignment{c.Name, castOf(made(c), "s."+stageColName(i), stage[i]), i == 0})
	}
	list = append(list, assignment{column: "uuid_ts", expr: now})
	from := copySource{manifest: "s3://bucket/stage/i/l/0000.manifest", role: "arn:aws:iam::123456789012:role/firth", region: "eu-central-1", null: "null-1"}
	withKeys := from
	withKeys.role, withKeys.keys = "", object.Keys{ID: "AKIA", Secret: "se/cret", Token: "token"}
	discards := assignmentsOf(t, warehouse.DiscardColumns(), now)
	var b strings.Builder
	for _, s := range []struct{ name, sql string }{
		{"create schema", createSchema(odd)},
		{"create table", must(createTable(schema, "clicks", columns))},
		{"create table without keys", must(createTable(schema, odd, columns[2:]))},
		{"create the table of discards", must(createTable(schema, warehouse.Discards, warehouse.DiscardColumns()))},
		{"add column", must(addColumn(schema, "clicks", columns[1]))},
		{"add column with an odd name", must(addColumn(odd, odd, columns[5]))},
		{"drop column", dropColumn(schema, "clicks", "n")},
		{"grow column", growColumn(schema, "clicks", "s")},
		{"widen column", strings.Join(widenColumn(schema, "clicks", odd), ";\n")},
		{"list inexact", listInexact(schema, odd, "n", now)},
		{"staging table", createStage(stageName(3), stage)},
		{"copy with a role", copyParts(stageName(3), 6, from)},
		{"copy with keys", copyParts(stageName(3), 6, withKeys)},
		{"insert", insertRows(schema, "clicks", stageName(3), list)},
		{"insert what is missing", insertMissing(schema, odd, stageName(3), list)},
		{"insert into a table of others", insertAfter(schema, "clicks", stageName(3), list, list[1].expr, now)},
		{"update", updateRows(schema, "users", stageName(3), list)},
		{"update of ids alone", updateRows(schema, "users", stageName(3), list[:1])},
		{"insert discards that are missing", insertNewDiscards(schema, stageName(3), discards)},
		{"last of each", lastSaid("firth_again", schema, "identifies", "user_id", stageName(3), []column{made(columns[2]), made(columns[4]), made(columns[5])})},
		{"literal", literal(`it's \ "odd" ` + "\x00" + `\`)},
		{"longest name", quote(name.Redshift().Schema(strings.Repeat("Long Name ", 30)))},
		{"reserved and digit-first names", quote(name.Redshift().Schema("select")) + " " + quote(name.Redshift().Schema("3doctors"))},
	} {
		b.WriteString("-- " + s.name + "\n" + s.sql + "\n\n")
	}
	golden(t, "dialect.sql", b.String())
	if _, err := createTable(schema, "x", []table.Column{{Name: "nothing"}}); err == nil {
		t.Error("a table with a column without a type")
	}
}

func assignmentsOf(t *testing.T, columns []table.Column, now string) []assignment {
	t.Helper()
	st := &state{}
	target, err := st.newTarget(&table.Batch{Name: warehouse.Discards, Columns: columns}, false, true)
	if err != nil {
		t.Fatal(err)
	}
	target.stage = make([]stageColumn, len(target.fields))
	return target.assignments(now)
}

// TestStatements holds to golden files what is said for a series of loads, and for an opening, as a cluster would hear it.
func TestStatements(t *testing.T) {
	p := newPlace(t)
	ids := 0
	fixed := func(d *DB) *DB {
		d.newID = func() string { ids++; return fmt.Sprintf("%016d", ids) }
		return d
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	d := fixed(p.prepared(Options{Now: func() time.Time { return now }, IAMRole: "arn:aws:iam::123456789012:role/firth"}))
	if _, err := d.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	heard := func(what string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		out.WriteString("-- " + what + "\n" + strings.Join(p.spoken, ";\n") + ";\n\n")
		p.spoken = nil
	}
	heard("open")
	mustLoad(t, d, batchOf(0, 2))
	heard("the first load: schema, tables, rows, users, discards, position")
	b := batchOf(2, 2)
	b.Tables = b.Tables[:1]
	b.Upserts, b.Discards = nil, nil
	clicks := b.Tables[0]
	clicks.Columns[4].Type = table.Float
	clicks.Columns = append(clicks.Columns, table.Column{Name: "more", Type: table.Boolean, Path: "properties.more"})
	clicks.Rows[0].Cells = append(clicks.Rows[0].Cells, table.Cell{Col: 5, Value: table.Bool(true)})
	mustLoad(t, d, b)
	heard("a load that adds a column and widens another")
	b = batchOf(0, 4)
	b.Tables = b.Tables[1:]
	if _, err := d.Replay(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	heard("a replay")
	b = batchOf(0, 4)
	b.Source, b.Schema, b.Upserts, b.Discards = "production#rebuild", warehouse.RebuildPrefix+"production", nil, nil
	b.Tables = b.Tables[:1]
	b.Tables[0].Columns[4].Type = table.String
	mustLoad(t, d, b)
	p.spoken = nil
	if _, err := d.Swap(t.Context(), &warehouse.Swap{Source: "production", Schema: "production", RebuildSource: b.Source, RebuildSchema: b.Schema, Tables: []string{"clicks"}}); err != nil {
		t.Fatal(err)
	}
	heard("a swap")
	p.do("CREATE SCHEMA old", "CREATE TABLE old.clicks (id varchar(64), received_at timestamp, s varchar(8))", "INSERT INTO old.clicks VALUES ('id-000000', '2023-11-14 22:13:20', 'short')")
	b = batchOf(0, 2)
	b.Source, b.Schema, b.Tables, b.Upserts, b.Discards = "old", "old", b.Tables[:1], nil, nil
	mustLoad(t, d, b)
	heard("a load into a table that somebody else made")
	golden(t, "statements.sql", out.String())
}

func TestSetup(t *testing.T) {
	text, err := Setup("redshift://firth:Very-Secret-1@cluster.example.org:5439/analytics", []string{"production", `odd "name"`})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "setup.sql", text)
	if strings.Contains(text, "Very-Secret-1") {
		t.Error("the password is shown")
	}
	for _, bad := range []string{"", "redshift://host/db", "redshift://user:Very-Secret-1@host", "redshift://user:Very-Secret-1@ho st/%zz"} {
		if _, err := Setup(bad, nil); err == nil || strings.Contains(err.Error()+warehouse.HintOf(err), "Very-Secret-1") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, _, err := Policies("http://x"); err == nil {
		t.Error("policies for what is no store")
	}
	firth, cluster, err := Policies("s3://bucket?region=x")
	if err != nil || strings.Contains(firth+cluster, "Condition") || !strings.Contains(firth, `"arn:aws:s3:::bucket/*"`) {
		t.Errorf("policies of a whole bucket: %s, %s, %v", firth, cluster, err)
	}
}

// TestSetupWorks runs the printed statements and opens the warehouse with nothing beyond them.
func TestSetupWorks(t *testing.T) {
	p := newPlace(t)
	database := p.pg.Database()
	user := fmt.Sprintf("firth_%d", time.Now().UnixNano())
	url := p.pg.URL(user, "Pass-word-1", database)
	text, err := Setup(url, []string{"production"})
	if err != nil {
		t.Fatal(err)
	}
	p.pg.Exec(database, "REVOKE ALL ON DATABASE "+database+" FROM PUBLIC", "GRANT CONNECT ON DATABASE "+database+" TO PUBLIC",
		strings.Replace(text, passwordPlaceholder, "Pass-word-1", 1))
	q := placeOn(t, p.pg, p.store, url)
	mustLoad(t, q.open(Options{}), batchOf(0, 10))
	q.exactly(10)
}

// TestTypesThereAndBack: what is made is read again as what it is.
func TestTypesThereAndBack(t *testing.T) {
	for _, kind := range []table.Type{table.Boolean, table.Integer, table.Float, table.Timestamp, table.String} {
		c := made(table.Column{Name: "c", Type: kind})
		modifier := -1
		if kind == table.String {
			modifier = longest + 4
		}
		if got := columnOf("c", c.physical, modifier); got != c {
			t.Errorf("%s is made as %+v and read as %+v", kind, c, got)
		}
	}
	if c := columnOf("c", "numeric", 10<<16+2+4); c.precision != 10 || c.scale != 2 || c.kind != table.Float {
		t.Errorf("numeric(10, 2) is read as %+v", c)
	}
	if c := columnOf("c", "super", -1); !c.foreign {
		t.Errorf("super is read as %+v", c)
	}
}

// TestForeignColumns loads into a table whose columns have types that are none of ours: each value is exact or listed.
func TestForeignColumns(t *testing.T) {
	p := newPlace(t)
	d := p.open(Options{})
	p.do("CREATE SCHEMA production", `CREATE TABLE production.clicks (id varchar(64), received_at timestamptz, s char(5), n smallint, f real, d numeric(6,2), day date, extra integer DEFAULT 7)`)
	b := batchOf(0, 3)
	b.Upserts, b.Discards, b.Tables = nil, nil, b.Tables[:1]
	clicks := b.Tables[0]
	add := func(name string, kind table.Type, values ...table.Value) {
		clicks.Columns = append(clicks.Columns, table.Column{Name: name, Type: kind, Path: "properties." + name})
		for i, v := range values {
			clicks.Rows[i].Cells = append(clicks.Rows[i].Cells, table.Cell{Col: int32(len(clicks.Columns) - 1), Value: v})
		}
	}
	for i, s := range []string{"short", "longer", "é"} {
		clicks.Rows[i].Cells[2].Value = table.Text(s)
	}
	clicks.Rows[1].Cells[3].Value = table.Int(40_000)
	add("f", table.Float, table.Float64(0.5), table.Float64(0.1), table.Float64(1e300))
	add("d", table.Float, table.Float64(1234.25), table.Float64(0.125), table.Float64(12345))
	add("day", table.String, table.Text("2024-01-01"))
	r := mustLoad(t, d, b)
	if r.Discards != 8 || len(r.Notices) < 2 {
		t.Errorf("result %+v", r)
	}
	got := p.query("SELECT string_agg(concat_ws('|', id, received_at AT TIME ZONE 'UTC', coalesce(s, '-'), coalesce(n::text, '-'), coalesce(f::text, '-'), coalesce(d::text, '-'), coalesce(day::text, '-'), extra), E'\n' ORDER BY id) FROM production.clicks")
	if diff := cmp.Diff("id-000000|2023-11-14 22:13:20|short|0|0.5|1234.25|-|7\nid-000001|2023-11-14 22:13:20.000001|-|-|-|-|-|7\nid-000002|2023-11-14 22:13:20.000002|-|2|-|-|-|7", got); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
	reasons := p.query("SELECT string_agg(concat_ws(' ', row_id, column_name, reason), ', ' ORDER BY row_id, column_name) FROM production.firth_discards")
	want := "id-000000 day foreign_column_type, id-000001 d does_not_fit, id-000001 f does_not_fit, id-000001 n out_of_range, id-000001 s too_long, id-000002 d does_not_fit, id-000002 f does_not_fit, id-000002 s does_not_fit"
	if reasons != want {
		t.Errorf("discards are\n%s, want\n%s", reasons, want)
	}
}

// TestWideRow loads a row that no COPY takes: the longest strings are listed until it fits.
func TestWideRow(t *testing.T) {
	p := newPlace(t)
	d := p.open(Options{})
	b := batchOf(0, 1)
	b.Upserts, b.Discards, b.Tables = nil, nil, b.Tables[:1]
	clicks := b.Tables[0]
	for i := range 70 {
		clicks.Columns = append(clicks.Columns, table.Column{Name: fmt.Sprintf("c%02d", i), Type: table.String, Path: "properties.c"})
		clicks.Rows[0].Cells = append(clicks.Rows[0].Cells, table.Cell{Col: int32(len(clicks.Columns) - 1), Value: table.Text(strings.Repeat("x", longest-i))})
	}
	r := mustLoad(t, d, b)
	if r.Discards != 7 || r.Rows["clicks"] != 1 {
		t.Errorf("result %+v", r)
	}
	if got := p.query("SELECT string_agg(column_name || ' ' || reason || ' ' || length(value), ', ' ORDER BY column_name) FROM production.firth_discards"); !strings.HasPrefix(got, "c00 too_long 65535, c01 too_long 65534") {
		t.Errorf("discards are %s", got)
	}
}

// TestStuckColumn has a string column that the server does not let grow: long strings are listed then, and the rows come in.
func TestStuckColumn(t *testing.T) {
	p := newPlace(t)
	d := p.open(Options{})
	p.do("CREATE SCHEMA production", "CREATE TABLE production.clicks (id varchar(64), received_at timestamp, s varchar(8), n bigint)", "CREATE VIEW production.v AS SELECT s FROM production.clicks")
	b := batchOf(0, 10)
	b.Upserts, b.Discards, b.Tables = nil, nil, b.Tables[:1]
	r := mustLoad(t, d, b)
	if r.Rows["clicks"] != 10 || r.Discards != 10 || !strings.Contains(strings.Join(r.Notices, "\n"), "cannot hold longer strings") {
		t.Errorf("result %+v", r)
	}
	p.noParts()
	p.do("DROP VIEW production.v")
	d = p.open(Options{})
	b = batchOf(10, 10)
	b.Upserts, b.Discards, b.Tables = nil, nil, b.Tables[:1]
	if r := mustLoad(t, d, b); r.Discards != 0 {
		t.Errorf("result %+v", r)
	}
	if n := p.query("SELECT count(s) FROM production.clicks"); n != "10" {
		t.Errorf("%s strings, want 10", n)
	}
}

var secretLike = regexp.MustCompile(`(?i)test-secret-key|SECRET_ACCESS_KEY '[^*]`)

// TestSecretsStayHidden has the server repeat the COPY that it refuses, keys and all.
func TestSecretsStayHidden(t *testing.T) {
	p := newPlace(t)
	d := p.open(Options{})
	p.hook(func(s string) error {
		if strings.HasPrefix(s, "COPY ") {
			if !secretLike.MatchString(s) {
				t.Error("the statement has no key: the test proves nothing")
			}
			return repeating(s)
		}
		return nil
	})
	_, err := d.Load(context.Background(), batchOf(0, 1))
	if err == nil {
		t.Fatal("it was loaded")
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if text := fmt.Sprintf("%v %+v %#v %s", e, e, e, warehouse.HintOf(e)); secretLike.MatchString(text) || strings.Contains(text, "role-secret") {
			t.Errorf("%T shows a secret: %s", e, text)
		}
	}
}
