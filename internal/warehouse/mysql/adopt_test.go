package mysql_test

import (
	"slices"
	"strings"
	"testing"

	"firth/internal/table"
	"firth/internal/warehouse"
	"firth/test/server"
)

// TestBookkeepingDropped: who drops the bookkeeping gets every row once more from the lake, and none twice.
func TestBookkeepingDropped(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	db, read := open(t, m.Admin), reader(t, m)
	if _, err := db.Load(t.Context(), rowsFrom(0, 100)); err != nil {
		t.Fatal(err)
	}
	m.Exec("DROP DATABASE _firth")
	if _, err := db.Load(t.Context(), rowsFrom(100, 100)); warehouse.KindOf(err) != warehouse.Broken || warehouse.HintOf(err) == "" {
		t.Fatalf("load: %v of kind %s", err, warehouse.KindOf(err))
	}
	db = open(t, m.Admin)
	for from := range uint64(4) {
		if _, err := db.Load(t.Context(), rowsFrom(from*50, 50)); err != nil {
			t.Fatal(err)
		}
	}
	wantRows(t, read, 200)
}

// TestAdoptedRebuild: rows of a table that was taken over which the lake does not have survive its rebuild, with columns and keys.
func TestAdoptedRebuild(t *testing.T) {
	m := server.MariaDB(t, version())
	m.Wipe()
	m.Exec("CREATE DATABASE production CHARACTER SET utf8mb4", "CREATE TABLE production.clicks (id varchar(36) NOT NULL, received_at datetime(3), n int, theirs decimal(6,2) DEFAULT 1.5, "+
		"doubled bigint AS (n * 2) VIRTUAL, PRIMARY KEY (id), KEY by_n (n, received_at), CONSTRAINT positive CHECK (n >= 0))",
		"INSERT INTO production.clicks (id, received_at, n, theirs) VALUES ('old', '2020-01-01', 7, 2.5), ('id-000001', '2023-11-14 22:13:20', 1, 3.5)")
	db, read := open(t, m.Admin), reader(t, m)
	r, err := db.Load(t.Context(), rowsFrom(0, 3))
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows["clicks"] != 2 {
		t.Errorf("%d rows are new, want 2 (%+v)", r.Rows["clicks"], r)
	}
	// A key that takes each id once does not stop a load in which one comes again.
	again := rowsFrom(3, 2)
	again.Tables[0].Rows = append(again.Tables[0].Rows, again.Tables[0].Rows[0], rowsFrom(1, 1).Tables[0].Rows[0])
	if r, err = db.Load(t.Context(), again); err != nil || r.Rows["clicks"] != 2 {
		t.Errorf("loaded again: %+v, %v", r, err)
	}
	w := rowsFrom(0, 5)
	w.Source, w.Schema = "production#rebuild", "_firth_rebuild_production"
	for _, b := range slices.Concat(w.Tables, w.Upserts) {
		b.Columns[4].Type = table.String
	}
	if _, err := db.Load(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	r, err = db.Swap(t.Context(), &warehouse.Swap{Source: "production", Schema: "production", RebuildSource: w.Source, RebuildSchema: w.Schema, Tables: []string{"clicks"}})
	if err != nil {
		t.Fatalf("%v (%s)", err, warehouse.HintOf(err))
	}
	t.Logf("notices %q", r.Notices)
	rows, err := read.QueryContext(t.Context(), "SELECT concat_ws(' ', id, n, theirs, doubled) FROM production.clicks ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	want := []string{"id-000000 0 1.50 0", "id-000001 1 3.50 2", "id-000002 2 1.50 4", "id-000003 3 1.50 6", "id-000004 4 1.50 8", "old 7 2.50 14"}
	if !slices.Equal(got, want) {
		t.Errorf("rows %q, want %q", got, want)
	}
	var ignored, text string
	if err := read.QueryRowContext(t.Context(), "SHOW CREATE TABLE production.clicks").Scan(&ignored, &text); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"`n` longtext", "PRIMARY KEY (`id`)", "KEY `by_n` (`n`(191),`received_at`)", "CONSTRAINT `positive` CHECK"} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is not in\n%s", part, text)
		}
	}
}
