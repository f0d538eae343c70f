package load_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/load"
)

// chosen loads everything of a lake under a selection and returns the columns of each table that a path has given, with the rows.
func chosen(t *testing.T, l *fakeLake, s load.Selection) (w *memWarehouse, got []string) {
	t.Helper()
	w = newMemWarehouse()
	o := options(l, nil, nil)
	o.Warehouse, o.Selection = w, s
	o.Standard = event.Standard(o.Rules)
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	for schema, tables := range w.schemas {
		for name, t := range tables {
			var columns []string
			for _, c := range t.columns {
				if c.Path != "" {
					columns = append(columns, c.Name)
				}
			}
			slices.Sort(columns)
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s.%s %d %s", schema, name, len(t.rows), strings.Join(columns, " "))))
		}
	}
	slices.Sort(got)
	return w, got
}

// choices is a lake of two sources with three kinds of tables.
func choices() *fakeLake {
	l := newFakeLake()
	for _, source := range []string{"production", "staging"} {
		who := call(0, `{"email": "ann@example.com", "plan": "pro"}`)
		who.Type, who.Event = "identify", "identify"
		click := call(1, `{"email": "x@example.com", "n": 1}`)
		click.Context = []byte(`{"ip": "1.2.3.4", "page": {"url": "/"}}`)
		bought := call(2, `{"price": 1}`)
		bought.Event = "Bought"
		l.commit(source, journal, 3, who, click, bought)
	}
	return l
}

