package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"firth/test/rig"

	"github.com/google/go-cmp/cmp"
)

// loading are the columns that tell of the load and not of the call.
var loading = []string{"uuid_ts", "loaded_at"}

// checkTables compares all typed tables of the source with what the calls should have become: rows, columns, types and values, both
// ways: a row, or a value, that no call explains is an error as well.
func checkTables(t *testing.T, s *rig.Server, c client, rows []row) {
	t.Helper()
	want, overflow := expect(t, rows)
	for _, records := range want {
		widen(records)
	}
	names, err := s.SQL(`SELECT table_name FROM information_schema.tables WHERE table_schema = $1 AND table_catalog = current_database()`, c.name)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, cells := range names.Rows {
		if name := text(cells[0]); name != "firth_discards" {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), got); diff != "" {
		t.Errorf("the tables of %s (-want +got):\n%s", c.name, diff)
	}
	kept := ""
	for _, table := range got {
		have, over := readTable(t, s, c.name, table)
		kept += over
		if diff := cmp.Diff(want[table], have); diff != "" {
			t.Errorf("%s.%s (-want +got):\n%s", c.name, table, diff)
		}
	}
	for name, number := range overflow {
		if !strings.Contains(kept, number) {
			t.Errorf("%s: no _overflow keeps %s = %s; it has %s", c.name, name, number, kept)
		}
	}
}

// widen gives each column the least type that holds all values of it: integers beside floats are floats.
func widen(records map[string]record) {
	floats := map[string]bool{}
	for _, r := range records {
		for column, c := range r {
			floats[column] = floats[column] || c.Type == "DOUBLE"
		}
	}
	for _, r := range records {
		for column, c := range r {
			if floats[column] && c.Type == "BIGINT" {
				r[column] = cell{"DOUBLE", c.Value}
			}
		}
	}
}

// readTable reads the whole of a table: each value as text with the type of its column, NULLs left out; and what is in _overflow.
func readTable(t *testing.T, s *rig.Server, schema, table string) (map[string]record, string) {
	t.Helper()
	columns, err := s.SQL(`SELECT column_name, data_type FROM information_schema.columns
		WHERE table_schema = $1 AND table_name = $2 AND table_catalog = current_database()`, schema, table)
	if err != nil {
		t.Fatal(err)
	}
	var names, types, list []string
	for _, cells := range columns.Rows {
		name, kind := text(cells[0]), text(cells[1])
		if slices.Contains(loading, name) {
			continue
		}
		expression := fmt.Sprintf(`"%s"::VARCHAR`, name)
		switch kind {
		case "TIMESTAMP WITH TIME ZONE":
			kind, expression = "TIMESTAMP", fmt.Sprintf(`epoch_us("%s")::VARCHAR`, name)
		case "DOUBLE":
			expression = fmt.Sprintf(`"%s"`, name)
		}
		names, types, list = append(names, name), append(types, kind), append(list, expression)
	}
	out, err := s.SQL(fmt.Sprintf(`SELECT %s FROM "%s"."%s"`, strings.Join(list, ", "), schema, table))
	if err != nil {
		t.Fatal(err)
	}
	records, overflow := map[string]record{}, ""
	for _, cells := range out.Rows {
		r := record{}
		for i, value := range cells {
			switch v := value.(type) {
			case nil:
			case float64:
				r[names[i]] = cell{types[i], strconv.FormatFloat(v, 'g', -1, 64)}
			default:
				r[names[i]] = cell{types[i], array(t, fmt.Sprint(v))}
			}
		}
		overflow += r["_overflow"].Value
		delete(r, "_overflow")
		id := r["id"].Value
		if _, twice := records[id]; twice {
			t.Errorf("%s.%s has %s twice", schema, table, id)
		}
		records[id] = r
	}
	return records, overflow
}

// array rewrites the JSON of an array as compact does, so that only values count: the order of members and the way in which
// characters are escaped are the SDK's. White space would be an error.
func array(t *testing.T, text string) string {
	t.Helper()
	if !strings.HasPrefix(text, "[") {
		return text
	}
	var tight bytes.Buffer
	if err := json.Compact(&tight, []byte(text)); err != nil || tight.String() != text {
		t.Errorf("%s is no compact JSON: %v", text, err)
	}
	var values any
	decode(t, []byte(text), &values)
	text, err := compact(values)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
