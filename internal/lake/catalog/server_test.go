package catalog

import (
	"context"
	"errors"
	neturl "net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/go-cmp/cmp"

	"firth/internal/disk"
	"firth/test/server"
)

// place is a catalog that can be opened again and again.
type place struct {
	dir    string
	server Server
	keep   int
}

func (p place) open(t *testing.T, readOnly bool) *Catalog {
	t.Helper()
	c, err := p.tryOpen(t, readOnly)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (p place) tryOpen(t *testing.T, readOnly bool) (*Catalog, error) {
	t.Helper()
	io, err := NewFileIO(disk.OS{}, filepath.Join(p.dir, "lake"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(t.Context(), Options{
		Path: filepath.Join(p.dir, "catalog.db"), Server: p.server, Name: "firth", Namespace: "lake", IO: io, ReadOnly: readOnly, Snapshots: p.keep,
	})
	if err == nil {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return c, err
}

// TestServers is one list of behaviours for every place where tables are registered.
func TestServers(t *testing.T) {
	for _, kind := range []struct {
		name string
		open func(t *testing.T) Server
	}{
		{"sqlite", func(*testing.T) Server { return Server{} }},
		{"postgres 12", func(t *testing.T) Server { return inPostgres(t, "12") }},
		{"postgres 18", func(t *testing.T) Server { return inPostgres(t, "18") }},
		{"rest", func(t *testing.T) Server { return Server{Kind: KindREST, URL: server.IcebergREST(t).URL} }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			p := place{dir: t.TempDir(), server: kind.open(t), keep: 3}
			t.Run("commits", func(t *testing.T) { testCommits(t, p) })
			t.Run("together", func(t *testing.T) { testTogether(t, p) })
			t.Run("names", func(t *testing.T) { testNames(t, p) })
		})
	}
}

func inPostgres(t *testing.T, version string) Server {
	pg := server.Postgres(t, version)
	url, database := pg.Loader()
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	pg.Exec(database, "GRANT CREATE ON SCHEMA public TO "+u.User.Username())
	return Server{Kind: KindPostgres, URL: url}
}

// testCommits makes a table and changes it; a reader and a later start see the last commit, and a stale one is refused.
func testCommits(t *testing.T, p place) {
	w := p.open(t, false)
	if _, err := w.Load(t.Context(), "production"); !errors.Is(err, ErrNoTable) {
		t.Fatalf("a table that is not there gives %v", err)
	}
	first, err := w.Create(t.Context(), "production", testSpec("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.Create(t.Context(), "production", testSpec("gzip")); err != nil || again.MetadataLocation() != first.MetadataLocation() {
		t.Errorf("creating the table again gave %v, %v", again, err)
	}
	r := p.open(t, true)
	for i := range 6 {
		tbl, err := w.Load(t.Context(), "production")
		if err != nil {
			t.Fatal(err)
		}
		if err := appendNothing(t, w, tbl, string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
		seen, err := r.Load(t.Context(), "production")
		if err != nil || seen.Properties()["last"] != string(rune('a'+i)) {
			t.Fatalf("after commit %d a reader sees %v, %v", i, seen, err)
		}
	}
	tbl, err := w.Load(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(tbl.Metadata().Snapshots()); n != 3 {
		t.Errorf("%d snapshots were left, wanted 3", n)
	}
	other := p.open(t, false)
	if seen, err := other.Load(t.Context(), "production"); err != nil || seen.Properties()["last"] != "f" {
		t.Errorf("after a start there is %v, %v", seen, err)
	}
	id := tbl.Metadata().Snapshots()[0].SnapshotID
	_, _, err = w.CommitTable(t.Context(), tbl.Identifier(), []table.Requirement{table.AssertRefSnapshotID(table.MainBranch, &id)},
		[]table.Update{table.NewSetPropertiesUpdate(iceberg.Properties{"last": "stale"})})
	if !errors.Is(err, table.ErrCommitFailed) {
		t.Errorf("a commit on an old snapshot gives %v", err)
	}
}

// appendNothing commits a snapshot without files, and a property.
func appendNothing(t *testing.T, c *Catalog, tbl *table.Table, last string) error {
	t.Helper()
	location := tbl.Location() + "/metadata/snap-" + last + ".avro"
	id, sequence := int64(len(last))<<32+int64(last[0]), tbl.Metadata().LastSequenceNumber()+1
	w, err := c.IO().Create(location)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(iceberg.WriteManifestList(2, w, id, nil, &sequence, 0, nil), w.Close()); err != nil {
		t.Fatal(err)
	}
	next := &table.Snapshot{
		SnapshotID: id, SequenceNumber: sequence, TimestampMs: time.Now().UnixMilli(), ManifestList: location,
		Summary: &table.Summary{Operation: table.OpAppend, Properties: iceberg.Properties{"total-records": "0"}},
	}
	if current := tbl.CurrentSnapshot(); current != nil {
		next.ParentSnapshotID = &current.SnapshotID
	}
	_, _, err = c.CommitTable(t.Context(), tbl.Identifier(), nil, []table.Update{
		table.NewSetPropertiesUpdate(iceberg.Properties{"last": last}), table.NewAddSnapshotUpdate(next),
		table.NewSetSnapshotRefUpdate(table.MainBranch, id, table.BranchRef, 0, 0, 0),
	})
	return err
}

// space is the namespace of the typed tables of a source.
func (p place) space(t *testing.T) *Catalog {
	t.Helper()
	c := p.open(t, false)
	io, err := c.IO().Below("_tables/app")
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Space(t.Context(), "app", io, 5)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testTogether changes two tables in one commit, and neither where one of them cannot be changed.
func testTogether(t *testing.T, p place) {
	s := p.space(t)
	for _, name := range []string{"users", "tracks"} {
		if _, err := s.Create(t.Context(), name, testSpec("none")); err != nil {
			t.Fatal(err)
		}
	}
	put := func(name, value string, reqs ...table.Requirement) Change {
		return Change{Table: name, Requirements: reqs, Updates: []table.Update{table.NewSetPropertiesUpdate(iceberg.Properties{"n": value})}}
	}
	if err := s.CommitAll(t.Context(), []Change{put("users", "1"), put("tracks", "1")}); err != nil {
		t.Fatal(err)
	}
	none := int64(17)
	err := s.CommitAll(t.Context(), []Change{put("users", "2"), put("tracks", "2", table.AssertRefSnapshotID(table.MainBranch, &none))})
	if !errors.Is(err, table.ErrCommitFailed) {
		t.Errorf("a commit of which one part cannot be gives %v", err)
	}
	for _, c := range []*Catalog{s, p.space(t)} {
		for _, name := range []string{"users", "tracks"} {
			tbl, err := c.Load(t.Context(), name)
			if err != nil || tbl.Properties()["n"] != "1" {
				t.Errorf("%s has %v, %v", name, tbl, err)
			}
		}
	}
	if err := s.CommitAll(t.Context(), []Change{put("users", "3")}); err != nil {
		t.Fatal(err)
	}
	if tbl, err := s.Load(t.Context(), "users"); err != nil || tbl.Properties()["n"] != "3" {
		t.Errorf("users has %v, %v", tbl, err)
	}
}

// testNames renames a table over another one and drops one.
func testNames(t *testing.T, p place) {
	s := p.space(t)
	for _, name := range []string{"plans", "plans_new", "old"} {
		if _, err := s.Create(t.Context(), name, testSpec("none")); err != nil {
			t.Fatal(err)
		}
	}
	fresh, err := s.Load(t.Context(), "plans_new")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.CommitAll(t.Context(), []Change{{Table: "plans_new", Rename: "plans"}, {Table: "old", Drop: true}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*Catalog{s, p.space(t)} {
		tbl, err := c.Load(t.Context(), "plans")
		if err != nil || tbl.Metadata().TableUUID() != fresh.Metadata().TableUUID() {
			t.Errorf("plans is %v, %v", tbl, err)
		}
		names, err := c.Tables(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, gone := range []string{"plans_new", "old"} {
			if _, there := names[gone]; there {
				t.Errorf("%s is still there", gone)
			}
		}
	}
	spaces, err := s.Namespaces(t.Context())
	if err != nil || !cmp.Equal(spaces, []string{"app", "lake"}) {
		t.Errorf("the namespaces are %v, %v", spaces, err)
	}
}

// TestServerDown says what is wrong, without the password, and a commit whose answer was lost is seen once the server is back.
func TestServerDown(t *testing.T) {
	down := Server{Kind: KindPostgres, URL: "postgres://firth:hunter2secret@127.0.0.1:9/lake?sslmode=disable"}
	if _, err := (place{dir: t.TempDir(), server: down}).tryOpen(t, false); err == nil || strings.Contains(err.Error(), "hunter2secret") || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("PostgreSQL that is down: %v", err)
	}
	down = Server{Kind: KindREST, URL: "http://127.0.0.1:9", Token: "hunter2secret"}
	if _, err := (place{dir: t.TempDir(), server: down}).tryOpen(t, false); err == nil || strings.Contains(err.Error(), "hunter2secret") {
		t.Errorf("a REST catalog that is down: %v", err)
	}
	rest := server.IcebergREST(t)
	p := place{dir: t.TempDir(), server: Server{Kind: KindREST, URL: rest.URL}, keep: 3}
	c := p.open(t, false)
	tbl, err := c.Create(t.Context(), "production", testSpec("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	rest.Stop()
	if err := appendNothing(t, c, tbl, "x"); err == nil {
		t.Fatal("a commit to a catalog that is down went well")
	}
	if _, err := c.Current(t.Context(), "production"); err == nil {
		t.Error("after a commit of unknown outcome the table is taken for what it was")
	}
	if _, err := p.open(t, true).Load(t.Context(), "production"); err != nil {
		t.Errorf("a reader cannot read while the catalog is down: %v", err)
	}
	rest.Start()
	again, err := c.Load(t.Context(), "production")
	if err != nil || again.Properties()["last"] != "" {
		t.Fatalf("once it is back: %v, %v", again, err)
	}
	// A commit that took place although its answer was lost.
	other := p.open(t, false)
	if err := appendNothing(t, other, again, "y"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.CommitTable(ctx, again.Identifier(), nil, []table.Update{table.NewSetPropertiesUpdate(iceberg.Properties{"z": "1"})}); err == nil {
		t.Error("a commit that was given up went well")
	}
	if seen, err := c.Load(t.Context(), "production"); err != nil || seen.Properties()["last"] != "y" {
		t.Errorf("after it there is %v, %v", seen, err)
	}
}
