package name

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
)

func allRules() map[string]Rules {
	all := make(map[string]Rules)
	for _, r := range []Rules{DuckDB(), Postgres(), MySQL(), Redshift(), Snowflake(), BigQuery(), Parquet()} {
		all[r.Target] = r
		all[r.Target+" rudderstack"] = r.WithRudderStack(false)
		all[r.Target+" rudderstack divided"] = r.WithRudderStack(true)
	}
	return all
}

// TestTargets runs the P rows of the specification that are about one name.
func TestTargets(t *testing.T) {
	text, err := os.ReadFile("testdata/targets.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		in, errIn := strconv.Unquote(f[3])
		want, errWant := strconv.Unquote(f[4])
		if errIn != nil || errWant != nil {
			t.Fatalf("%s: %v, %v", line, errIn, errWant)
		}
		if got := targetName(t, f[1], f[2], in); got != want {
			t.Errorf("%s: %s %s of %q = %q, want %q", f[0], f[1], f[2], in, got, want)
		}
	}
}

// targetName names one thing; target is a target, optionally with rudderstack or divide, and unreserved.
func targetName(t *testing.T, target, kind, in string) string {
	words := strings.Fields(target)
	r, ok := allRules()[words[0]]
	if !ok {
		t.Fatalf("no target %s", words[0])
	}
	for _, w := range words[1:] {
		switch w {
		case "rudderstack", "divide":
			r = r.WithRudderStack(w == "divide")
		case "unreserved":
			r.Reserved = nil
		default:
			t.Fatalf("no mode %s", w)
		}
	}
	got := ""
	switch kind {
	case "schema":
		got = r.Schema(in)
	case "table":
		_, got = r.EventTable(in)
	case "column":
		got, _ = r.NewColumns().Name(in)
	case "cut":
		got = r.fit(r.identifier(strings.ToLower(in)), strings.ToLower(in))
	default:
		t.Fatalf("no kind %s", kind)
	}
	return got
}

