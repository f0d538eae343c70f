package event_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
	"firth/internal/name"
	"firth/internal/table"
)

// TestSurveyMendsAFirstType is a column that was an integer in the first load and met a text in the second.
func TestSurveyMendsAFirstType(t *testing.T) {
	first := testCall(1, "track", `{"n":7,"f":1,"when":"2024-01-01"}`, "", "")
	second := testCall(2, "track", `{"n":"seven","f":1.5,"when":"2024-01-02T03:04:05.1234567Z"}`, "", "")
	plain := newShaper(event.ShapeOptions{})
	shape(t, plain, first)
	if load := shape(t, plain, second); len(load.Discards) != 1 {
		t.Fatalf("the history has nothing to mend: %v", load.Discards)
	}

	survey := newShaper(event.ShapeOptions{Survey: true})
	for _, c := range []*event.Call{first, second} {
		if load := shape(t, survey, c); load.Calls != 1 || len(load.Tables)+len(load.Upserts)+len(load.Discards) > 0 {
			t.Errorf("a survey took %+v", load)
		}
	}
	again := newShaper(event.ShapeOptions{})
	types := map[string]table.Type{}
	for _, b := range survey.Columns() {
		again.Restore(b.Name, b.Columns)
		for _, c := range b.Columns {
			types[b.Name+"."+c.Name] = c.Type
		}
	}
	for column, want := range map[string]table.Type{
		"t.n": table.String, "t.f": table.Float, "t._when": table.Timestamp, "t._overflow": table.String, "tracks.event": table.String,
	} {
		if types[column] != want {
			t.Errorf("%s is %v, want %v", column, types[column], want)
		}
	}
	for i, c := range []*event.Call{first, second} {
		load := shape(t, again, c)
		if len(load.Discards) > 0 || len(load.Widened) > 0 {
			t.Errorf("the second pass: %+v", load)
		}
		if got, want := find(t, load, "t").Get(0, "n"), []string{"7", "seven"}[i]; got != table.Text(want) {
			t.Errorf("n is %+v, want %s", got, want)
		}
	}
}

// TestSurveyOfRestoredTable: names that were given out stay, types are found anew, and what nobody sends any more keeps its own.
func TestSurveyOfRestoredTable(t *testing.T) {
	s := newShaper(event.ShapeOptions{Survey: true})
	s.Restore("tracks", []table.Column{{Name: "USER_ID", Type: table.Integer}, {Name: "id", Type: table.String}})
	s.Restore("t", []table.Column{
		{Name: "_Odd", Type: table.Boolean, Path: "properties.odd"}, {Name: "gone", Type: table.Float, Path: "properties.gone"}, {Name: "_overflow", Type: table.Integer},
	})
	shape(t, s, testCall(1, "track", `{"odd":1}`, "", ""))
	shape(t, s, testCall(2, "track", `{"odd":2}`, "", ""))
	for _, b := range s.Columns() {
		var got []string
		for _, c := range b.Columns[:min(3, len(b.Columns))] {
			got = append(got, c.Name+" "+c.Type.String())
		}
		want := map[string]string{"tracks": "USER_ID string, id string, received_at timestamp", "t": "_Odd integer, gone float, _overflow string"}[b.Name]
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %v, want %s", b.Name, got, want)
		}
	}
}

// TestSurveyProperty surveys random histories, cut into loads at random. The columns are those of one load of the whole history;
// with them restored, the history is shaped again in other cuts, and nothing is discarded for its type.
func TestSurveyProperty(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	for round := range 150 {
		rules := []name.Rules{name.DuckDB(), name.Postgres(), name.Postgres().WithRudderStack(false)}[round%3]
		opts := event.ShapeOptions{MaxColumns: 2 + rnd.IntN(12), MaxEventTables: 1 + rnd.IntN(4), StrictTypes: rnd.IntN(2) == 0}
		calls := randomHistory(t, rnd)
		whole := columnsOf(shape(t, event.NewShaper("s", rules, opts), calls...))

		opts.Survey = true
		survey := event.NewShaper("s", rules, opts)
		for _, chunk := range cuts(rnd, calls) {
			shape(t, survey, chunk...)
		}
		opts.Survey = false
		again := event.NewShaper("s", rules, opts)
		surveyed := &event.Load{Tables: survey.Columns()}
		for _, b := range surveyed.Tables {
			again.Restore(b.Name, b.Columns)
		}
		if diff := cmp.Diff(whole, columnsOf(surveyed)); diff != "" {
			t.Fatalf("round %d: columns of one load, and of the survey: %s", round, diff)
		}
		for _, chunk := range cuts(rnd, calls) {
			load := shape(t, again, chunk...)
			for _, d := range load.Discards {
				if strings.HasPrefix(d.Reason, "incompatible schema conversion") {
					t.Fatalf("round %d: %+v", round, d)
				}
			}
			for tbl, columns := range columnsOf(load) {
				if diff := cmp.Diff(whole[tbl], columns); diff != "" {
					t.Fatalf("round %d: %s of the second pass: %s", round, tbl, diff)
				}
			}
		}
	}
}

// columnsOf are the columns by table, without the one for the overflow: where it stands is a matter of the cuts.
func columnsOf(l *event.Load) map[string][]table.Column {
	out := map[string][]table.Column{}
	for _, b := range slices.Concat(l.Tables, l.Upserts) {
		out[b.Name] = slices.DeleteFunc(slices.Clone(b.Columns), func(c table.Column) bool { return strings.EqualFold(c.Name, "_overflow") })
	}
	return out
}

func cuts(rnd *rand.Rand, calls []*event.Call) [][]*event.Call {
	var out [][]*event.Call
	for len(calls) > 0 {
		n := 1 + rnd.IntN(len(calls))
		out, calls = append(out, calls[:n]), calls[n:]
	}
	return out
}

// randomHistory is calls whose keys meet values of every type.
func randomHistory(t *testing.T, rnd *rand.Rand) []*event.Call {
	t.Helper()
	values := []any{
		true, 1, -7, 1.5, json.Number("3.0"), json.Number("9007199254740993"), json.Number("12345678901234567890"), "text", "", "2024-01-01",
		"2024-01-01T00:00:00.1234567Z", []any{1}, map[string]any{"x": 1, "Y": "z"}, nil,
	}
	keys := []string{"a", "b", "fooBar", "foo_bar", "select", "id", "name", "category", "3d", "日本語", strings.Repeat("long", 20), strings.Repeat("long", 20) + "er"}
	document := func() string {
		doc := map[string]any{}
		for range rnd.IntN(6) {
			doc[keys[rnd.IntN(len(keys))]] = values[rnd.IntN(len(values))]
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var calls []*event.Call
	for i := range 1 + rnd.IntN(30) {
		typ := []string{"track", "track", "identify", "page", "group", "screen", "alias"}[rnd.IntN(7)]
		c := testCall(uint64(i), typ, document(), document(), fmt.Sprintf(`{"groupId":"g%d","name":"n"}`, rnd.IntN(2)))
		if typ == "track" {
			c.Event = []string{"t", "T!", "users", "select", "日本語", strings.Repeat("Very Long ", 9)}[rnd.IntN(6)]
		}
		calls = append(calls, c)
	}
	return calls
}
