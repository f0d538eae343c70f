package engine

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"firth/internal/event"
	"firth/internal/lake"
)

// unpack puts the data folder that the first version of the lake wrote into a folder.
func unpack(t *testing.T, dir string) {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("..", "..", "internal", "lake", "testdata", "format1", "data.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(unzipped); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// rowsOf reads a table as Firth does.
func rowsOf(t *testing.T, catalog, source string) (out []event.Call) {
	t.Helper()
	r, err := lake.OpenReader(t.Context(), catalog)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	snap, err := r.Snapshot(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	for log := range snap.Positions {
		err := r.Calls(t.Context(), snap, log, 0, 1<<62, func(c *event.Call) error {
			own := *c
			for _, b := range []*[]byte{&own.Properties, &own.Context, &own.Payload, &own.Integrations} {
				*b = bytes.Clone(*b)
			}
			out = append(out, own)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// A table that has files from before it got a column is read by the engines like any other: null where there was no column.
func TestEnginesReadAnUpgradedLake(t *testing.T) {
	a := newAsker(t)
	dir := t.TempDir()
	unpack(t, dir)
	catalog := filepath.Join(dir, "catalog.db")
	fresh := calls("production", 40)
	j := &oneFlush{first: 1000, source: "production", calls: fresh}
	for i := range fresh {
		fresh[i].Log, fresh[i].Offset = testLog, j.first+uint64(i)
		fresh[i].TS = time.Date(2025, 1, 13+i%3, 12, 0, i, 0, time.UTC).UnixMicro() // where there are files of the first version
	}
	l := openLake(t, catalog)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(l.Writer(j, j).Run(ctx), l.Close()); err != nil {
		t.Fatal(err)
	}
	from, to := time.Date(2025, 1, 14, 0, 0, 0, 0, time.UTC), time.Date(2025, 1, 15, 0, 0, 0, 0, time.UTC)
	all := rowsOf(t, catalog, "production")
	want := expect(all, from, to)
	if said := len(all) - want.Nulls["_firth_integrations"]; said == 0 || len(all) <= len(fresh) {
		t.Fatalf("%d rows, of which %d speak of warehouses", len(all), said)
	}
	want.Digest = "" // two journals have the same offsets, by which the digest is ordered
	for _, step := range []string{"mixed files", "merged"} {
		t.Run(step, func(t *testing.T) {
			if step == "merged" {
				merge(t, catalog)
			}
			for _, engine := range []string{"pyiceberg", "duckdb"} {
				got := attached[map[string]found](t, a, catalog, engine, "tables", "no such event", from.Format(isoTime), to.Format(isoTime))["production"]
				got.Digest = ""
				w := want
				w.Event = 0
				compare(t, map[string]found{engine: w}, map[string]found{engine: got})
			}
		})
	}
}
