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

const noon = int64(1_717_243_200_000_000) // 2024-06-01T12:00:00Z

// testCall is a call of user u, received at noon plus its offset in seconds.
func testCall(offset uint64, typ, properties, context, payload string) *event.Call {
	at := noon + int64(offset)*1_000_000
	c := &event.Call{
		MessageID: fmt.Sprintf("m%d", offset), Type: typ, Event: typ, UserID: "u", TS: at, ReceivedAt: at,
		SentAt: event.NoTime, OriginalTimestamp: event.NoTime, Offset: offset, Log: "log",
	}
	if typ == "track" {
		c.Event = "t"
	}
	for to, text := range map[*[]byte]string{&c.Properties: properties, &c.Context: context, &c.Payload: payload} {
		if text != "" {
			*to = []byte(text)
		}
	}
	return c
}

func shape(t *testing.T, s *event.Shaper, calls ...*event.Call) *event.Load {
	t.Helper()
	for _, c := range calls {
		if err := s.Add(c); err != nil {
			t.Fatal(err)
		}
	}
	load := s.Take()
	for _, b := range slices.Concat(load.Tables, load.Upserts) {
		checkBatch(t, b)
	}
	return load
}

// checkBatch is what a warehouse relies on: cells stand in columns that exist, one a column, of the column's type, none is Null, and
// no two columns have one name.
func checkBatch(t *testing.T, b *table.Batch) {
	t.Helper()
	names := map[string]bool{}
	for _, c := range b.Columns {
		if lowered := strings.ToLower(c.Name); names[lowered] {
			t.Errorf("%s has two columns %s", b.Name, c.Name)
		} else {
			names[lowered] = true
		}
		if c.Type == table.Null {
			t.Errorf("%s.%s has no type", b.Name, c.Name)
		}
	}
	for i := range b.Rows {
		seen := map[int32]bool{}
		for _, c := range b.Rows[i].Cells {
			if c.Value.Type != b.Columns[c.Col].Type || seen[c.Col] {
				t.Errorf("%s row %d: a cell of type %v in %+v, seen %v", b.Name, i, c.Value.Type, b.Columns[c.Col], seen[c.Col])
			}
			seen[c.Col] = true
		}
		if over := b.Get(i, "_overflow"); over.Type != table.Null && !json.Valid([]byte(over.Text)) {
			t.Errorf("%s row %d: _overflow is %s", b.Name, i, over.Text)
		}
	}
}

func find(t *testing.T, load *event.Load, tableName string) *table.Batch {
	t.Helper()
	for _, b := range slices.Concat(load.Tables, load.Upserts) {
		if b.Name == tableName {
			return b
		}
	}
	t.Fatalf("no table %s", tableName)
	return nil
}

func newShaper(opts event.ShapeOptions) *event.Shaper {
	return event.NewShaper("source", name.DuckDB(), opts)
}

func TestStandardColumns(t *testing.T) {
	const common = "id received_at anonymous_id user_id sent_at timestamp original_timestamp "
	want := map[string]string{
		"tracks": common + "event event_text ", "t": common + "event event_text ", "identifies": common,
		"pages": common + "name category ", "screens": common + "name category ", "groups": common + "group_id ",
		"aliases": common + "previous_id ", "users": "id received_at ", "accounts": "id received_at ",
	}
	rudder := map[string]string{"users": "id received_at sent_at timestamp original_timestamp ", "accounts": "id received_at sent_at timestamp original_timestamp "}
	for _, rules := range []name.Rules{name.DuckDB(), name.DuckDB().WithRudderStack(false), name.Snowflake().WithRudderStack(false)} {
		s := event.NewShaper("source", rules, event.ShapeOptions{})
		var calls []*event.Call
		for i, typ := range []string{"track", "identify", "page", "screen", "group", "alias"} {
			calls = append(calls, testCall(uint64(i), typ, "", "", `{"groupId":"g"}`))
		}
		load := shape(t, s, calls...)
		if n := len(load.Tables) + len(load.Upserts); n != len(want) {
			t.Errorf("%d tables", n)
		}
		for tbl, cols := range want {
			switch {
			case rules.Mode == name.Segment:
			case rudder[tbl] != "":
				cols = rudder[tbl]
			default:
				cols += "channel context_request_ip "
			}
			var got []string
			for _, c := range find(t, load, rules.Standard(tbl)).Columns {
				got = append(got, c.Name)
			}
			if diff := cmp.Diff(rules.Standard(cols+"uuid_ts loaded_at"), strings.Join(got, " ")); diff != "" && tbl != "t" {
				t.Errorf("%s: %s", tbl, diff)
			}
		}
	}
}

