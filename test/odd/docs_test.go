package odd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/source/exec"
	"firth/internal/source/mongo"
	"firth/internal/source/redis"
	"firth/test/peer"
	"firth/test/server"
)

// told is a value of a document and its text.
type told struct {
	value any
	text  string
}

// field is a field of documents: one value a document.
type field struct {
	name, class string
	values      []told
}

const null = "\x00" // the text of what is NULL

func decimal128(s string) bson.Decimal128 {
	d, err := bson.ParseDecimal128(s)
	if err != nil {
		panic(err)
	}
	return d
}

func millis(n int64) bson.DateTime { return bson.DateTime(n) }

// mongoFields are values of every BSON type; java are those that mongo-java-server keeps.
func mongoFields(java bool) (out []field) {
	id, _ := bson.ObjectIDFromHex("65a1b2c3d4e5f60718293a4b")
	uuid := []byte("\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff")
	at := time.Date(2024, 2, 29, 12, 30, 0, 123e6, time.UTC)
	out = []field{
		{"whole32", "number", []told{{int32(math.MinInt32), "-2147483648"}, {int32(math.MaxInt32), "2147483647"}, {nil, null}}},
		{"whole64", "number", []told{{int64(math.MinInt64), "-9223372036854775808"}, {int64(1<<53 + 1), "9007199254740993"}, {int64(math.MaxInt64), "9223372036854775807"}}},
		{"float", "float", []told{{0.1, "0.1"}, {5e-324, "5e-324"}, {1.7976931348623157e308, "1.7976931348623157e308"}, {math.Copysign(0, -1), "-0"}}},
		{"odd_float", "float", []told{{0.5, "0.5"}, {math.NaN(), "NaN"}, {math.Inf(1), "Infinity"}, {math.Inf(-1), "-Infinity"}}},
		{"mixed_number", "number", []told{{int32(1), "1"}, {2.5, "2.5"}, {int64(1 << 40), "1099511627776"}}},
		{"mixed_exact", "number", []told{{int64(1<<53 + 1), "9007199254740993"}, {2.5, "2.5"}}},
		{"mixed", "text", []told{{int32(1), "1"}, {"x", "x"}, {true, "true"}}},
		{"text", "text", []told{{"", ""}, {"a'b\\c\"d|\n\t", "a'b\\c\"d|\n\t"}, {"Zürich 東京 🌊", "Zürich 東京 🌊"}, {"a ", "a "}, {strings.Repeat("ü", 100_000), strings.Repeat("ü", 100_000)}}},
		{"flag", "boolean", []told{{true, "true"}, {false, "false"}}},
		{"oid", "text", []told{{id, "65a1b2c3d4e5f60718293a4b"}}},
		{"at", "time", []told{{bson.NewDateTimeFromTime(at), "2024-02-29 12:30:00.123+00"}, {millis(-1), "1969-12-31 23:59:59.999+00"}, {millis(-62135596800000), "0001-01-01 00:00:00+00"}}},
		{"uuid", "text", []told{{bson.Binary{Subtype: 4, Data: uuid}, "00112233-4455-6677-8899-aabbccddeeff"}}},
		{"bytes", "bytes", []told{{bson.Binary{Data: []byte{0xff, 0}}, "ff00"}, {bson.Binary{Data: []byte{}}, ""}}},
		{"tags", "list", []told{{bson.A{"a", "b\"c", nil}, `["a","b\"c",null]`}, {bson.A{}, `[]`}}},
		{"numbers", "list", []told{{bson.A{int64(1), int64(1<<53 + 1)}, `[1,9007199254740993]`}}},
		{"things", "json", []told{{bson.A{bson.D{{Key: "b", Value: int32(1)}, {Key: "a", Value: "x"}}, int32(2)}, `[{"b":1,"a":"x"},2]`}}},
		{"empty", "json", []told{{bson.D{}, `{}`}}},
	}
	if java {
		return out
	}
	return append(out,
		field{"far", "time", []told{{millis(math.MaxInt64), `{"$date":{"$numberLong":"9223372036854775807"}}`}, {millis(math.MinInt64), `{"$date":{"$numberLong":"-9223372036854775808"}}`}, {millis(253402300800000), "10000-01-01 00:00:00+00"}}},
		field{"exact", "number", []told{{decimal128("12.34"), "12.34"}, {decimal128("-0.05"), "-0.05"}, {decimal128("NaN"), "NaN"}, {decimal128("Infinity"), "Infinity"}}},
		field{"large", "number", []told{{decimal128("9.999999999999999999999999999999999E+6144"), "9.999999999999999999999999999999999E+6144"}, {decimal128("1E-6176"), "1E-6176"}}},
		field{"digits", "number", []told{{decimal128("1234567890123456789012345678901234"), "1234567890123456789012345678901234"}}},
		field{"zero", "text", []told{{"a\x00b", "a\x00b"}, {"c", "c"}}},
		field{"stamp", "time", []told{{bson.Timestamp{T: 1709210096, I: 7}, "2024-02-29 12:34:56+00"}, {bson.Timestamp{T: math.MaxUint32, I: math.MaxUint32}, "2106-02-07 06:28:15+00"}}},
		field{"pattern", "text", []told{{bson.Regex{Pattern: "a^$", Options: "im"}, `{"$regularExpression":{"pattern":"a^$","options":"im"}}`}}},
		field{"code", "text", []told{{bson.JavaScript("x"), `{"$code":"x"}`}}},
		field{"symbol", "text", []told{{bson.Symbol("x"), `{"$symbol":"x"}`}}},
		field{"least", "text", []told{{bson.MinKey{}, null}, {bson.MaxKey{}, null}, {bson.Undefined{}, null}, {"x", "x"}}},
		field{"inner", "json", []told{{bson.A{bson.D{{Key: "l", Value: int64(1<<53 + 1)}, {Key: "d", Value: decimal128("1.10")}, {Key: "n", Value: bson.MinKey{}}}},
			`[{"l":"9007199254740993","d":"1.10","n":{"$minKey":1}}]`}}},
	)
}