func TestSelection(t *testing.T) {
	whole := func(schema string) []string {
		return []string{
			schema + ".bought 1 price", schema + ".clicked 1 context_ip context_page_url email n", schema + ".identifies 1 email plan",
			schema + ".tracks 2 context_ip context_page_url", schema + ".users 1 email plan",
		}
	}
	both := slices.Concat(whole("production"), whole("staging"))
	without := func(list []string, gone func(string) bool) []string {
		return slices.DeleteFunc(slices.Clone(list), gone)
	}
	has := func(part string) func(string) bool { return func(s string) bool { return strings.Contains(s, part) } }
	replaced := func(old, fresh string) []string {
		out := slices.Clone(both)
		for i := range out {
			out[i] = strings.TrimSpace(strings.ReplaceAll(out[i], old, fresh))
		}
		return out
	}
	for _, tt := range []struct {
		name string
		s    load.Selection
		want []string
	}{
		{"everything", load.Selection{}, both},
		{"a source", load.Selection{Sources: []string{"production"}}, without(both, has("staging."))},
		{"sources by a pattern", load.Selection{Sources: []string{"STAG*"}}, without(both, has("production."))},
		{"without a table", load.Selection{Tables: load.Choice{Exclude: []string{"tracks"}}}, without(both, has(".tracks"))},
		{"without a table of one source", load.Selection{Tables: load.Choice{Exclude: []string{"production.Tracks"}}}, without(both, has("production.tracks"))},
		{"tables by patterns", load.Selection{Tables: load.Choice{Include: []string{"*ought", "staging.user*"}}},
			without(both, func(s string) bool { return !has(".bought")(s) && !has("staging.users")(s) })},
		{"included and excluded", load.Selection{Tables: load.Choice{Include: []string{"production.*"}, Exclude: []string{"*.clicked"}}},
			without(both, func(s string) bool { return has("staging.")(s) || has(".clicked")(s) })},
		{"without a column", load.Selection{Columns: load.Choice{Exclude: []string{"*.email"}}}, replaced("email", "")},
		{"without a column, for short", load.Selection{Columns: load.Choice{Exclude: []string{"context_*"}}}, replaced("context_ip context_page_url", "")},
		{"what must stay", load.Selection{Columns: load.Choice{Exclude: []string{"*.id", "*.received_at"}}}, both},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, got := chosen(t, choices(), tt.s)
			for i, text := range tt.want {
				tt.want[i] = strings.Join(strings.Fields(text), " ")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestColumnsThatAreIncluded(t *testing.T) {
	w, _ := chosen(t, choices(), load.Selection{Columns: load.Choice{Include: []string{"users.plan", "production.tracks.event*"}}})
	names := func(schema, name string) (out []string) {
		for _, c := range w.schemas[schema][name].columns {
			out = append(out, c.Name)
		}
		slices.Sort(out)
		return out
	}
	for table, want := range map[string][]string{
		"users":  {"id", "loaded_at", "plan", "received_at", "uuid_ts"},
		"tracks": {"event", "event_text", "id", "loaded_at", "received_at", "uuid_ts"},
	} {
		if diff := cmp.Diff(want, names("production", table)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table, diff)
		}
	}
	if got := names("staging", "tracks"); len(got) < 8 {
		t.Errorf("a table that no pattern is about was narrowed down to %v", got)
	}
	if got := w.schemas["production"]["tracks"].rows[0]["event_text"].Text; got != "Clicked" {
		t.Errorf("event_text is %q", got)
	}
}

// TestWhatIsExcludedIsNowhere: not in the overflow, not in the discards.
func TestWhatIsExcludedIsNowhere(t *testing.T) {
	l := newFakeLake()
	first := call(0, `{"email": 5, "n": 1, "E-Mail": 12}`)
	twice := call(1, `{"email": "secret-1", "EMail": "secret-2", "Email": "secret-3", "n": 2.5, "N": 7}`)
	broken := call(2, `{"email": "secret-4", "n": `)
	l.commit("a", journal, 1, first)
	l.commit("a", journal, 3, twice, broken)
	for _, s := range []load.Selection{{}, {Columns: load.Choice{Exclude: []string{"*mail"}}}} {
		w, _ := chosen(t, l, s)
		leaks := strings.Contains(w.dump("a"), "secret")
		if leaks != (len(s.Columns.Exclude) == 0) {
			t.Errorf("%+v:\n%s", s, w.dump("a"))
		}
	}
	w, _ := chosen(t, l, load.Selection{Columns: load.Choice{Exclude: []string{"email"}}})
	if got := w.dump("a"); !strings.Contains(got, `_overflow={"properties.`) || !strings.Contains(got, "e_mail=12") {
		t.Errorf("what is left of the overflow:\n%s", got)
	}
	w, _ = chosen(t, l, load.Selection{Tables: load.Choice{Exclude: []string{"firth_discards"}}})
	if got := w.dump("a"); strings.Contains(got, "discard") {
		t.Errorf("discards that are not chosen:\n%s", got)
	}
}

// TestChoicesThatChange: a source goes on where it was, a table from now on.
func TestChoicesThatChange(t *testing.T) {
	l, w := newFakeLake(), newMemWarehouse()
	at := uint64(0)
	more := func(s load.Selection) {
		t.Helper()
		for _, source := range []string{"a", "b"} {
			l.commit(source, journal, at+10, calls(at, 10, 1)...)
		}
		at += 10
		o := options(l, nil, nil)
		o.Warehouse, o.Selection = w, s
		loader := load.New(o)
		if err := loader.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, f := range loader.Freshness() {
			if !slices.Contains(s.Sources, f.Source) && s.Sources != nil {
				t.Errorf("freshness of %s, which is not chosen", f.Source)
			}
		}
	}
	rows := func(schema, name string) int { return len(w.schemas[schema][name].rows) }
	more(load.Selection{})
	more(load.Selection{Sources: []string{"a"}, Tables: load.Choice{Exclude: []string{"clicked"}}})
	if rows("a", "tracks") != 20 || rows("a", "clicked") != 10 || rows("b", "tracks") != 10 {
		t.Errorf("a: %d, %d; b: %d", rows("a", "tracks"), rows("a", "clicked"), rows("b", "tracks"))
	}
	more(load.Selection{})
	if rows("a", "tracks") != 30 || rows("a", "clicked") != 20 || rows("b", "tracks") != 30 || rows("b", "clicked") != 30 {
		t.Errorf("a: %d, %d; b: %d, %d", rows("a", "tracks"), rows("a", "clicked"), rows("b", "tracks"), rows("b", "clicked"))
	}
}

// TestCallsForOtherWarehouses are passed by, also from temporary files, and move the position.
func TestCallsForOtherWarehouses(t *testing.T) {
	all := calls(0, 400, 1)
	var want []string
	for i := range all {
		switch i % 4 {
		case 0:
			all[i].Integrations = []byte(`{"All":false}`)
		case 1:
			all[i].Integrations = []byte(`{"Warehouses":{"warehouseIds":["pg"]}}`)
			want = append(want, all[i].MessageID)
		default:
			want = append(want, all[i].MessageID)
		}
	}
	w := newFakeWarehouse()
	o := options(nil, w, nil)
	lake := newMergedLake(all, 200)
	o.Name, o.Lake, o.Rows, o.TempDir = "pg", lake, 20, t.TempDir()
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := w.loaded("a")
	slices.Sort(got)
	wantIDs(t, got, want)
	if at := w.positions["a"][journal].Next; at != 400 {
		t.Errorf("the position is %d", at)
	}
	if lake.decoded > 3*400 {
		t.Errorf("%d rows decoded: no temporary files", lake.decoded)
	}
	mysql := newFakeWarehouse()
	o.Name, o.Warehouse = "mysql", mysql
	if err := load.New(o).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(mysql.loaded("a")); n != 200 {
		t.Errorf("%d rows for the other warehouse", n)
	}
}
