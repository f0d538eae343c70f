package mirror_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/mirror"
	"firth/test/peer"
	"firth/test/server"
)

// order is a document with arrays: the numbers are the amounts of its items.
func order(t *testing.T, id, at int, amounts ...any) bson.Raw {
	items := bson.A{}
	for i, a := range amounts {
		items = append(items, bson.D{{Key: "sku", Value: fmt.Sprintf("s%d", i)}, {Key: "n", Value: a}})
	}
	return rawDoc(t, bson.E{Key: "_id", Value: int32(id)}, bson.E{Key: "at", Value: int64(at)}, bson.E{Key: "items", Value: items})
}

// lines are the rows of a table in short.
func (s *sink) lines(t *testing.T, table string, columns ...string) []string {
	t.Helper()
	var out []string
	for _, r := range s.rows(t, table, "1, 2") {
		var parts []string
		for _, c := range columns {
			parts = append(parts, r[c])
		}
		out = append(out, strings.Join(parts, " "))
	}
	return out
}

func (s *sink) want(t *testing.T, table string, columns []string, want ...string) {
	t.Helper()
	if got := s.lines(t, table, columns...); !slices.Equal(got, want) {
		t.Errorf("%s:\n%q\nwanted\n%q", table, got, want)
	}
}

var itemColumns = []string{"_parent", "_ordinal", "sku", "n"}

// TestArraysBecomeTables in every mode, with arrays that change, empty, and vanish with their documents.
func TestArraysBecomeTables(t *testing.T) {
	p := peer.Start(t)
	eachSink(t, func(t *testing.T, s *sink) {
		docs := map[int]bson.Raw{}
		copied := func(c mirror.Config, change func()) *mirror.Report {
			t.Helper()
			change()
			var list []bson.Raw
			for _, d := range docs {
				list = append(list, d)
			}
			slices.SortFunc(list, func(a, b bson.Raw) int { return peer.Compare(a.Lookup("_id"), b.Lookup("_id")) })
			p.Put("orders", "collection", list...)
			c.Tables = []string{"items", "tags"}
			return run(t, s.mirror(p.URL("app", nil), "orders", c))
		}
		whole := mirror.Config{Mode: mirror.ModeReplace}
		copied(whole, func() {
			docs[1], docs[2], docs[3] = order(t, 1, 1, int32(5), int32(6)), order(t, 2, 2), order(t, 3, 3, int32(8), int32(7))
		})
		s.want(t, "docs", []string{"_id", "at", "items"}, "1 1 ", "2 2 ", "3 3 ")
		s.want(t, "docs__items", itemColumns, "1 1 s0 5", "1 2 s1 6", "3 1 s0 8", "3 2 s1 7")
		copied(whole, func() {
			delete(docs, 3)
			docs[2] = order(t, 2, 2, int32(1))
		})
		s.want(t, "docs__items", itemColumns, "1 1 s0 5", "1 2 s1 6", "2 1 s0 1")

		by := mirror.Config{Mode: mirror.ModeUpsert, Key: []string{"_id"}, Cursor: "at", Late: &mirror.Late{Count: 1}, DeleteMissing: true, MaxDelete: 1}
		copied(by, func() {})
		rep := copied(by, func() {
			delete(docs, 2)
			docs[1], docs[4] = order(t, 1, 10, 6.5), order(t, 4, 11, int32(1), int32(9))
		})
		s.want(t, "docs", []string{"_id", "at"}, "1 10", "4 11")
		s.want(t, "docs__items", itemColumns, "1 1 s0 6.5", "4 1 s0 1", "4 2 s1 9")
		if !strings.Contains(rep.Text(), "docs__items: 3 rows of arrays") {
			t.Error(rep.Text())
		}
		copied(by, func() {
			docs[4] = rawDoc(t, bson.E{Key: "_id", Value: int32(4)}, bson.E{Key: "at", Value: int64(12)}, bson.E{Key: "items", Value: bson.A{}}, bson.E{Key: "tags", Value: bson.A{"x", nil, int32(1)}})
		})
		s.want(t, "docs__items", itemColumns, "1 1 s0 6.5")
		s.want(t, "docs__tags", []string{"_parent", "_ordinal", "value"}, "4 1 x", "4 2 ", "4 3 1")
		copied(by, func() { docs[5] = order(t, 5, 20, "text", true) })
		s.want(t, "docs__items", itemColumns, "1 1 s0 6.5", "5 1 s0 ", "5 2 s1 ")
		s.want(t, "docs__items__rejects", []string{"key", "column_name", "value"}, "5 n text", "5 n true")
		copied(by, func() { docs[5] = order(t, 5, 21, 1.5) })
		s.want(t, "docs__items__rejects", []string{"key", "column_name", "value"})

		more := mirror.Config{Mode: mirror.ModeAppend, Cursor: "at", Late: &mirror.Late{Count: 1}}
		copied(more, func() {})
		copied(more, func() { docs[6] = order(t, 6, 30, int32(3)) })
		copied(more, func() { docs[7] = order(t, 7, 30, int32(4)) })
		s.want(t, "docs__items", itemColumns, "1 1 s0 6.5", "5 1 s0 1.5", "6 1 s0 3", "7 1 s0 4")
		plain := s.mirror(p.URL("app", nil), "orders", mirror.Config{Mode: mirror.ModeReplace})
		if rep := run(t, plain); !strings.Contains(rep.Text(), "the table of items is no longer written") {
			t.Error(rep.Text())
		}
	})
}

