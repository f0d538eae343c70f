package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/infer"
	"firth/internal/mirror"
	"firth/test/peer"
)

// TestWhatInferPrintsIsConfiguration takes the lines that firth infer prints of fields with odd names into a configuration, as they are and
// with other types, and copies.
func TestWhatInferPrintsIsConfiguration(t *testing.T) {
	p := peer.Start(t)
	var docs []bson.Raw
	for i := range 4 {
		raw, err := bson.Marshal(bson.D{
			{Key: "_id", Value: int32(i)}, {Key: "weird.key", Value: int32(i % 2)}, {Key: `back\slash`, Value: float64(i)}, {Key: "", Value: fmt.Sprint(i)}, {Key: "true", Value: "2024-01-01"},
			{Key: "ta\tb\n", Value: int32(i % 2)}, {Key: `qu"o'te`, Value: int32(i % 2)}, {Key: "# no: {comment}", Value: int32(i % 2)}, {Key: "ü 𝄞", Value: fmt.Sprint(i)},
			{Key: "o", Value: bson.D{{Key: "x.y", Value: int32(i % 2)}, {Key: "z", Value: bson.D{{Key: ".", Value: float64(i)}}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, raw)
	}
	p.Put("nasty", "collection", docs...)
	dir := t.TempDir()
	path := filepath.Join(dir, "firth.yaml")
	write := func(types string) {
		t.Helper()
		text := "data: " + filepath.Join(dir, "data") + "\nlisten: 127.0.0.1:0\ndatabases:\n  app: { type: mongodb, url: \"" + p.URL("app", nil) + "\" }\nmirrors:\n  nasty:\n    from: { database: app, collection: nasty }\n" + types
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	var out bytes.Buffer
	if err := Infer(t.Context(), InferOptions{Database: "app", Collection: "nasty", Format: "json", Sample: 100, Config: path, Stdout: &out, Stderr: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	var found infer.Report
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(found.Override, "\n"), "\n")
	want := map[string]string{}
	for _, f := range found.Fields {
		if len(f.Notes) > 0 {
			want[f.Path] = f.Type
		}
	}
	if len(want) != 10 || len(lines) != 11 {
		t.Fatalf("%d fields are in doubt:\n%s", len(want), found.Override)
	}
	indented := "    " + strings.Join(lines, "\n    ") + "\n"
	check := func(types string, want func(string) string, fields map[string]string) {
		t.Helper()
		write(types)
		out.Reset()
		if err := Sync(t.Context(), SyncOptions{Config: path, Full: true, Output: "json", Stdout: &out, Stderr: &bytes.Buffer{}}); err != nil {
			t.Fatalf("%v\n%s\n%s", err, out.String(), types)
		}
		var done struct{ Mirrors []mirror.Report }
		if err := json.Unmarshal(out.Bytes(), &done); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, c := range done.Mirrors[0].Columns {
			got[c.Path] = c.Type
			if c.Exact+c.Widened != 4 {
				t.Errorf("%+v", c)
			}
		}
		for path, typ := range fields {
			if got[path] != want(typ) {
				t.Errorf("%s is %q, want %q of %v", path, got[path], want(typ), got)
			}
		}
		if len(got) != 11 {
			t.Errorf("%d columns: %v", len(got), got)
		}
	}
	check(indented, func(s string) string { return s }, want)
	check(regexp.MustCompile(`: \S+ # `).ReplaceAllString(indented, ": varchar # "), func(string) string { return "text" }, want)
}
