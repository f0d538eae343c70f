package mongo

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"firth/internal/source"
	"firth/internal/source/sourcetest"
	"firth/test/server"
)

// both are the two servers, each of which stands for MongoDB in what it can do.
func both(t *testing.T, run func(t *testing.T, d *server.Documents)) {
	t.Helper()
	for _, s := range []struct {
		name  string
		start func(testing.TB) *server.Documents
	}{{"FerretDB", server.Ferret}, {"mongo-java-server", server.MongoJava}} {
		t.Run(s.name, func(t *testing.T) { run(t, s.start(t)) })
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, d *server.Documents) {
		database := d.Database()
		proxy := server.Fault(t, d.Addr())
		c := d.Client(database).Collection("people")
		sourcetest.Documents(t, sourcetest.Stand{
			Fill: func(t *testing.T, people []sourcetest.Person) {
				var docs []any
				for _, p := range people {
					doc := bson.D{{Key: "id", Value: p.ID}, {Key: "name", Value: p.Name}}
					if p.Age != 0 {
						doc = append(doc, bson.E{Key: "age", Value: p.Age})
					}
					docs = append(docs, doc)
				}
				fill(t, c, docs...)
			},
			Open: func(t *testing.T, spec source.Spec, _ bool) sourcetest.Source {
				spec.Collection = "people"
				return open(t, d.URL(database), spec)
			},
			Missing: func(t *testing.T) sourcetest.Source {
				return open(t, d.URL(database), source.Spec{Collection: "peple"})
			},
			Cut: func(_ *testing.T, _ int64) { proxy.CutAfter(900) }, // what a client sends is short
			OpenCut: func(t *testing.T, spec source.Spec) sourcetest.Source {
				spec.Collection = "people"
				return open(t, "mongodb://"+proxy.Addr+"/"+database+"?serverSelectionTimeoutMS=3000", spec)
			},
			Lacks: []string{"snapshot"},
		})
		if proxy.Cuts() != 1 {
			t.Errorf("the connection was cut %d times", proxy.Cuts())
		}
	})
}

func open(t testing.TB, url string, spec source.Spec) *Table {
	t.Helper()
	table, err := Open(t.Context(), url, spec, source.Options{Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = table.Close() }) // the test may have closed it
	return table
}

// fill makes a collection anew.
func fill(t testing.TB, c *mongo.Collection, docs ...any) {
	t.Helper()
	if err := c.Drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Database().CreateCollection(t.Context(), c.Name()); err != nil {
		t.Fatal(err)
	}
	for len(docs) > 0 {
		n := min(len(docs), 1000)
		if _, err := c.InsertMany(t.Context(), docs[:n]); err != nil {
			t.Fatal(err)
		}
		docs = docs[n:]
	}
}