func gridOf(fields []field) (g *grid, docs []map[string]any) {
	g, rows := &grid{}, 0
	for _, f := range fields {
		rows = max(rows, len(f.values))
	}
	for range rows + 1 {
		docs = append(docs, map[string]any{})
	}
	for _, f := range fields {
		c := gridColumn{name: f.name, about: f.name, class: f.class, cells: make([]*string, rows+1)}
		for i := range f.values {
			docs[i][f.name] = f.values[i].value
			if f.values[i].text != null {
				c.cells[i] = &f.values[i].text
			}
		}
		g.columns = append(g.columns, c)
	}
	return g, docs
}

func mongoGrid(t *testing.T, java bool) *grid {
	g, docs := gridOf(mongoFields(java))
	p := peer.Start(t)
	url := p.URL("app", nil)
	var raws []bson.Raw
	for i, d := range docs {
		doc := bson.D{{Key: "_id", Value: int32(i + 1)}, {Key: "id", Value: int32(i + 1)}}
		for _, c := range g.columns {
			if v, ok := d[c.name]; ok {
				doc = append(doc, bson.E{Key: c.name, Value: v})
			}
		}
		raw, err := bson.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		raws = append(raws, raw)
	}
	if java {
		s := server.MongoJava(t)
		name := s.Database()
		url = s.URL(name)
		for _, r := range raws {
			if _, err := s.Client(name).Collection("m").InsertOne(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.Put("m", "collection", raws...)
	g.from = func(ctx context.Context) (mirror.Source, error) {
		return mongo.Open(ctx, url, source.Spec{Collection: "m"}, source.Options{Name: "source"})
	}
	return g
}

func execGrid(t *testing.T) *grid {
	raw := func(texts ...string) (out []told) {
		for _, s := range texts {
			out = append(out, told{json.RawMessage(s), s})
		}
		return out
	}
	g, docs := gridOf([]field{
		{"n", "number", raw("9223372036854775807", "-9223372036854775808", "0")},
		{"beyond", "number", raw("9223372036854775808", "12345678901234567890123456789012345678901234567890", "-1")},
		{"exact", "number", raw("0.1", "12345678901234567.89", "1e-30", "1E400")},
		{"small", "number", raw("1", "0.10", "-0.0")},
		{"flag", "boolean", raw("true", "false")},
		{"text", "text", []told{{"a\"b\\c", "a\"b\\c"}, {"", ""}, {"2024-02-29", "2024-02-29"}, {"a\x00b", "a\x00b"}, {"e\u0301", "e\u0301"}}},
		{"mixed", "text", []told{{1, "1"}, {"x", "x"}, {nil, null}}},
		{"twice", "json", []told{{json.RawMessage(`[{"a":1,"a":2.5}]`), `[{"a":1,"a":2.5}]`}}},
		{"list", "list", raw("[1,2]", "[]", "[9007199254740993]")},
	})
	var text strings.Builder
	for i, d := range docs {
		d["id"] = i + 1
		line, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	file := filepath.Join(t.TempDir(), "lines.json")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	g.from = func(ctx context.Context) (mirror.Source, error) {
		return exec.Open(ctx, "", source.Spec{Exec: []string{"/bin/cat", file}}, source.Options{Name: "source"})
	}
	return g
}

func redisGrid(t *testing.T) *grid {
	same := func(texts ...string) (out []told) {
		for _, s := range texts {
			out = append(out, told{s, s})
		}
		return out
	}
	g, docs := gridOf([]field{
		{"counter", "number", same("42", "9223372036854775807", "-9223372036854775808")},
		{"beyond", "number", same("9223372036854775808", "-9223372036854775809", "7")},
		{"exact", "number", same("1.10", "0.1234567890123456789", "3")},
		{"float", "float", same("3.25", "0.3333333333333333")},
		{"padded", "text", same("007", "+1", "-0", " 1", "0x10", "1.", "nan", "1e999999999")},
		{"text", "text", same("", "grüß", "a'b\\c\"d", "a\x00b", "a ")},
		{"bytes", "bytes", []told{{"\xff\x00\x01", "ff0001"}, {"\xfe", "fe"}}},
	})
	keys := server.OwnRedis(t)
	client := keys.Client(0)
	for i, d := range docs {
		values := []any{"there", "1"}
		for k, v := range d {
			values = append(values, k, v)
		}
		if err := client.HSet(t.Context(), fmt.Sprintf("m:%d", i+1), values...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	open := func(spec source.Spec) func(context.Context) (mirror.Source, error) {
		return func(ctx context.Context) (mirror.Source, error) {
			return redis.Open(ctx, keys.URL(0), spec, source.Options{Name: "source"})
		}
	}
	g.list, g.get = open(source.Spec{Keys: "m:{id}"}), open(source.Spec{Hash: "m:{id}"})
	return g
}

// TestOddValuesOfDocuments does the same with sources of documents, whose columns are inferred.
func TestOddValuesOfDocuments(t *testing.T) {
	for name, of := range map[string]func(*testing.T) *grid{
		"mongo": func(t *testing.T) *grid { return mongoGrid(t, false) }, "mongo java server": func(t *testing.T) *grid { return mongoGrid(t, true) },
		"exec": execGrid, "redis": redisGrid,
	} {
		t.Run(name, func(t *testing.T) {
			g := of(t)
			for _, b := range basins(t) {
				t.Run(b.name, func(t *testing.T) {
					c := mirror.Config{Mode: mirror.ModeReplace, Key: []string{"id"}}
					if g.from == nil {
						c = mirror.Config{Missing: mirror.MissingNull}
					}
					b.carry(t, g, c)
					b.compare(t, g)
					if g.from != nil {
						c = mirror.Config{Mode: mirror.ModeUpsert, Key: []string{"id"}, DeleteMissing: true}
					}
					rep := b.carry(t, g, c)
					if rep.Inserted+rep.Updated+rep.Deleted > 0 {
						t.Errorf("nothing has changed: %s", rep.Text())
					}
					b.compare(t, g)
				})
			}
		})
	}
}
