package warehousetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"firth/internal/event"
	"firth/internal/load"
	"firth/internal/warehouse"
)

// real loads calls as the loader does.
func (b *bench) real(calls ...*event.Call) *warehouse.Result {
	b.t.Helper()
	return b.load(b.shaped(b.shaper(), calls...))
}

// shaper is a shaper that was restored from the catalogue.
func (b *bench) shaper() load.Shaper {
	b.t.Helper()
	tables, err := b.Warehouse.Catalogue(b.t.Context(), b.source)
	if err != nil {
		b.t.Fatal(err)
	}
	s := load.Segment(b.Rules, event.ShapeOptions{})(b.source)
	for _, c := range tables {
		s.Restore(c.Name, c.Columns)
	}
	return s
}

// shaped is the batch that follows, made of the calls.
func (b *bench) shaped(shaper load.Shaper, calls ...*event.Call) *warehouse.Batch {
	b.t.Helper()
	w := b.batch(uint64(len(calls)))
	for i, c := range calls {
		c.Offset, c.Log = w.From+uint64(i), journal
		if c.ReceivedAt == 0 {
			c.ReceivedAt = received(c.Offset)
		}
		c.TS, c.SentAt, c.OriginalTimestamp = c.ReceivedAt, event.NoTime, event.NoTime
		if err := shaper.Add(c); err != nil {
			b.t.Fatal(err)
		}
	}
	s := shaper.Take()
	w.Tables, w.Upserts, w.Discards, w.Notices = s.Tables, s.Upserts, s.Discards, s.Notices
	return w
}

func track(id, what, user string, properties map[string]any) *event.Call {
	return &event.Call{MessageID: id, Type: "track", Event: what, UserID: user, Properties: document(properties)}
}

func identify(id, user string, traits map[string]any) *event.Call {
	return &event.Call{MessageID: id, Type: "identify", UserID: user, Properties: document(traits)}
}

func document(values map[string]any) []byte {
	text, err := json.Marshal(values)
	if err != nil {
		return []byte("{}")
	}
	return text
}

// testNamesOfCalls sends events and properties of odd names from a source of an odd name, twice, with the warehouse opened anew in
// between: no name takes a second table or column, and every value is found again.
func testNamesOfCalls(t *testing.T, b *bench) {
	for _, source := range []string{"Production", "MiXed-CASE Source", "select", "9 lives", "🚀 rockets", strings.Repeat("s", 63), strings.Repeat("t", 64), strings.Repeat("u", 127), strings.Repeat("v", 128)} {
		b.source, b.schema, b.next = source, b.Rules.Schema(source), 0
		properties := map[string]any{}
		for i, p := range odd {
			properties[p] = fmt.Sprint("value ", i)
		}
		events := odd
		if source != "MiXed-CASE Source" {
			events, properties = odd[:3], map[string]any{"a": "x"}
		}
		for round := range 2 {
			var calls []*event.Call
			for i, e := range events {
				calls = append(calls, track(fmt.Sprintf("m-%d-%02d", round, i), e, "u", properties))
			}
			b.real(calls...)
			b.reopen()
		}
		b.wantNames(events, properties)
	}
}

// wantNames looks for the rows of two rounds of the events.
func (b *bench) wantNames(events []string, properties map[string]any) {
	b.t.Helper()
	tables, err := b.Warehouse.Catalogue(b.t.Context(), b.source)
	if err != nil {
		b.t.Fatal(err)
	}
	names := b.Rules.NewTables()
	want := map[string]int{"tracks": 2 * len(events)}
	for _, e := range events {
		if _, name := names.Table(e); name != "" {
			want[name] += 2
		}
	}
	if len(tables) != len(want) {
		b.t.Errorf("source %.20q: %d tables, want %d", b.source, len(tables), len(want))
	}
	for _, c := range tables {
		if n := b.count(c.Name); n != fmt.Sprint(want[c.Name]) {
			b.t.Errorf("source %.20q: table %s has %s rows, want %d", b.source, c.Name, n, want[c.Name])
		}
		if c.Name == "tracks" {
			continue
		}
		var columns []string
		for _, col := range c.Columns {
			if strings.HasPrefix(col.Path, "properties.") || col.Name == b.Rules.Standard("_overflow") {
				columns = append(columns, col.Name)
			}
		}
		for _, r := range b.rows(c.Name, columns...) {
			all := strings.Join(r, "\n") + "\n"
			for key, v := range properties {
				if text := fmt.Sprint(v); !strings.Contains(all, text+"\n") && !strings.Contains(all, `:"`+text+`"`) {
					b.t.Errorf("source %.20q, table %s: the value of %.20q is nowhere", b.source, c.Name, key)
				}
			}
		}
		slices.Sort(columns)
		if len(slices.CompactFunc(columns, strings.EqualFold)) != len(columns) {
			b.t.Errorf("table %s has a column twice: %v", c.Name, columns)
		}
	}
}