// TestDocumentsOfServers copies what real servers hold of documents, with arrays as tables, and again when they have changed.
func TestDocumentsOfServers(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *server.Documents{"ferret": server.Ferret, "java": server.MongoJava} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			database := d.Database()
			c := d.Client(database).Collection("orders")
			large := strings.Repeat("ä", 1<<20)
			var many bson.D
			for i := range 5000 {
				many = append(many, bson.E{Key: fmt.Sprintf("f%d", i), Value: int32(i)})
			}
			_, err := c.InsertMany(t.Context(), []any{
				bson.D{{Key: "_id", Value: int32(1)}, {Key: "items", Value: bson.A{bson.D{{Key: "n", Value: int32(1)}}, bson.D{{Key: "n", Value: 1.5}, {Key: "tags", Value: bson.A{"a", "b"}}}}}, {Key: "e", Value: bson.D{}}},
				bson.D{{Key: "_id", Value: "two"}, {Key: "items", Value: bson.A{}}, {Key: "text", Value: large}},
				bson.D{{Key: "_id", Value: 2.5}, {Key: "items", Value: bson.A{int32(3), nil}}, {Key: "many", Value: many}},
			})
			if err != nil {
				t.Fatal(err)
			}
			copied := func(t *testing.T, s *sink) {
				url := d.URL(database)
				run(t, s.mirror(url, "orders", mirror.Config{Mode: mirror.ModeReplace, Tables: []string{"items"}}))
				tags := map[string]string{"duckdb": `["a","b"]`, "postgres": "{a,b}", "mysql": `["a","b"]`}[s.name]
				s.want(t, "docs__items", []string{"_parent", "_ordinal", "n", "value", "tags"}, "1 1 1  ", "1 2 1.5  "+tags, "2.5 1  3 ", "2.5 2   ")
				rows := s.rows(t, "docs", "1")
				if len(rows) != 3 || rows[0]["_id"] != "1" || rows[0]["e"] != "{}" || rows[1]["_id"] != "2.5" || !strings.Contains(rows[2]["text"]+rows[2]["_extra"], large) {
					t.Errorf("%d rows, %q %q", len(rows), rows[0]["_id"], rows[0]["e"])
				}
				var fields, rest int
				for column := range rows[1] {
					if strings.HasPrefix(column, "many_f") {
						fields++
					}
				}
				rest = strings.Count(rows[1]["_extra"], `"many.f`)
				if fields+rest != 5000 || len(rows[1]) > 1000 {
					t.Errorf("%d fields are columns, %d more are in _extra", fields, rest)
				}
			}
			if name == "java" {
				eachSink(t, copied)
				return
			}
			s := duckSink(t) // the others are the same, whatever the source
			s.name = "duckdb"
			copied(t, s)
		})
	}
}
