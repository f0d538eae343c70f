package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"firth/internal/name"
	"firth/internal/table"
)

// FuzzShape shapes whatever comes as properties and context: nothing panics, every value is in its column, in the overflow or among
// the discards, cells have the types of their columns, and a shaper that has forgotten its caches does the same.
func FuzzShape(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"A":"x","b":{"c":[1,{"d":null}],"":{}},"id":2}`, `{"a":1.5,"b":99999999999999999999,"c":"2024-01-01","d":true,"日本語":1}`,
		`{"a":"\ud800","b":"\u0000"}`, `[1,2]`, `{"a":`, `"x"`, `{"a":{"b":{"c":{"d":1}}},"a_b_c_d":2,"order":{"x":""}}`, `{"a":1e999}`,
	} {
		f.Add([]byte(s), []byte(`{"ip":"1.2.3.4","a":{"b":1}}`))
		f.Add([]byte(`{"a":0}`), []byte(s))
	}
	rules := name.Postgres()
	f.Fuzz(func(t *testing.T, properties, context []byte) {
		opts := ShapeOptions{MaxDepth: 3, MaxColumns: 5}
		plain, forgetful := NewShaper("s", rules, opts), NewShaper("s", rules, opts)
		for round := range 2 {
			c := &Call{
				MessageID: "m", Type: "track", Event: "e", UserID: "u", Properties: properties, Context: context,
				SentAt: NoTime, OriginalTimestamp: NoTime, Offset: uint64(round),
			}
			if err := plain.Add(c); err != nil {
				t.Fatal(err)
			}
			forgetful.clearCaches()
			if err := forgetful.Add(c); err != nil {
				t.Fatal(err)
			}
			load := plain.Take()
			if diff := cmp.Diff(load, forgetful.Take()); diff != "" {
				t.Fatalf("without caches: %s", diff)
			}
			for _, b := range load.Tables {
				checkTypes(t, b)
			}
			event := load.Tables[len(load.Tables)-1]
			checkNothingLost(t, load, event, rules, "properties", properties)
			checkNothingLost(t, load, event, rules, "context", context)
		}
	})
}

func checkTypes(t *testing.T, b *table.Batch) {
	t.Helper()
	for _, row := range b.Rows {
		seen := map[int32]bool{}
		for _, c := range row.Cells {
			if c.Value.Type != b.Columns[c.Col].Type || seen[c.Col] {
				t.Errorf("%s.%s has a cell of type %v, twice: %v", b.Name, b.Columns[c.Col].Name, c.Value.Type, seen[c.Col])
			}
			seen[c.Col] = true
		}
	}
}

// checkNothingLost looks for every scalar of a document, as another JSON reader gives it.
func checkNothingLost(t *testing.T, load *Load, b *table.Batch, rules name.Rules, root string, doc []byte) {
	t.Helper()
	// What is not UTF-8 is changed by both readers, each in its way; what is not JSON is discarded whole.
	if !utf8.Valid(doc) || bytes.Contains(doc, []byte(`\u`)) || !json.Valid(doc) {
		return
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	walkScalars(root, v, 0, func(path, text string) {
		slug := rules.ColumnSlug(path)
		for i, c := range b.Columns {
			if c.Path == "" || rules.ColumnSlug(c.Path) != slug {
				continue
			}
			for _, cell := range b.Rows[0].Cells {
				if int(cell.Col) == i && cell.Value.String() == text {
					return
				}
			}
		}
		var over map[string]any
		if text := b.Get(0, "_overflow").Text; text != "" {
			if err := json.Unmarshal([]byte(text), &over); err != nil {
				t.Fatalf("_overflow %s: %v", text, err)
			}
		}
		if _, ok := over[path]; ok {
			return
		}
		for _, d := range load.Discards {
			if d.Value == text {
				return
			}
		}
		t.Errorf("%s = %q is nowhere: overflow %v, discards %v, columns %v, row %v", path, text, over, load.Discards, b.Columns, b.Rows[0])
	})
}

// walkScalars visits the scalars to the depth of 3 keys. Equal keys are the one place where readers may differ: the walk sees the
// last, which may be null.
func walkScalars(path string, v any, depth int, visit func(path, text string)) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if depth < 3 {
				walkScalars(path+"."+k, e, depth+1, visit)
			}
		}
	case string:
		visit(path, v)
	case json.Number:
		visit(path, v.String())
	case bool:
		visit(path, fmt.Sprint(v))
	}
}

// TestCachesAreBounded sends paths and events that never come again.
func TestCachesAreBounded(t *testing.T) {
	s := NewShaper("s", name.DuckDB(), ShapeOptions{MaxColumns: 10, MaxEventTables: 10})
	most, cleared := 0, false
	for i := range 600 {
		long := strings.Repeat("k", 20_000)
		c := &Call{
			MessageID: "m", Type: "track", Event: fmt.Sprint("e", long, i), UserID: "u", SentAt: NoTime, OriginalTimestamp: NoTime,
			Properties: []byte(fmt.Sprintf(`{"%s%d":1}`, long, i)), Context: []byte(fmt.Sprintf(`{"%s%d":1}`, long, i)),
		}
		before := s.cached
		if err := s.Add(c); err != nil {
			t.Fatal(err)
		}
		most, cleared = max(most, s.cached), cleared || s.cached < before
		if i%20 == 0 {
			s.Take()
		}
	}
	if most > maxCachedBytes+1<<20 || !cleared || len(s.tables) > 11 || len(s.beyond) > maxNoticed {
		t.Errorf("%d bytes, cleared %v, %d tables, %d noticed", most, cleared, len(s.tables), len(s.beyond))
	}
}