func TestRowsOfATrack(t *testing.T) {
	c := testCall(1, "track", `{"plan":"pro"}`, `{"ip":"8.8.8.8"}`, "")
	c.AnonymousID, c.SentAt, c.OriginalTimestamp = "a", noon-1, noon-2
	c.TS = noon - 1
	load := shape(t, newShaper(event.ShapeOptions{}), c)
	b := find(t, load, "t")
	if len(b.Rows) != 1 || b.Rows[0].Offset != 1 || load.Calls != 1 || len(load.Discards) != 0 {
		t.Fatalf("%+v", load)
	}
	for column, want := range map[string]string{
		"id": "m1", "received_at": "2024-06-01T12:00:01Z", "anonymous_id": "a", "user_id": "u", "sent_at": "2024-06-01T11:59:59.999999Z",
		"timestamp": "2024-06-01T11:59:59.999999Z", "original_timestamp": "2024-06-01T11:59:59.999998Z", "event": "t", "event_text": "t",
		"plan": "pro", "context_ip": "8.8.8.8", "uuid_ts": "", "loaded_at": "",
	} {
		if got := b.Get(0, column).String(); got != want {
			t.Errorf("%s is %q, want %q", column, got, want)
		}
	}
	if at := b.Find("context_ip"); b.Columns[at].Path != "context.ip" {
		t.Errorf("the path of context_ip is %q", b.Columns[at].Path)
	}
}

func TestEventWithoutSlug(t *testing.T) {
	c := testCall(1, "track", `{"a":1}`, "", "")
	c.Event = "日本語"
	load := shape(t, newShaper(event.ShapeOptions{}), c)
	b := find(t, load, "tracks")
	if len(load.Tables) != 1 || b.Get(0, "event").Type != table.Null || b.Get(0, "event_text").Text != "日本語" {
		t.Errorf("%+v", b)
	}
}

