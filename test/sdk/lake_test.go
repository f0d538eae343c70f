package sdk

import (
	"fmt"
	"maps"
	"strconv"
	"testing"
	"time"

	"firth/test/rig"
)

// row is one row of the lake, with the call that it comes from.
type row struct {
	call                call
	offset              uint64
	received, sent      int64 // Unix microseconds; 0: NULL
	original, timestamp int64
	context             map[string]any
}

const lakeQuery = `SELECT message_id, type, event, user_id, anonymous_id, epoch_us(ts)::VARCHAR, epoch_us(received_at)::VARCHAR,
	epoch_us(sent_at)::VARCHAR, epoch_us(original_timestamp)::VARCHAR, properties, context, og_payload, _firth_log, _firth_offset::VARCHAR
	FROM lake.%q ORDER BY _firth_offset`

// checkLake compares the rows of the source with the wire, every column of them, and returns them in the order of the journal.
func checkLake(t *testing.T, s *rig.Server, c client, wire map[string]call, began time.Time) []row {
	t.Helper()
	table, err := s.SQL(fmt.Sprintf(lakeQuery, c.name))
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != len(wire) {
		t.Errorf("lake.%s has %d rows of %d calls", c.name, len(table.Rows), len(wire))
	}
	seen := map[string]bool{}
	var rows []row
	for _, cells := range table.Rows {
		id := text(cells[0])
		sent, ok := wire[id]
		if !ok || seen[id] {
			t.Errorf("lake.%s: %s is a row too many", c.name, id)
			continue
		}
		seen[id] = true
		r := row{call: sent, timestamp: number(t, cells[5]), received: number(t, cells[6]), sent: number(t, cells[7]),
			original: number(t, cells[8]), offset: uint64(number(t, cells[13]))}
		checkIdentity(t, id, sent.Item, cells)
		checkTimes(t, id, sent, r, began)
		r.context = checkJSON(t, c, id, sent.Item, cells)
		if text(cells[12]) == "" {
			t.Errorf("%s: no _firth_log", id)
		}
		rows = append(rows, r)
	}
	for _, table := range []string{"firth.dead_letters WHERE source = $1", fmt.Sprintf("%q.firth_discards WHERE $1 <> ''", c.name)} {
		if n, err := s.Count("SELECT count(*) FROM "+table, c.name); err != nil || n != 0 {
			t.Errorf("%s: %d rows, %v", table, n, err)
		}
	}
	return rows
}

func checkIdentity(t *testing.T, id string, item map[string]any, cells []any) {
	t.Helper()
	event := item["type"]
	if event == "track" {
		event = item["event"]
	}
	for i, want := range map[int]any{1: item["type"], 2: event, 3: item["userId"], 4: item["anonymousId"]} {
		if cells[i] != want {
			t.Errorf("%s: column %d of the lake is %#v, want %#v", id, i, cells[i], want)
		}
	}
}

// checkTimes: the caller's timestamp is kept as original_timestamp, and ts is received_at - (sent_at - original_timestamp).
func checkTimes(t *testing.T, id string, sent call, r row, began time.Time) {
	t.Helper()
	original, ok := instantOf(sent.Item, "timestamp")
	if !ok {
		original, ok = instantOf(sent.Item, "originalTimestamp")
	}
	if !ok || r.original != original {
		t.Errorf("%s: original_timestamp is %d, want %d", id, r.original, original)
	}
	if want, ok := instant(sent.SentAt); !ok || r.sent != want {
		t.Errorf("%s: sent_at is %d, want %d", id, r.sent, want)
	}
	if r.received < began.UnixMicro() || r.received > time.Now().UnixMicro() {
		t.Errorf("%s: received_at %d is not within this run", id, r.received)
	}
	if want := r.received - (r.sent - r.original); r.timestamp != want {
		t.Errorf("%s: ts is %d, want %d", id, r.timestamp, want)
	}
}

func instantOf(item map[string]any, field string) (int64, bool) {
	value, _ := item[field].(string)
	return instant(value)
}

// checkJSON compares properties, context and og_payload with the wire, and returns the context as stored.
func checkJSON(t *testing.T, c client, id string, item map[string]any, cells []any) map[string]any {
	t.Helper()
	field := "properties"
	switch item["type"] {
	case "identify", "group", "alias":
		field = "traits"
	}
	if got := text(cells[9]); got != "" || item[field] != nil {
		var properties any
		decode(t, []byte(got), &properties)
		if d := same(id+" "+field, item[field], properties); d != "" {
			t.Error(d)
		}
	}
	var context, payload map[string]any
	decode(t, []byte(text(cells[10])), &context)
	decode(t, []byte(text(cells[11])), &payload)
	sent, _ := item["context"].(map[string]any)
	sent = withIP(c, sent)
	if d := same(id+" context", sent, context); d != "" {
		t.Error(d)
	}
	whole := maps.Clone(item)
	whole["context"] = sent
	if d := same(id+" og_payload", whole, payload); d != "" {
		t.Error(d)
	}
	if library, _ := context["library"].(map[string]any); library["name"] != c.library {
		t.Errorf("%s: the library is %v, want %s", id, library["name"], c.library)
	}
	return context
}

// withIP adds what the server knows about client-side traffic: the address that it came from.
func withIP(c client, context map[string]any) map[string]any {
	if _, ok := context["ip"]; ok || !c.browser {
		return context
	}
	out := map[string]any{"ip": "127.0.0.1"}
	maps.Copy(out, context)
	return out
}

func text(cell any) string {
	s, _ := cell.(string)
	return s
}

// number reads an integer that was asked for as text; NULL is 0.
func number(t *testing.T, cell any) int64 {
	t.Helper()
	if cell == nil {
		return 0
	}
	n, err := strconv.ParseInt(text(cell), 10, 64)
	if err != nil {
		t.Errorf("%#v is no integer: %v", cell, err)
	}
	return n
}
