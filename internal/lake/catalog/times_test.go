package catalog

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// clocked makes a catalog whose clock can be set.
func clocked(t *testing.T, keep int) (*Catalog, *time.Time) {
	c := newCatalog(t, t.TempDir(), false)
	now := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	c.now, c.keep = func() time.Time { return now }, keeping{last: keep}
	return c, &now
}

// TestACommitWithoutSnapshotSetsTheTimeAlone compares what a commit of properties leaves with what the library makes of it.
func TestACommitWithoutSnapshotSetsTheTimeAlone(t *testing.T) {
	c, now := clocked(t, 50)
	tbl, err := c.Create(t.Context(), "production", testSpec("none"))
	if err != nil {
		t.Fatal(err)
	}
	if got := tbl.Metadata().LastUpdatedMillis(); got != now.UnixMilli() {
		t.Errorf("made at %d, the clock says %d", got, now.UnixMilli())
	}
	last := now.UnixMilli()
	for _, jump := range []time.Duration{0, time.Hour, -2 * time.Hour, 10 * 365 * 24 * time.Hour, -11 * 365 * 24 * time.Hour} {
		*now = now.Add(jump)
		tx := c.Begin(tbl)
		props := iceberg.Properties{"jump": jump.String()}
		if err := tx.SetProperties(props); err != nil {
			t.Fatal(err)
		}
		want, err := table.UpdateTableMetadata(timeless{tbl.Metadata()}, []table.Update{table.NewSetPropertiesUpdate(props)}, tbl.MetadataLocation())
		if err != nil {
			t.Fatal(err)
		}
		if tbl, err = tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := tbl.Metadata()
		if got.LastUpdatedMillis() != max(now.UnixMilli(), last+1) {
			t.Errorf("after %s: committed at %d, the clock says %d, the last commit was at %d", jump, got.LastUpdatedMillis(), now.UnixMilli(), last)
		}
		last = got.LastUpdatedMillis()
		a, b := fields(t, got), fields(t, want)
		if !maps.Equal(a, b) {
			t.Errorf("after %s:\n got %v\nwant %v", jump, a, b)
		}
	}
}

// fields are those of metadata, less its times.
func fields(t *testing.T, m table.Metadata) map[string]string {
	t.Helper()
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var in map[string]json.RawMessage
	if err := json.Unmarshal(text, &in); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for k, v := range in {
		if k != "last-updated-ms" && k != "metadata-log" {
			out[k] = string(v)
		}
	}
	return out
}

func TestSnapshotsBeyondTheLastAreLeftOut(t *testing.T) {
	c, now := clocked(t, 3)
	tbl, err := c.Create(t.Context(), "production", testSpec("gzip"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		*now = now.Add(-time.Hour) // expiry does not ask the clock
		tx := c.Begin(tbl)
		b, err := iceberg.NewDataFileBuilder(tbl.Spec(), iceberg.EntryContentData, tbl.Location()+"/data/"+now.Format("1504"),
			iceberg.ParquetFile, nil, nil, nil, 1, 100)
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.AddDataFiles(t.Context(), []iceberg.DataFile{b.Build()}, nil, table.WithoutDuplicateCheck()); err != nil {
			t.Fatal(err)
		}
		if tbl, err = tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(tbl.Metadata().Snapshots()); got != min(i+1, 3) {
			t.Errorf("after %d commits: %d snapshots", i+1, got)
		}
	}
	again, err := newCatalogAt(t, c).Load(t.Context(), "production")
	if err != nil {
		t.Fatal(err)
	}
	var logged int
	for range again.Metadata().SnapshotLogs() {
		logged++
	}
	if got := again.CurrentSnapshot().Summary.Properties["total-data-files"]; got != "8" || logged != 3 {
		t.Errorf("%s files, %d entries in the log", got, logged)
	}
}

func newCatalogAt(t *testing.T, c *Catalog) *Catalog {
	t.Helper()
	other, err := Open(t.Context(), Options{Path: c.path, Name: c.name, Namespace: c.namespace, IO: c.io, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	})
	return other
}
