package mirror

import (
	"context"
	"crypto/md5" //nolint:gosec // the databases know it, and nobody wants to fool it here
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	_ "modernc.org/sqlite"

	"firth/test/server"
)

// row is one row of things, whatever keeps it. Every row has the version v of the last change of all, so that a reader who sees two has
// seen half a copy.
type row struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	V    int64  `json:"v"`
}

func digestOf(rows []row) string {
	slices.SortFunc(rows, func(a, b row) int { return int(a.ID - b.ID) })
	var parts []string
	for _, r := range rows {
		parts = append(parts, fmt.Sprintf("%d:%s:%d", r.ID, r.Name, r.V))
	}
	sum := md5.Sum([]byte(strings.Join(parts, ","))) //nolint:gosec // as above
	return fmt.Sprintf("%d %s", len(rows), hex.EncodeToString(sum[:]))
}

// origin is a source that can be changed and read.
type origin interface {
	// change makes all rows those of another version, some with another name; some go and some come. Rows of the log come.
	change(version int64)
	things() []row
	log() []row
	config() (database string, blocks map[string]string) // its entry of databases, and what the blocks of things and log read
}

// originRows are how many rows an origin begins with.
const originRows = 20_000

// sqlOrigin is a database that speaks SQL.
type sqlOrigin struct {
	t     *testing.T
	db    *sql.DB
	entry string
	name  string // of the database in firth.yaml
	from  string // what stands before a table's name
}

// newSQLOrigin makes the tables.
func newSQLOrigin(t *testing.T, db *sql.DB, name, entry, from string) *sqlOrigin {
	o := &sqlOrigin{t: t, db: db, entry: entry, name: name, from: from}
	o.exec("CREATE TABLE things (id bigint PRIMARY KEY, name varchar(100), v integer NOT NULL)")
	o.exec("CREATE TABLE log (id bigint PRIMARY KEY, name varchar(100), v integer NOT NULL)")
	o.exec(fmt.Sprintf("INSERT INTO things WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT 1000 * (a.i - 1) + b.i, 'thing', 0 FROM n AS a, n AS b WHERE a.i <= %d", originRows/1000))
	o.exec("INSERT INTO log SELECT id, 'line', 0 FROM things")
	return o
}

func (o *sqlOrigin) exec(statements ...string) {
	o.t.Helper()
	tx, err := o.db.Begin()
	if err != nil {
		o.t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := tx.Exec(s); err != nil {
			o.t.Fatalf("%s: %s: %v", o.name, s, err)
		}
	}
	if err := tx.Commit(); err != nil {
		o.t.Fatal(err)
	}
}

func (o *sqlOrigin) change(v int64) {
	o.t.Helper()
	o.exec(fmt.Sprintf("UPDATE things SET v = %[1]d, name = CASE WHEN id %% 5 = 0 THEN 'changed %[1]d' ELSE name END", v),
		fmt.Sprintf("DELETE FROM things WHERE id %% 1000 = %d", v%1000),
		fmt.Sprintf("INSERT INTO things SELECT %[1]d * 1000000 + id, 'new', %[1]d FROM log WHERE id <= 50", v),
		fmt.Sprintf("INSERT INTO log SELECT %[1]d * 1000000 + id, 'more', %[1]d FROM log WHERE id <= 500", v))
}

func (o *sqlOrigin) things() []row { return readRows(o.t, o.db, "SELECT id, name, v FROM things") }
func (o *sqlOrigin) log() []row    { return readRows(o.t, o.db, "SELECT id, name, v FROM log") }

func (o *sqlOrigin) config() (string, map[string]string) {
	return o.entry, map[string]string{
		"things": fmt.Sprintf("from: { database: %s, table: %sthings }", o.name, o.from),
		"log":    fmt.Sprintf("from: { database: %s, table: %slog }", o.name, o.from),
	}
}

func readRows(t *testing.T, db *sql.DB, query string) []row {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.ID, &r.Name, &r.V); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// model keeps in memory what an origin that speaks no SQL has.
type model struct {
	rows  map[int64]row
	lines []row
}

