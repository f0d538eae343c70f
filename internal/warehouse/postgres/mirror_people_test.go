package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"firth/internal/vector"
	"firth/internal/warehouse"
	"firth/internal/warehouse/postgres"
	"firth/test/server"
)

var mirrored = warehouse.MirrorTable{Name: "people", Schema: "company", Table: "people"}

func mirrorColumns() []vector.Column {
	return []vector.Column{{Name: "id", Type: vector.Type{Kind: vector.Int, Bits: 64}}, {Name: "name", Type: vector.Type{Kind: vector.Text}}}
}

// mirrorRows stages rows of id and name, and publishes them.
func mirrorRows(t *testing.T, m *postgres.Mirrors, p *warehouse.Publication, ids ...int) (*warehouse.Published, error) {
	t.Helper()
	s, err := m.Stage(t.Context(), mirrored, warehouse.StageOptions{Run: "run", Columns: mirrorColumns(), Key: p.Key})
	if err != nil {
		return nil, err
	}
	c := vector.NewChunk(mirrorColumns())
	for _, id := range ids {
		c.Vectors[0].AppendNum(int64(id))
		c.Vectors[1].AppendString(fmt.Sprint("name ", id))
		c.Rows++
	}
	if _, err := s.Write(t.Context(), c, nil); err != nil {
		return nil, err
	}
	p.At = time.Now()
	return s.Publish(t.Context(), p)
}

func mustMirror(t *testing.T, m *postgres.Mirrors, p *warehouse.Publication, ids ...int) *warehouse.Published {
	t.Helper()
	out, err := mirrorRows(t, m, p, ids...)
	if err != nil {
		t.Fatalf("%v (%s)", err, warehouse.HintOf(err))
	}
	return out
}

func mirrorTexts(t *testing.T, conn *pgx.Conn, query string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

func wantTexts(t *testing.T, conn *pgx.Conn, query string, want ...string) {
	t.Helper()
	if got := mirrorTexts(t, conn, query); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", query, got, want)
	}
}