func TestValues(t *testing.T) {
	tests := []struct{ name, properties, column, want, overflow string }{
		{"the last of equal keys that is not null", `{"a":1,"a":2,"a":null}`, "a", "2", ""},
		{"an escaped key", `{"a\u0062c":1}`, "abc", "1", ""},
		{"an escaped string", `{"a":"x\ny\u00e9\"\\"}`, "a", "x\nyé\"\\", ""},
		{"an escaped timestamp", `{"a":"2024-01-01\u0054000000"}`, "a", "2024-01-01T000000", ""},
		{"one slug, two spellings", `{"fooBar":1,"foo_bar":2}`, "foo_bar", "2", `{"properties.fooBar":1}`},
		{"one slug, the same value", `{"fooBar":1,"foo_bar":1}`, "foo_bar", "1", ""},
		{"one slug, the last is null", `{"fooBar":1,"foo_bar":null}`, "foo_bar", "1", ""},
		{"no slug", `{"日本語":{"a b":[1, 2]},"ok":1}`, "ok", "1", ""},
		{"no slug at all", `{"日本語":"x","":1}`, "user_id", "u", `{"properties.日本語":"x","properties.":1}`},
		{"no slug, twice", `{"日本語":"x","日本語":"y"}`, "user_id", "u", `{"properties.日本語":"y"}`},
		{"an empty object", `{"a":{},"b":1}`, "b", "1", ""},
		{"an empty string", `{"a":""}`, "a", "", ""},
		{"an integer beyond int64", `{"a":12345678901234567890}`, "a", "1.2345678901234567e+19", `{"properties.a":12345678901234567890}`},
		{"a time finer than a microsecond", `{"a":"2024-01-01T00:00:00.123456789Z"}`, "a", "2024-01-01T00:00:00.123456Z", `{"properties.a":"2024-01-01T00:00:00.123456789Z"}`},
		{"a dot in a key", `{"a.b":1}`, "a_b", "1", ""},
		{"depth 10", `{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":{"j":1}}}}}}}}}}`, "a_b_c_d_e_f_g_h_i_j", "1", ""},
		{"depth 11", `{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":{"j":{"k": 1}}}}}}}}}}}`, "a_b_c_d_e_f_g_h_i_j", `{"k":1}`, ""},
		{"not an object", `"text"`, "user_id", "u", `{"properties":"text"}`},
		{"null", `null`, "user_id", "u", ""},
		{"a property called _overflow", `{"_overflow":1}`, "overflow", "1", ""},
		{"a property of the context's name", `{"context_ip":"x"}`, "context_ip", "8.8.8.8", `{"properties.context_ip":"x"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := find(t, shape(t, newShaper(event.ShapeOptions{}), testCall(1, "track", tt.properties, `{"ip":"8.8.8.8"}`, "")), "t")
			v := b.Get(0, tt.column)
			if v.Type != table.String {
				v.Text = ""
			}
			if got := v.String(); got != tt.want || b.Find(tt.column) < 0 {
				t.Errorf("%s is %q, want %q", tt.column, got, tt.want)
			}
			if got := b.Get(0, "_overflow").Text; got != tt.overflow && tt.name != "no slug" {
				t.Errorf("_overflow is %s, want %s", got, tt.overflow)
			}
		})
	}
}

func TestDiscards(t *testing.T) {
	existing := []table.Column{{Name: "f", Type: table.Float, Path: "properties.f"}, {Name: "i", Type: table.Integer, Path: "properties.i"}}
	s := newShaper(event.ShapeOptions{})
	s.Restore("t", existing)
	future := testCall(5, "track", "", "", "")
	future.OriginalTimestamp, future.TS = noon+3*24*3600*1_000_000, future.ReceivedAt
	load := shape(t, s,
		testCall(1, "track", `{"f":9007199254740993}`, "", ""),
		testCall(2, "track", `{"f":1e400,"i":1e400}`, "", ""),
		testCall(3, "page", "", "", `{"name":{"a":1},"category":7}`),
		testCall(4, "track", `{"a":1,`, "", ""),
		future,
	)
	want := []event.Discard{
		{TableName: "pages", ColumnName: "name", Value: `{"a":1}`, ValueType: "json", ColumnType: "string", Reason: "not_a_scalar", RowID: "m3", ReceivedAt: noon + 3_000_000},
		{TableName: "t", ColumnName: "properties", Value: `{"a":1,`, ValueType: "json", Reason: "malformed_json", RowID: "m4", ReceivedAt: noon + 4_000_000},
		{TableName: "tracks", ColumnName: "timestamp", Value: "2024-06-04T12:00:00Z", ValueType: "timestamp", ColumnType: "timestamp", Reason: "ts_in_future", RowID: "m5", ReceivedAt: noon + 5_000_000},
		{TableName: "t", ColumnName: "f", Value: "9007199254740993", ValueType: "integer", ColumnType: "float", Reason: "integer_not_exact", RowID: "m1", ReceivedAt: noon + 1_000_000},
		{TableName: "t", ColumnName: "f", Value: "1e400", ValueType: "float", ColumnType: "float", Reason: "number_out_of_range", RowID: "m2", ReceivedAt: noon + 2_000_000},
		{TableName: "t", ColumnName: "i", Value: "1e400", ValueType: "float", ColumnType: "integer", Reason: "number_out_of_range", RowID: "m2", ReceivedAt: noon + 2_000_000},
	}
	if diff := cmp.Diff(want, load.Discards); diff != "" {
		t.Error(diff)
	}
	if got := find(t, load, "pages").Get(0, "category").Text; got != "7" {
		t.Errorf("category is %q", got)
	}
	if got := find(t, load, "t").Get(2, "a").Int64(); got != 1 || len(load.Widened) != 0 {
		t.Errorf("what stands before the fault is %d; widened %v", got, load.Widened)
	}
}

func TestPageName(t *testing.T) {
	for _, tt := range []struct{ payload, properties, name, other string }{
		{`{"name":"Home"}`, `{"name":"Home","category":"c"}`, "Home", ""},
		{`{"name":"Home"}`, `{"name":"Start"}`, "Home", "Start"},
		{`{"name":"42"}`, `{"name":42}`, "42", ""},
		{`{"name":null}`, `{"name":42}`, "42", ""},
		{`{"name":""}`, `{"name":"Start"}`, "Start", ""},
		{`{"name":"a","name":"b"}`, ``, "b", ""},
	} {
		b := find(t, shape(t, newShaper(event.ShapeOptions{}), testCall(1, "page", tt.properties, "", tt.payload)), "pages")
		if got := b.Get(0, "name").Text; got != tt.name {
			t.Errorf("%s and %s: name is %q, want %q", tt.payload, tt.properties, got, tt.name)
		}
		if got := b.Get(0, "_name").Text; got != tt.other {
			t.Errorf("%s and %s: _name is %q, want %q", tt.payload, tt.properties, got, tt.other)
		}
	}
}

func TestUnknownTypeAddsNothing(t *testing.T) {
	s := newShaper(event.ShapeOptions{})
	if err := s.Add(testCall(1, "merge", "", "", "")); err == nil {
		t.Error("no error")
	}
	if load := s.Take(); load.Calls != 0 || len(load.Tables) != 0 || len(load.Discards) != 0 {
		t.Errorf("%+v", load)
	}
}

func TestEventTableCap(t *testing.T) {
	s := newShaper(event.ShapeOptions{MaxEventTables: 2})
	s.RestoreEvent("users", "_users")
	s.Restore("_users", nil)
	var calls []*event.Call
	for i, e := range []string{"users", "one", "two", "three", "one"} {
		c := testCall(uint64(i), "track", `{"a":1}`, "", "")
		c.Event = e
		calls = append(calls, c)
	}
	load := shape(t, s, calls...)
	var got []string
	for _, b := range load.Tables {
		got = append(got, fmt.Sprintf("%s %d", b.Name, len(b.Rows)))
	}
	if diff := cmp.Diff([]string{"tracks 5", "_users 1", "one 2"}, got); diff != "" {
		t.Error(diff)
	}
	if len(load.Notices) != 1 || !strings.Contains(load.Notices[0], "three, two") {
		t.Errorf("notices %q", load.Notices)
	}
	if b := find(t, load, "tracks"); b.Get(2, "event").Text != "two" {
		t.Errorf("event is %v", b.Get(2, "event"))
	}
	if again := shape(t, s, calls...); len(again.Notices) != 0 {
		t.Errorf("the notice comes again: %q", again.Notices)
	}
}

func TestColumnCapHoldsAcrossRestore(t *testing.T) {
	s := newShaper(event.ShapeOptions{MaxColumns: 2})
	first := find(t, shape(t, s, testCall(1, "track", `{"a":1,"b":2,"c":3}`, "", "")), "t")
	again := newShaper(event.ShapeOptions{MaxColumns: 2})
	again.Restore("t", first.Columns)
	second := find(t, shape(t, again, testCall(2, "track", `{"c":3,"d":4,"b":5,"B":6}`, "", "")), "t")
	if diff := cmp.Diff(first.Columns, second.Columns); diff != "" {
		t.Errorf("columns: %s", diff)
	}
	if got := second.Get(0, "_overflow").Text; got != `{"properties.c":3,"properties.d":4,"properties.b":5}` {
		t.Errorf("_overflow is %s", got)
	}
}

// TestRestoreOfForeignTable takes over a table with odd types, upper case, another order and standard columns missing.
func TestRestoreOfForeignTable(t *testing.T) {
	s := newShaper(event.ShapeOptions{})
	s.Restore("firth_discards", []table.Column{{Name: "table_name", Type: table.String}})
	s.Restore("tracks", []table.Column{{Name: "USER_ID", Type: table.Integer}, {Name: "id", Type: table.String}, {Name: "_note", Type: table.String}})
	c := testCall(1, "track", "", `{"note":1}`, "")
	load := shape(t, s, c)
	b := find(t, load, "tracks")
	if b.Columns[0].Name != "USER_ID" || b.Find("user_id") >= 0 || b.Find("event_text") < 0 || b.Get(0, "id").Text != "m1" {
		t.Errorf("%+v", b.Columns)
	}
	if len(load.Discards) != 1 || load.Discards[0].ColumnName != "USER_ID" || load.Discards[0].RowID != "m1" {
		t.Errorf("%+v", load.Discards)
	}
}

// TestUsersDoNotDependOnChunks: the state of a user is that of the last value of each trait, however the calls are cut into loads.
func TestUsersDoNotDependOnChunks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		var calls []*event.Call
		want := map[string]map[string]string{}
		for i := range 30 {
			key, id := string(rune('a'+rnd.IntN(4))), string(rune('x'+rnd.IntN(3)))
			c := testCall(uint64(i), "identify", fmt.Sprintf(`{"%s":"%d"}`, key, i), "", "")
			c.UserID = id
			if want[id] == nil {
				want[id] = map[string]string{}
			}
			want[id][key], want[id]["received_at"] = fmt.Sprint(i), table.Time(c.ReceivedAt).String()
			calls = append(calls, c)
		}
		s := newShaper(event.ShapeOptions{})
		got := map[string]map[string]string{}
		for len(calls) > 0 {
			n := 1 + rnd.IntN(len(calls))
			chunk := calls[:n]
			calls = calls[n:]
			rnd.Shuffle(len(chunk), func(i, j int) { chunk[i], chunk[j] = chunk[j], chunk[i] })
			upsert(got, find(t, shape(t, s, chunk...), "users"))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
}

// upsert is what a warehouse does with a batch.
func upsert(state map[string]map[string]string, b *table.Batch) {
	for i := range b.Rows {
		id := b.Get(i, "id").Text
		if state[id] == nil {
			state[id] = map[string]string{}
		}
		for _, c := range b.Rows[i].Cells {
			if column := b.Columns[c.Col].Name; column != "id" {
				state[id][column] = c.Value.String()
			}
		}
	}
}