func newModel(n int) *model {
	m := &model{rows: map[int64]row{}}
	for i := range int64(n) {
		m.rows[i+1] = row{i + 1, "thing", 0}
		m.lines = append(m.lines, row{i + 1, "line", 0})
	}
	return m
}

func (m *model) step(v int64) (gone []int64) {
	for id, r := range m.rows {
		r.V = v
		if id%5 == 0 {
			r.Name = fmt.Sprintf("changed %d", v)
		}
		m.rows[id] = r
		if id%1000 == v%1000 {
			gone = append(gone, id)
			delete(m.rows, id)
		}
	}
	for i := range int64(50) {
		m.rows[v*1000000+i] = row{v*1000000 + i, "new", v}
	}
	for i := range int64(500) {
		m.lines = append(m.lines, row{v*1000000 + i, "more", v})
	}
	return gone
}

func (m *model) things() (out []row) {
	for _, r := range m.rows {
		out = append(out, r)
	}
	return out
}
func (m *model) log() []row { return slices.Clone(m.lines) }

// execOrigin is a program that prints files.
type execOrigin struct {
	*model
	t   *testing.T
	dir string
}

func newExecOrigin(t *testing.T) *execOrigin {
	o := &execOrigin{model: newModel(originRows), t: t, dir: t.TempDir()}
	o.save()
	return o
}

func (o *execOrigin) change(v int64) {
	o.step(v)
	o.save()
}

// save puts whole files in the place of those there are, so that a program that runs prints one state.
func (o *execOrigin) save() {
	o.t.Helper()
	for name, rows := range map[string][]row{"things": o.things(), "log": o.lines} {
		var text strings.Builder
		for _, r := range rows {
			if err := json.NewEncoder(&text).Encode(r); err != nil {
				o.t.Fatal(err)
			}
		}
		path := filepath.Join(o.dir, name)
		if err := os.WriteFile(path+".new", []byte(text.String()), 0o600); err != nil {
			o.t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			o.t.Fatal(err)
		}
	}
}

func (o *execOrigin) config() (string, map[string]string) {
	return "", map[string]string{
		"things": fmt.Sprintf("from: { exec: [cat, %s] }", filepath.Join(o.dir, "things")),
		"log":    fmt.Sprintf("from: { exec: [cat, %s] }", filepath.Join(o.dir, "log")),
	}
}

// pairOrigin has the ids in MongoDB's protocol and what is known of them in Redis.
type pairOrigin struct {
	*model
	t     *testing.T
	ids   *mongo.Collection
	keys  *redis.Client
	entry string
}

// pairRows are fewer: each is a document and a key.
const pairRows = 3000

func newPairOrigin(t *testing.T) *pairOrigin {
	docs, store := server.MongoJava(t), server.Redis(t)
	database, number := docs.Database(), store.Database()
	o := &pairOrigin{
		model: newModel(pairRows), t: t, ids: docs.Client(database).Collection("things"), keys: store.Client(number),
		entry: fmt.Sprintf("  docs: { type: mongodb, url: %q }\n  store: { type: redis, url: %q }\n", docs.URL(database), store.URL(number)),
	}
	o.save(nil)
	return o
}

func (o *pairOrigin) change(v int64) { o.save(o.step(v)) }

func (o *pairOrigin) save(gone []int64) {
	o.t.Helper()
	ctx := context.Background()
	pipe := o.keys.Pipeline()
	for _, id := range gone {
		pipe.Del(ctx, fmt.Sprintf("thing:%d", id))
	}
	var documents []any
	for id, r := range o.rows {
		pipe.HSet(ctx, fmt.Sprintf("thing:%d", id), "name", r.Name, "v", r.V)
		documents = append(documents, bson.D{{Key: "_id", Value: id}})
	}
	if _, err := pipe.Exec(ctx); err != nil {
		o.t.Fatal(err)
	}
	if err := o.ids.Drop(ctx); err != nil {
		o.t.Fatal(err)
	}
	if _, err := o.ids.InsertMany(ctx, documents); err != nil {
		o.t.Fatal(err)
	}
}

func (o *pairOrigin) config() (string, map[string]string) {
	return o.entry, map[string]string{"things": `list: { database: docs, collection: things, id: _id }
    get: { database: store, hash: "thing:{id}" }
    columns: { name: text, v: integer }`}
}
