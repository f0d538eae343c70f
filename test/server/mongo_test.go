package server

import (
	"crypto/tls"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func TestDocuments(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *Documents{"FerretDB": Ferret, "mongo-java-server": MongoJava} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			if again := start(t); again.Port != d.Port {
				t.Error("the second test has a server of its own")
			}
			if d.Name != name {
				t.Errorf("it is called %s", d.Name)
			}
			c := d.Client(d.Database()).Collection("people")
			if _, err := c.InsertMany(t.Context(), []any{bson.D{{Key: "_id", Value: 1}}, bson.D{{Key: "_id", Value: "x"}}}); err != nil {
				t.Fatal(err)
			}
			if n, err := c.EstimatedDocumentCount(t.Context()); err != nil || n != 2 {
				t.Errorf("%d documents, %v", n, err)
			}
			other := d.Client(d.Database()).Collection("people")
			if n, err := other.EstimatedDocumentCount(t.Context()); err != nil || n != 0 {
				t.Errorf("%d documents in another test's database, %v", n, err)
			}
		})
	}
}

func TestDocumentsStopAndStart(t *testing.T) {
	d := OwnMongoJava(t)
	c := d.Client("x").Collection("people")
	d.Stop()
	if err := c.FindOne(t.Context(), bson.D{}, options.FindOne()).Err(); err == nil {
		t.Error("a stopped server answers")
	}
	d.Start()
	if n, err := c.EstimatedDocumentCount(t.Context()); err != nil || n != 0 {
		t.Errorf("%d documents after the restart, %v", n, err)
	}
}

func TestFerretTLS(t *testing.T) {
	d := FerretTLS(t, "")
	conn, err := tls.Dial("tcp", d.Addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if names := conn.ConnectionState().PeerCertificates[0].IPAddresses; len(names) != 1 || names[0].String() != d.Host {
		t.Errorf("the certificate is for %v", names)
	}
}
