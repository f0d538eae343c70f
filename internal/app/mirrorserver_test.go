package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/config"
	"firth/test/server"
)

// The example of the documentation, on real servers: a table whose ids are listed in one database and whose columns come from another,
// and a copied table, into the embedded warehouse and into PostgreSQL.
func TestTheDocumentedMirrorsOnRealServers(t *testing.T) {
	pg, keys, docs := server.Postgres(t, "18"), server.Redis(t), server.MongoJava(t)
	users, app, db := pg.Database(), docs.Database(), keys.Database()
	into, target := pg.Loader()
	pg.Exec(users, "CREATE TABLE companyperson (person_uuid uuid PRIMARY KEY, company_uuid uuid, role_in_company text, email text)",
		"INSERT INTO companyperson SELECT gen_random_uuid(), gen_random_uuid(), 'administrator', 'ana@example.com' FROM generate_series(1, 100)")
	name, password := pg.Role(users, "", "GRANT SELECT ON companyperson TO %s")
	for i := range 20 {
		if _, err := docs.Client(app).Collection("projects").InsertOne(t.Context(), bson.D{{Key: "_id", Value: fmt.Sprintf("p%d", i)}, {Key: "deleted", Value: i >= 10}, {Key: "name", Value: "a project"}}); err != nil {
			t.Fatal(err)
		}
		if err := keys.Client(db).HSet(t.Context(), fmt.Sprintf("project:p%d:usage", i), "calls_this_month", i*10, "calls_last_month", "7").Err(); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "firth.yaml")
	text := `
data: ` + filepath.Join(dir, "data") + `
listen: 127.0.0.1:0
warehouses: { pg: { type: postgres, url: "` + into + `" } }
databases:
  app:   { type: mongodb,  url: "` + docs.URL(app) + `" }
  usage: { type: redis,    url: "` + keys.URL(db) + `" }
  users: { type: postgres, url: "` + pg.URL(name, password, users) + `" }
mirrors:
  project_usage:
    into: { warehouse: local, schema: app }
    list: { database: app, collection: projects, filter: {deleted: false}, id: _id, every: 8h }
    get:  { database: usage, hash: "project:{id}:usage", every: 30m }
    columns: { calls_this_month: integer, calls_last_month: integer }
  companyperson:
    from: { database: users, table: public.companyperson, columns: [person_uuid, company_uuid, role_in_company] }
    into: { schema: userdata }
    mode: replace
    every: 15m
  people:
    from: { database: users, table: companyperson, columns: [person_uuid, { name: email, mask: hash }] }
    into: { warehouse: pg, schema: copied, table: People }
    mode: upsert
    key: person_uuid
    salt: salt
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Check(t.Context(), CheckOptions{Config: path, Output: "text", Stdout: &out}); err != nil {
		t.Errorf("check: %v\n%s", err, out.String())
	}
	out.Reset()
	if err := Sync(t.Context(), SyncOptions{Config: path, Output: "text", Stdout: &out, Stderr: &bytes.Buffer{}}); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	cfg, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	checkCopied(t, cfg, pg, target)
	for collection, want := range map[[2]string]string{{"app", "projects"}: "deleted", {"usage", "project:{id}:usage"}: "calls_this_month", {"users", "companyperson"}: "uuid"} {
		out.Reset()
		if err := Infer(t.Context(), InferOptions{Database: collection[0], Collection: collection[1], Format: "table", Sample: 5, Config: path, Stdout: &out, Stderr: &bytes.Buffer{}}); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("infer %s: %v\n%s", collection, err, out.String())
		}
	}
}

func checkCopied(t *testing.T, cfg *config.Config, pg *server.PG, target string) {
	t.Helper()
	w, stop := serving(t, cfg, folders{cfg.Data}, serverKinds())
	defer stop()
	eventually(t, func() bool { return w.answer.Load() != nil })
	var ids, calls, columns, people int
	db := w.answer.Load().db.SQL()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*), sum(calls_this_month) + sum(calls_last_month) FROM app.project_usage").Scan(&ids, &calls); err != nil || ids != 10 || calls != 450+70 {
		t.Errorf("%d ids, %d calls: %v", ids, calls, err)
	}
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM userdata.companyperson").Scan(&people); err != nil || people != 100 {
		t.Errorf("%d people: %v", people, err)
	}
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM duckdb_columns() WHERE table_name = 'companyperson'").Scan(&columns); err != nil || columns != 3 {
		t.Errorf("%d columns: %v", columns, err)
	}
	conn := pg.Connect(target)
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM copied.people WHERE email ~ '^[0-9a-f]{64}$'").Scan(&people); err != nil || people != 100 {
		t.Errorf("%d people in PostgreSQL: %v", people, err)
	}
}
