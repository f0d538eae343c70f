package mirror_test

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	engine "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/source/mongo"
	"firth/internal/warehouse"
	"firth/internal/warehouse/duckdb"
	"firth/internal/warehouse/mysql"
	"firth/internal/warehouse/postgres"
	"firth/test/peer"
	"firth/test/server"
)

// sink is a warehouse that documents go into.
type sink struct {
	name   string
	target mirror.Target
	db     *sql.DB
	quote  string
	lower  bool
	lists  bool
}

// eachSink runs a test for every kind of warehouse.
func eachSink(t *testing.T, test func(*testing.T, *sink)) {
	for name, open := range map[string]func(*testing.T) *sink{"duckdb": duckSink, "postgres": postgresSink, "mysql": mysqlSink} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			s.name = name
			test(t, s)
		})
	}
}

func duckSink(t *testing.T) *sink {
	dir := t.TempDir()
	db, err := duckdb.Open(t.Context(), filepath.Join(dir, "w.duckdb"), duckdb.Options{LakeDir: dir, TempDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &sink{target: mirror.Adapt(db.Mirrors()), db: db.SQL(), quote: `"`, lists: true}
}

func postgresSink(t *testing.T) *sink {
	pg := server.Postgres(t, "15")
	url, database := pg.Loader()
	m, err := postgres.OpenMirrors(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := pg.Connect(database).Config()
	c.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec // the table is another every time
	db := stdlib.OpenDB(*c)
	t.Cleanup(func() { _, _ = m.Close(), db.Close() })
	return &sink{target: mirror.Adapt(m), db: db, quote: `"`, lower: true, lists: true}
}

func mysqlSink(t *testing.T) *sink {
	maria := server.MariaDB(t, "11.4")
	maria.Wipe()
	m, err := mysql.OpenMirrors(t.Context(), strings.TrimSuffix(maria.Admin, "mysql"), mysql.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	c := maria.Config("", "", "")
	admin, err := engine.ParseDSN(strings.Replace(strings.TrimPrefix(maria.Admin, "mysql://"), "@"+maria.Addr()+"/", "@tcp("+maria.Addr()+")/", 1))
	if err != nil {
		t.Fatal(err)
	}
	c.User, c.Passwd, c.ParseTime = admin.User, admin.Passwd, true
	c.Params = map[string]string{"time_zone": "'+00:00'"}
	connector, err := engine.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _, _ = m.Close(), db.Close() })
	return &sink{target: mirror.Adapt(m), db: db, quote: "`"}
}

// mirror copies a collection of MongoDB.
func (s *sink) mirror(url, collection string, c mirror.Config) *mirror.Mirror {
	c.Name, c.Table = "docs", warehouse.MirrorTable{Name: "docs", Schema: "copied", Table: "docs"}
	spec := source.Spec{Collection: collection, Cursor: c.Cursor}
	spec.Columns, spec.Exclude = c.Selection()
	return mirror.New(mirror.Options{
		Config: c, Target: s.target, Lower: s.lower, Unbounded: s.lower, Lists: s.lists,
		From: func(ctx context.Context) (mirror.Source, error) {
			return mongo.Open(ctx, url, spec, source.Options{Name: "app"})
		},
	})
}

// rows are those of a table: each row's cells by the names of their columns, in lower case.
func (s *sink) rows(t *testing.T, table, order string) []map[string]string {
	t.Helper()
	q := func(name string) string { return s.quote + name + s.quote }
	rows, err := s.db.QueryContext(t.Context(), "SELECT * FROM "+q("copied")+"."+q(table)+" ORDER BY "+order)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for rows.Next() {
		values, to := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatal(err)
		}
		row := map[string]string{}
		for i, v := range values {
			if v != nil {
				row[strings.ToLower(names[i])] = cellText(v)
			}
		}
		out = append(out, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// cellText is a value as a test compares it: whatever a driver makes of it.
func cellText(v any) string {
	switch x := v.(type) {
	case time.Time:
		return x.UTC().Format(time.RFC3339Nano)
	case float32:
		return strconv.FormatFloat(float64(x), 'g', -1, 32)
	case float64:
		return strconv.FormatFloat(x, 'g', -1, 64)
	case bool:
		return map[bool]string{true: "1", false: "0"}[x]
	case string:
		return compactText(x)
	case []byte:
		if !utf8.Valid(x) {
			return hex.EncodeToString(x)
		}
		return compactText(string(x))
	case map[string]any, []any:
		b, err := json.Marshal(x)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	return fmt.Sprint(v)
}

// compactText leaves the blanks out that a database puts into JSON.
func compactText(s string) string {
	if strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[") {
		return strings.NewReplacer(": ", ":", ", ", ",").Replace(s)
	}
	return s
}

func rawDoc(t *testing.T, fields ...bson.E) bson.Raw {
	t.Helper()
	b, err := bson.Marshal(bson.D(fields))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func decimal(t *testing.T, text string) bson.Decimal128 {
	t.Helper()
	d, err := bson.ParseDecimal128(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// bsonCase is a value, with what its own column holds; empty: NULL, and a row of the rejects.
type bsonCase struct {
	name  string
	value any
	want  string
	mysql string // where it is another there; "-": rejected
	duck  string
}

func bsonCases(t *testing.T) []bsonCase {
	oid, _ := bson.ObjectIDFromHex("64b0c0c0c0c0c0c0c0c0c0c0")
	uuid := []byte{0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255}
	at := time.Date(2024, 5, 6, 7, 8, 9, 123e6, time.UTC)
	return []bsonCase{
		{name: "bool", value: true, want: "1"},
		{name: "int32", value: int32(math.MinInt32), want: "-2147483648"},
		{name: "int64", value: int64(math.MaxInt64), want: "9223372036854775807"},
		{name: "double", value: 0.1, want: "0.1"},
		{name: "whole", value: 3.0, want: "3"},
		{name: "nan", value: math.NaN(), want: "NaN", mysql: "-"},
		{name: "inf", value: math.Inf(-1), want: "-Inf", mysql: "-"},
		{name: "text", value: "ä\x01𝄞 ", want: "ä\x01𝄞 "},
		{name: "blank", value: "", want: ""},
		{name: "oid", value: oid, want: "64b0c0c0c0c0c0c0c0c0c0c0"},
		{name: "date", value: bson.NewDateTimeFromTime(at), want: "2024-05-06T07:08:09.123Z"},
		{name: "ancient", value: bson.DateTime(-70_000_000_000_000), want: time.UnixMilli(-70_000_000_000_000).UTC().Format(time.RFC3339Nano), mysql: "-"},
		{name: "far", value: bson.DateTime(math.MaxInt64), want: "-", mysql: "-"},
		{name: "uuid", value: bson.Binary{Subtype: 4, Data: uuid}, want: "00112233-4455-6677-8899-aabbccddeeff", duck: "00112233445566778899aabbccddeeff"},
		{name: "olduuid", value: bson.Binary{Subtype: 3, Data: uuid}, want: "77665544-3322-1100-ffee-ddccbbaa9988", duck: "7766554433221100ffeeddccbbaa9988"},
		{name: "blob", value: bson.Binary{Subtype: 0, Data: []byte{0, 255, 7}}, want: "00ff07"},
		{name: "decimal", value: decimal(t, "12.50"), want: "12.50", duck: "12.5"},
		{name: "longdecimal", value: decimal(t, "1E+6144"), want: "1" + strings.Repeat("0", 6144)},
		{name: "regex", value: bson.Regex{Pattern: "^a", Options: "i"}, want: `{"$regularExpression":{"pattern":"^a","options":"i"}}`},
		{name: "stamp", value: bson.Timestamp{T: 1_700_000_000, I: 3}, want: "2023-11-14T22:13:20Z"},
		{name: "code", value: bson.JavaScript("f()"), want: `{"$code":"f()"}`},
		{name: "symbol", value: bson.Symbol("s"), want: `{"$symbol":"s"}`},
		{name: "emptyobject", value: bson.D{}, want: `{}`},
		{name: "emptyarray", value: bson.A{}, want: `[]`},
		{name: "mixedarray", value: bson.A{int32(1), "x", bson.D{{Key: "a", Value: int64(math.MaxInt64)}}}, want: `[1,"x",{"a":"9223372036854775807"}]`},
	}
}

// TestEveryTypeOfDocuments copies each type of BSON into a column of its own, and all of them into one.
func TestEveryTypeOfDocuments(t *testing.T) {
	p, cases := peer.Start(t), bsonCases(t)
	var docs []bson.Raw
	for _, c := range cases {
		docs = append(docs, rawDoc(t, bson.E{Key: "_id", Value: c.name}, bson.E{Key: "f_" + c.name, Value: c.value}, bson.E{Key: "any", Value: c.value}))
	}
	slices.SortFunc(docs, func(a, b bson.Raw) int { return peer.Compare(a.Lookup("_id"), b.Lookup("_id")) })
	p.Put("types", "collection", docs...)
	eachSink(t, func(t *testing.T, s *sink) {
		rep := run(t, s.mirror(p.URL("app", nil), "types", mirror.Config{Mode: mirror.ModeReplace, UUIDSubtype3: "java"}))
		rejected := map[string]string{}
		if rep.Rejects > 0 {
			for _, r := range s.rows(t, "docs__rejects", s.quote+"key"+s.quote) {
				rejected[r["key"]+" "+r["column_name"]] = r["reason"]
			}
		}
		rows := map[string]map[string]string{}
		for _, r := range s.rows(t, "docs", "1") {
			rows[r["_id"]] = r
		}
		if len(rows) != len(cases) {
			t.Fatalf("%d rows", len(rows))
		}
		for _, c := range cases {
			want := c.want
			if s.name == "mysql" && c.mysql != "" {
				want = c.mysql
			}
			if s.name == "duckdb" && c.duck != "" {
				want = c.duck
			}
			got, there := rows[c.name]["f_"+c.name]
			reason := rejected[c.name+" f_"+c.name]
			if want == "-" {
				if there || reason == "" {
					t.Errorf("%s is %q, reason %q", c.name, got, reason)
				}
				continue
			}
			if !there || got != want || reason != "" {
				t.Errorf("%s is %q, want %q; rejected: %q", c.name, got, want, reason)
			}
			// Where values of all types share a path each is there once: in the column, in the one of JSON beside, or rejected.
			_, plain := rows[c.name]["any"]
			_, nested := rows[c.name]["any_json"]
			if reason := rejected[c.name+" any"]; plain && nested || plain == (reason != "") && !nested {
				t.Errorf("%s among others: %v %v %q", c.name, plain, nested, reason)
			}
		}
		if proposed := rep.Text(); !strings.Contains(proposed, "values of f_far that do not fit timestamptz were rejected: 1 date; types: {f_far: text}") {
			t.Error(proposed)
		}
	})
}

// TestShapesOfDocuments: ids of all kinds, names that collide, nothing in objects and arrays, very many fields, very large documents.
func TestShapesOfDocuments(t *testing.T) {
	p := peer.Start(t)
	oid := bson.NewObjectID()
	ids := []any{int32(1), int64(math.MaxInt64), 1.5, "1", "text", true, oid, bson.NewDateTimeFromTime(time.UnixMilli(0)), bson.Binary{Subtype: 4, Data: make([]byte, 16)},
		bson.D{{Key: "a", Value: int32(1)}, {Key: "b", Value: "x"}}, decimal(t, "1E+40")}
	var docs []bson.Raw
	for _, id := range ids {
		docs = append(docs, rawDoc(t, bson.E{Key: "_id", Value: id}))
	}
	slices.SortFunc(docs, func(a, b bson.Raw) int { return peer.Compare(a.Lookup("_id"), b.Lookup("_id")) })
	p.Put("ids", "collection", docs...)
	p.Put("names", "collection",
		rawDoc(t, bson.E{Key: "_id", Value: int32(1)}, bson.E{Key: "a", Value: bson.D{{Key: "b", Value: int32(1)}}}, bson.E{Key: "a_b", Value: "two"}, bson.E{Key: "A_B", Value: 3.5}, bson.E{Key: "a.b", Value: true},
			bson.E{Key: "", Value: "none"}, bson.E{Key: "o", Value: bson.D{}}, bson.E{Key: "l", Value: bson.A{}}, bson.E{Key: "1st", Value: "x"}, bson.E{Key: strings.Repeat("long", 40), Value: "y"}),
		rawDoc(t, bson.E{Key: "_id", Value: int32(2)}, bson.E{Key: "o", Value: bson.D{{Key: "in", Value: int32(5)}}}, bson.E{Key: "l", Value: bson.A{int32(1), int32(2)}}))
	wide := bson.D{{Key: "_id", Value: int32(1)}}
	for i := range 5000 {
		wide = append(wide, bson.E{Key: fmt.Sprintf("f%04d", i), Value: int32(i)})
	}
	p.Put("wide", "collection", rawDoc(t, wide...))
	large := strings.Repeat("ä", 8<<20-100)
	p.Put("large", "collection", rawDoc(t, bson.E{Key: "_id", Value: int32(1)}, bson.E{Key: "x", Value: large}), rawDoc(t, bson.E{Key: "_id", Value: int32(2)}, bson.E{Key: "x", Value: "small"}))
	eachSink(t, func(t *testing.T, s *sink) {
		copied := func(collection string) []map[string]string {
			run(t, s.mirror(p.URL("app", nil), collection, mirror.Config{Mode: mirror.ModeReplace, Settings: collection}))
			return s.rows(t, "docs", "1")
		}
		var got []string
		for _, r := range copied("ids") {
			got = append(got, r["_id"]+"|"+r["_id_json"]+"|"+r["_id_a"]+r["_id_b"])
		}
		slices.Sort(got)
		want := []string{"1||", "9223372036854775807||", "1.5||", "1||", "text||", "true||", oid.Hex() + "||", "1970-01-01 00:00:00+00||", "00000000-0000-0000-0000-000000000000||", "||1x", "1" + strings.Repeat("0", 40) + "||"}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("ids:\n%q\nwant\n%q", got, want)
		}
		suffixed, none, two := strings.Repeat("long", 40)[:63], "[]", "[1,2]"
		if s.name == "postgres" {
			none, two = "{}", "{1,2}"
		}
		same(t, "names", copied("names"), map[string]string{"_id": "1", "a_b": "1", "a_b_2": "two", "a_b_3": "3.5", "a_b_4": "1", "_": "none", "o": "{}", "l": none, "_1st": "x", suffixed: "y"},
			map[string]string{"_id": "2", "o_in": "5", "l": two})
		wide := copied("wide")[0]
		var rest map[string]int
		if err := json.Unmarshal([]byte(wide["_extra"]), &rest); err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			name := fmt.Sprintf("f%04d", i)
			text, column := wide[name]
			if n, extra := rest[name]; column == extra || column && text != strconv.Itoa(i) || extra && n != i {
				t.Fatalf("%s: %q, %v %d", name, text, extra, n)
			}
		}
		if len(wide) != 1000 {
			t.Errorf("%d columns", len(wide))
		}
		rows := copied("large")
		if s.name == "mysql" { // a packet of the server has 16 MB, and what is within one is escaped
			r := s.rows(t, "docs__rejects", "1")
			if len(rows) != 2 || rows[0]["x"] != "" || len(r) != 1 || !strings.Contains(r[0]["reason"], "max_allowed_packet") || !strings.HasPrefix(large, r[0]["value"][:1000]) {
				t.Errorf("%d rejects", len(r))
			}
		} else if len(rows) != 2 || rows[0]["x"] != large || rows[1]["x"] != "small" {
			t.Errorf("the large document has %d bytes", len(rows[0]["x"]))
		}
	})
}

// TestDocumentsThatGrow: fields that come late and values that need wider types, in an upsert over several runs.
func TestDocumentsThatGrow(t *testing.T) {
	p := peer.Start(t)
	doc := func(id int, fields ...any) bson.Raw {
		d := []bson.E{{Key: "_id", Value: int32(id)}, {Key: "at", Value: int64(id)}}
		for i := 0; i < len(fields); i += 2 {
			d = append(d, bson.E{Key: fields[i].(string), Value: fields[i+1]})
		}
		return rawDoc(t, d...)
	}
	day := bson.NewDateTimeFromTime(time.Date(2024, 5, 6, 0, 0, 0, 0, time.UTC))
	eachSink(t, func(t *testing.T, s *sink) {
		docs := []bson.Raw{doc(1, "n", int32(5), "m", int32(7), "big", int64(1)<<60, "w", int32(1), "t", "x", "l", bson.A{int32(1), int32(2)})}
		copy := func(more ...bson.Raw) *mirror.Report {
			docs = append(docs, more...)
			p.Put("growing", "collection", docs...)
			return run(t, s.mirror(p.URL("app", nil), "growing", mirror.Config{Mode: mirror.ModeUpsert, Cursor: "at", Key: []string{"_id"}, Late: &mirror.Late{Count: 1}}))
		}
		copy()
		copy(doc(2, "n", 5.5, "m", decimal(t, "7.25"), "big", 1.5, "w", int64(1)<<40, "t", int32(3), "late", day, "l", bson.A{int32(3)}))
		rep := copy(doc(3, "n", decimal(t, "1E-20"), "m", int32(8), "big", "text", "late", "no day", "later", bson.D{{Key: "x", Value: true}}, "l", bson.A{"a"}))
		copy(doc(4, "n", int32(1)))
		one := map[string]string{"_id": "1", "at": "1", "n": "5", "m": "7", "big": "1152921504606846976", "w": "1", "t": "x", "l": "[1,2]"}
		two := map[string]string{"_id": "2", "at": "2", "n": "5.5", "m": "7.25", "big": "1.5", "w": "1099511627776", "t": "3", "late": "2024-05-06T00:00:00Z", "l": "[3]"}
		three := map[string]string{"_id": "3", "at": "3", "n": "1e-20", "m": "8", "later_x": "1", "l_json": `["a"]`}
		switch s.name {
		case "mysql":
			delete(three, "l_json")
			three["l"] = `["a"]`
		case "postgres":
			one["l"], two["l"] = "{1,2}", "{3}"
		}
		if s.name != "duckdb" {
			one["m"], three["m"], one["big"] = "7.00", "8.00", one["big"]+".0"
		}
		same(t, "rows", s.rows(t, "docs", "1"), one, two, three, map[string]string{"_id": "4", "at": "4", "n": "1"})
		var rejected []string
		for _, r := range s.rows(t, "docs__rejects", "2") {
			rejected = append(rejected, r["key"]+" "+r["column_name"]+" "+r["value"])
		}
		if !slices.Equal(rejected, []string{"3 big text", "3 late no day"}) {
			t.Errorf("%q", rejected)
		}
		if text := rep.Text(); !strings.Contains(text, "new or wider columns: later_x (boolean)") {
			t.Error(text)
		}
	})
}

func same(t *testing.T, what string, got []map[string]string, want ...map[string]string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