// TestMirrorKeepsWhatPeopleMade replaces tables with all kinds of things on them.
func TestMirrorKeepsWhatPeopleMade(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := fresh(t, pg)
	m, owner, admin := openMirrors(t, url), connect(t, url), pg.Connect(database)
	replace := &warehouse.Publication{Mode: warehouse.PublishReplace}
	mustMirror(t, m, replace, 1, 2, 3)
	do := func(conn *pgx.Conn, statements ...string) {
		t.Helper()
		for _, s := range statements {
			if _, err := conn.Exec(t.Context(), s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	reader, _ := pg.Role(database, "")
	do(owner, "GRANT USAGE ON SCHEMA company TO "+reader, "GRANT SELECT ON company.people TO "+reader, "GRANT UPDATE (name) ON company.people TO "+reader,
		"COMMENT ON TABLE company.people IS 'it''s ours'", "COMMENT ON COLUMN company.people.name IS 'the name'",
		`CREATE UNIQUE INDEX "odd ON name" ON company.people (id)`, "CREATE INDEX lowered ON company.people (lower(name)) WHERE id > 1")
	oid := mirrorTexts(t, admin, "SELECT 'company.people'::regclass::oid::text")
	mustMirror(t, m, replace, 2, 3, 4)
	kept := func() {
		t.Helper()
		wantTexts(t, admin, "SELECT has_table_privilege('"+reader+"', 'company.people', 'SELECT')::text || has_column_privilege('"+reader+"', 'company.people', 'name', 'UPDATE')::text", "truetrue")
		wantTexts(t, admin, "SELECT obj_description('company.people'::regclass) || ', ' || col_description('company.people'::regclass, 2)", "it's ours, the name")
		wantTexts(t, admin, "SELECT indexdef FROM pg_indexes WHERE schemaname = 'company' AND tablename = 'people' AND indexname NOT LIKE '%firth%' AND indexname <> 'people_pkey' ORDER BY indexname",
			"CREATE INDEX lowered ON company.people USING btree (lower(name)) WHERE (id > 1)", `CREATE UNIQUE INDEX "odd ON name" ON company.people USING btree (id)`)
	}
	kept()
	wantTexts(t, admin, "SELECT id::text FROM company.people ORDER BY id", "2", "3", "4")
	if now := mirrorTexts(t, admin, "SELECT 'company.people'::regclass::oid::text"); slices.Equal(now, oid) {
		t.Error("the table was filled again where it could be swapped")
	}
	if _, err := mirrorRows(t, m, replace, 7, 7); err == nil || !strings.Contains(warehouse.HintOf(err), "DROP INDEX") {
		t.Errorf("rows that a unique index refuses: %v, hint %q", err, warehouse.HintOf(err))
	}
	// From here on the table must stay the same one.
	do(owner, "ALTER TABLE company.people ADD PRIMARY KEY (id)", "CREATE TABLE company.orders (id int, person bigint REFERENCES company.people ON DELETE CASCADE)", "INSERT INTO company.orders VALUES (1, 3), (2, 4)",
		"CREATE VIEW company.names AS SELECT name FROM company.people", "CREATE MATERIALIZED VIEW company.kept AS SELECT * FROM company.people")
	oid = mirrorTexts(t, admin, "SELECT 'company.people'::regclass::oid::text")
	got := mustMirror(t, m, replace, 3, 4, 5)
	if got.Inserted != 1 || got.Deleted != 1 || got.Unchanged != 2 {
		t.Errorf("%+v", got)
	}
	kept()
	wantTexts(t, admin, "SELECT 'company.people'::regclass::oid::text", oid...)
	wantTexts(t, admin, "SELECT id::text FROM company.orders ORDER BY id", "1", "2")
	wantTexts(t, admin, "SELECT name FROM company.names ORDER BY name", "name 3", "name 4", "name 5")
	wantTexts(t, admin, "SELECT relname::text FROM pg_class WHERE relname LIKE '\\_firth%' AND relkind = 'r'")
}

// TestMirrorWidensUnderViews: a column with a view on it gets a wider type.
func TestMirrorWidensUnderViews(t *testing.T) {
	t.Parallel()
	url, _ := fresh(t, server.Postgres(t, "15"))
	m, owner := openMirrors(t, url), connect(t, url)
	p := &warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, At: time.Now()}
	for i, typ := range []vector.Type{{Kind: vector.Int, Bits: 32}, {Kind: vector.Decimal, Width: 12, Scale: 2}} {
		columns := []vector.Column{mirrorColumns()[0], {Name: "n", Type: typ}}
		s, err := m.Stage(t.Context(), mirrored, warehouse.StageOptions{Run: fmt.Sprint(i), Columns: columns, Key: p.Key})
		if err != nil {
			t.Fatal(err)
		}
		c := vector.NewChunk(columns)
		c.Vectors[0].AppendNum(int64(i))
		if i == 0 {
			c.Vectors[1].AppendNum(7)
		} else {
			c.Vectors[1].AppendString("1.25")
		}
		c.Rows = 1
		if _, err := s.Write(t.Context(), c, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Publish(t.Context(), p); err != nil {
			t.Fatalf("%v (%s)", err, warehouse.HintOf(err))
		}
		if i == 0 {
			if _, err := owner.Exec(t.Context(), "CREATE VIEW company.doubled AS SELECT n * 2 AS n FROM company.people"); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantTexts(t, owner, "SELECT n::text FROM company.doubled ORDER BY 1", "14.00", "2.50")
}

// TestMirrorWaitsShortly: a reader that holds the table keeps a swap waiting, and nobody else behind it for long.
func TestMirrorWaitsShortly(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := fresh(t, pg)
	m, holder, other := openMirrors(t, url), pg.Connect(database), pg.Connect(database)
	p := &warehouse.Publication{Mode: warehouse.PublishReplace}
	mustMirror(t, m, p, 1)
	if _, err := holder.Exec(t.Context(), "BEGIN; SELECT * FROM company.people"); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := mirrorRows(t, m, p, 2)
		done <- err
	}()
	waitFor(t, func() bool {
		return len(mirrorTexts(t, other, "SELECT pid::text FROM pg_locks WHERE NOT granted AND relation = 'company.people'::regclass")) > 0
	})
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	var id int
	if err := other.QueryRow(ctx, "SELECT id FROM company.people").Scan(&id); err != nil || id != 1 {
		t.Errorf("a reader behind the swap: %d, %v", id, err)
	}
	if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil && warehouse.KindOf(err) != warehouse.Busy {
		t.Error(err)
	}
}

// TestMirrorRaw passes rows through as another table has them.
func TestMirrorRaw(t *testing.T) {
	t.Parallel()
	url, _ := fresh(t, server.Postgres(t, "15"))
	m, conn := openMirrors(t, url), connect(t, url)
	const from = `SELECT i::bigint AS id, 'n' || i AS name, ('{"a": ' || i || '}')::jsonb AS doc, ARRAY[i, NULL]::int[] AS list, (i / 3.0)::numeric AS d FROM generate_series(1, 5000) AS i`
	integer := vector.Type{Kind: vector.Int, Bits: 32}
	columns := append(mirrorColumns(), vector.Column{Name: "doc", Type: vector.Type{Kind: vector.JSON}, Source: "jsonb"}, vector.Column{Name: "list", Type: vector.Type{Kind: vector.List, Elem: &integer}},
		vector.Column{Name: "d", Type: vector.Type{Kind: vector.Decimal}})
	s, err := m.Stage(t.Context(), mirrored, warehouse.StageOptions{Run: "raw", Columns: columns, Key: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, c := range columns {
		types = append(types, s.RawType(c))
	}
	if want := []string{"bigint", "text", "jsonb", "integer[]", "numeric"}; !slices.Equal(types, want) {
		t.Errorf("types %q", types)
	}
	var b bytes.Buffer
	if _, err := conn.PgConn().CopyTo(t.Context(), &b, "COPY ("+from+") TO STDOUT BINARY"); err != nil {
		t.Fatal(err)
	}
	names := []string{"id", "name", "doc", "list", "d"}
	cut := bytes.NewReader(b.Bytes()[:b.Len()/2])
	if _, err := s.WriteRaw(t.Context(), names, cut, func() (json.RawMessage, error) { return json.RawMessage(`1`), nil }); err == nil {
		t.Error("half of a copy is taken")
	}
	n, err := s.WriteRaw(t.Context(), names, &b, func() (json.RawMessage, error) { return json.RawMessage(`{"done":true}`), nil })
	if err != nil || n != 5000 {
		t.Fatalf("%d rows, %v", n, err)
	}
	state, err := m.Mirror(t.Context(), mirrored)
	if err != nil || state.Staged == nil || state.Staged.Rows != 5000 || string(state.Staged.Progress) != `{"done":true}` {
		t.Fatalf("staged %+v, %v", state.Staged, err)
	}
	if _, err := s.Publish(t.Context(), &warehouse.Publication{Mode: warehouse.PublishUpsert, Key: []string{"id"}, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	wantTexts(t, conn, "SELECT count(*)::text FROM (SELECT id, name, doc, list, d FROM company.people EXCEPT "+from+") AS x", "0")
	wantTexts(t, conn, "SELECT count(*)::text FROM company.people", "5000")
}

// TestMirrorCutAnywhere cuts the connection after every so many bytes of a mirroring; readers see one generation, and the next try ends as if
// nothing had been.
func TestMirrorCutAnywhere(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url, database := fresh(t, pg)
	proxy := server.Fault(t, pg.Addr())
	m, read := openMirrors(t, server.Via(url, proxy.Addr)), pg.Connect(database)
	ids := func(gen int) (out []int) {
		for i := range 300 {
			out = append(out, gen*1000+i)
		}
		return out
	}
	const points = 25
	for _, mode := range []warehouse.PublishMode{warehouse.PublishReplace, warehouse.PublishUpsert} {
		p := &warehouse.Publication{Mode: mode, Key: []string{"id"}, DeleteMissing: true, Deletes: 1}
		mustMirror(t, m, p, ids(0)...)
		before := proxy.Sent()
		mustMirror(t, m, p, ids(0)...)
		whole := proxy.Sent() - before
		failed := 0
		for i := range points {
			proxy.CutAfter(whole * int64(i) / (points - 3))
			_, err := mirrorRows(t, m, p, ids(i+1)...)
			proxy.CutAfter(-1)
			if err != nil {
				failed++
				if k := warehouse.KindOf(err); k != warehouse.Down && k != warehouse.Timeout {
					t.Errorf("kind %s: %v", k, err)
				}
			}
			got := mirrorTexts(t, read, "SELECT count(*) || ' ' || min(id) / 1000 || ' ' || max(id) / 1000 FROM company.people")
			if want := fmt.Sprintf("300 %d %[1]d", i+1); err == nil && got[0] != want || !strings.HasPrefix(got[0], "300 ") || len(strings.Fields(got[0])) != 3 || strings.Fields(got[0])[1] != strings.Fields(got[0])[2] {
				t.Errorf("after %v: %s, generation %d", err, got[0], i+1)
			}
		}
		if failed < points/2 {
			t.Errorf("%d of %d failed: the cuts are beside them", failed, points)
		}
		mustMirror(t, m, p, ids(0)...)
	}
}

// TestMirrorKeepsSecrets: no error has the password.
func TestMirrorKeepsSecrets(t *testing.T) {
	t.Parallel()
	pg := server.Postgres(t, "15")
	url := pg.URL("nobody", "very-secret", "postgres")
	_, err := postgres.OpenMirrors(t.Context(), url, postgres.Options{})
	if err == nil || strings.Contains(err.Error()+warehouse.HintOf(err), "very-secret") || warehouse.HintOf(err) == "" {
		t.Errorf("%v, hint %q", err, warehouse.HintOf(err))
	}
}