func TestColumnSlug(t *testing.T) {
	tests := []struct{ path, want string }{
		{"properties.fooBar", "foo_bar"},
		{"traits.address.street", "address_street"},
		{"properties.properties.id", "properties_id"},
		{"context.app.version", "context_app_version"},
		{"context.field.nestedA.nestedB", "context_field_nested_a_nested_b"},
		{"properties.a.日本語.b", "a_b"}, // empty elements are dropped
		{"properties.日本語", ""},
		{"context.日本語", ""},
		{"properties.", ""},
		{"properties.a.b c", "a_b_c"},
	}
	for _, tt := range tests {
		if got := DuckDB().ColumnSlug(tt.path); got != tt.want {
			t.Errorf("ColumnSlug(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

func TestColumnRules(t *testing.T) {
	long := strings.Repeat("a", 80)
	tests := []struct {
		rule string
		r    Rules
		path string
		want string
	}{
		{"leading digit", DuckDB(), "traits.1", "_1"},
		{"leading digit", Parquet(), "traits.1", "1"},
		{"reserved word", DuckDB(), "properties.order", "_order"},
		{"no reserved word", DuckDB(), "properties.open", "open"},
		{"no reserved words in files", Parquet(), "properties.order", "order"},
		{"a reserved word below context", Postgres(), "context.order", "context_order"},
		{"standard column", DuckDB(), "properties.id", "_id"},
		{"standard column, reserved as well", Redshift(), "properties.timestamp", "_timestamp"},
		{"no standard column", DuckDB(), "properties.uuid", "uuid"},
		{"the length exactly", Postgres(), "properties." + long[:63], long[:63]},
		{"cut", Postgres(), "properties." + long, long[:54] + "_0f45e858"},
		{"cut", MySQL(), "properties." + long, long[:55] + "_0f45e858"},
		{"not cut", Redshift(), "properties." + long, long},
		{"RudderStack keeps underscores", DuckDB().WithRudderStack(false), "properties.__timestamp", "__timestamp"},
		{"RudderStack, the whole path as one", DuckDB().WithRudderStack(false), "context._foo", "context_foo"},
	}
	for _, tt := range tests {
		got, ok := tt.r.NewColumns("id", "timestamp", "_overflow").Name(tt.path)
		if !ok || got != tt.want {
			t.Errorf("%s: Name(%q) = %q, want %q", tt.rule, tt.path, got, tt.want)
		}
	}
	if got, ok := DuckDB().NewColumns().Name("properties.日本語"); ok {
		t.Errorf("empty slug: got %q", got)
	}
}

func TestColumnsKeepNamesApart(t *testing.T) {
	c := DuckDB().WithRudderStack(false).NewColumns("id", "timestamp")
	for _, step := range []struct{ path, want string }{
		{"properties.timestamp", "_timestamp"},
		{"properties._timestamp", "__timestamp"}, // taken by the prefixed one
		{"properties.Timestamp", "_timestamp"},   // equal slug
	} {
		if got, _ := c.Name(step.path); got != step.want {
			t.Errorf("Name(%q) = %q, want %q", step.path, got, step.want)
		}
	}
	p := Postgres().WithRudderStack(false).NewColumns()
	a, _ := p.Name("properties." + strings.Repeat("a", 70) + "1")
	b, _ := p.Name("properties." + strings.Repeat("a", 70) + "2")
	if a == b || len(a) != 63 || len(b) != 63 {
		t.Errorf("cut names %q and %q", a, b)
	}
}

func TestTables(t *testing.T) {
	tables := DuckDB().NewTables()
	for _, tt := range []struct{ event, slug, table string }{
		{"Order Completed", "order_completed", "order_completed"},
		{"order completed", "order_completed", "order_completed"},
		{"users", "users", "_users"},
		{"Firth Discards", "firth_discards", "_firth_discards"},
		{"select", "select", "_select"},
		{"2FA Enabled", "2fa_enabled", "_2fa_enabled"},
		{"日本語", "", ""},
	} {
		if slug, table := tables.Table(tt.event); slug != tt.slug || table != tt.table {
			t.Errorf("Table(%q) = %q, %q, want %q, %q", tt.event, slug, table, tt.slug, tt.table)
		}
	}
	if tables.Len() != 5 {
		t.Errorf("Len = %d, want 5", tables.Len())
	}
	again := DuckDB().NewTables()
	again.Restore("", "_users")
	if slug, table := again.Find("Users"); slug != "users" || table != "_users" {
		t.Errorf("restored: %q, %q", slug, table)
	}
}

func TestSchema(t *testing.T) {
	for in, want := range map[string]string{
		"production": "production", "My App": "my_app", "omega v2 ": "omega_v2", "3doctors": "_3doctors",
		"lake": "_lake", "firth": "__firth", "main": "_main", "日本語": "", "order": "_order",
	} {
		if got := DuckDB().Schema(in); got != want {
			t.Errorf("Schema(%q) = %q, want %q", in, got, want)
		}
	}
}

// randomPath makes paths that are prone to collide: few letters, long, prefixed, cut.
func randomPath(rnd *rand.Rand) string {
	pieces := []string{"a", "B", "1", "_", "id", "Id", "order", "-", "é", "timestamp", ".", strings.Repeat("x", 60), strings.Repeat("y", 130)}
	path := []string{"properties.", "traits.", "context."}[rnd.IntN(3)]
	for range 1 + rnd.IntN(6) {
		path += pieces[rnd.IntN(len(pieces))]
	}
	return path
}

// TestColumnsProperties holds for every target: names are within the length, differ where slugs differ, are equal where slugs are,
// stay the same after a restore, and a name given back as a property keeps its name where nothing else claims it.
func TestColumnsProperties(t *testing.T) {
	standard := []string{"id", "timestamp", "event", "_overflow"}
	for target, r := range allRules() {
		t.Run(target, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			c, restored := r.NewColumns(standard...), r.NewColumns(standard...)
			bySlug, byName := map[string]string{}, map[string]string{}
			for _, s := range standard {
				byName[s] = "standard"
			}
			for range 1000 {
				path := randomPath(rnd)
				slug := r.ColumnSlug(path)
				got, ok := c.Name(path)
				if ok != (slug != "") {
					t.Fatalf("Name(%q) = %q, %v with slug %q", path, got, ok, slug)
				}
				if !ok {
					continue
				}
				if limit := r.limit(); limit > 0 && len(got) > limit {
					t.Fatalf("Name(%q) = %q, longer than %d", path, got, limit)
				}
				key := strings.ToLower(got)
				if other, taken := byName[key]; taken && other != slug {
					t.Fatalf("%q is the name of the slugs %q and %q", got, other, slug)
				}
				if before, known := bySlug[slug]; known && before != got {
					t.Fatalf("slug %q has the names %q and %q", slug, before, got)
				}
				bySlug[slug], byName[key] = got, slug
				restored.Restore(path, got)
				if again, _ := restored.Name(path); again != got {
					t.Fatalf("after Restore(%q, %q) the name is %q", path, got, again)
				}
				if again, _ := r.NewColumns(standard...).Name("properties." + got); again != got && len(got) < 100 && r.limit() == 0 {
					t.Fatalf("%q becomes %q when it is a property's name", got, again)
				}
			}
		})
	}
}

func FuzzColumns(f *testing.F) {
	f.Add("fooBar", "foo_bar", "id")
	f.Add(strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("A", 66))
	f.Add("_timestamp", "timestamp", "__timestamp")
	all := allRules()
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for target, r := range all {
			columns := r.NewColumns("id", "timestamp")
			seen := map[string]string{"id": "", "timestamp": ""}
			for _, key := range []string{a, b, c} {
				got, ok := columns.Name("properties." + key)
				if !ok {
					continue
				}
				slug := r.ColumnSlug("properties." + key)
				lowered := strings.ToLower(got)
				if other, taken := seen[lowered]; taken && other != slug {
					t.Errorf("%s: %q names %q and %q", target, got, other, slug)
				}
				seen[lowered] = slug
				if limit := r.limit(); limit > 0 && len(got) > limit {
					t.Errorf("%s: %q is longer than %d", target, got, limit)
				}
				if strings.Trim(lowered, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
					t.Errorf("%s: %q is no identifier", target, got)
				}
			}
		}
	})
}

func ExampleRules_EventTable() {
	slug, table := Redshift().EventTable("101 account update")
	fmt.Println(slug, table)
	// Output: 101_account_update _101_account_update
}

// TestTablesRestoredByName restores tables by their names alone, as a catalogue knows them: each event finds its own again.
func TestTablesRestoredByName(t *testing.T) {
	long := strings.Repeat("Very Long ", 20)
	events := []string{"users", "select", "2FA Enabled", long, long + "er", "Order Completed", "_Private Thing"}
	for _, rules := range []Rules{DuckDB(), Postgres(), MySQL(), Redshift(), Postgres().WithRudderStack(false), Snowflake().WithRudderStack(true)} {
		first, again := rules.NewTables(), rules.NewTables()
		want := map[string]string{}
		for _, e := range events {
			_, want[e] = first.Table(e)
			again.Restore("", want[e])
		}
		if again.Len() != first.Len() {
			t.Errorf("%s: %d tables restored of %d", rules.Target, again.Len(), first.Len())
		}
		for _, e := range events {
			// RudderStack cuts without a mark: which of two that were cut had the bare name is not to be known.
			if _, got := again.Find(e); got != want[e] && (rules.Mode == Segment || e != long+"er") {
				t.Errorf("%s: %q has table %q, had %q", rules.Target, e, got, want[e])
			}
		}
		if again.Len() != first.Len() {
			t.Errorf("%s: %d tables found of %d", rules.Target, again.Len(), first.Len())
		}
	}
}
