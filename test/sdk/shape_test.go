package sdk

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The rules by which a call becomes rows, written a second time, from the documentation of the tables and not from Firth's code:
// Segment's snake case, flattening, the types of 7.2 of its schema, underscores before names that are taken.

// cell is one value of a typed table.
type cell struct {
	Type  string // VARCHAR, BIGINT, DOUBLE, BOOLEAN, TIMESTAMP
	Value string // timestamps in Unix microseconds
}

// record is one row of a typed table, less the columns that tell when it was loaded.
type record map[string]cell

// standard are the columns that every table of calls has.
var standard = []string{"id", "anonymous_id", "user_id", "received_at", "sent_at", "timestamp", "original_timestamp"}

var words = regexp.MustCompile(`[A-Z0-9]+[a-z0-9]*|[a-z0-9]+`)

func slug(s string) string {
	return strings.ToLower(strings.Join(words.FindAllString(s, -1), "_"))
}

// shape flattens the members of an object into columns. taken are the names of the table's own columns.
type shape struct {
	t        *testing.T
	taken    []string
	columns  record
	overflow map[string]string // column to the text of a number that no column holds
}

func (s *shape) object(prefix string, object map[string]any) {
	for member, value := range object {
		name := slug(member)
		if prefix != "" && name != "" {
			name = prefix + "_" + name
		}
		if nested, ok := value.(map[string]any); ok {
			s.object(name, nested)
			continue
		}
		if c, ok := s.cell(name, value); ok {
			s.columns[s.free(name)] = c
		}
	}
}

// free puts underscores before a name that the table has itself, or that SQL has. No call uses more of SQL's words than one.
func (s *shape) free(name string) string {
	for _, taken := range append(s.taken, "order") {
		if name == taken {
			return "_" + name
		}
	}
	return name
}

func (s *shape) cell(name string, value any) (cell, bool) {
	switch v := value.(type) {
	case nil:
		return cell{}, false
	case bool:
		return cell{"BOOLEAN", strconv.FormatBool(v)}, true
	case json.Number:
		return s.number(name, v), true
	case string:
		if us, ok := instant(v); ok {
			return cell{"TIMESTAMP", strconv.FormatInt(us, 10)}, true
		}
		return cell{"VARCHAR", v}, true
	}
	array, err := compact(value)
	if err != nil {
		s.t.Fatal(err)
	}
	return cell{"VARCHAR", array}, true
}

func (s *shape) number(name string, n json.Number) cell {
	text := n.String()
	if !strings.ContainsAny(text, ".eE") {
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			return cell{"BIGINT", text}
		}
		s.overflow[name] = text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return cell{"DOUBLE", strconv.FormatFloat(f, 'g', -1, 64)}
}

// tables holds the expected rows by table and by id.
type tables map[string]map[string]record

func (ts tables) add(table, id string, r record) {
	if ts[table] == nil {
		ts[table] = map[string]record{}
	}
	ts[table][id] = r
}

// expect gives the rows that the calls become, in the order of the journal, and the numbers that overflow has to keep.
func expect(t *testing.T, rows []row) (tables, map[string]string) {
	t.Helper()
	ts, overflow := tables{}, map[string]string{}
	for _, r := range rows {
		item := r.call.Item
		own := record{}
		switch item["type"] {
		case "track":
			name, _ := item["event"].(string)
			own["event_text"] = cell{"VARCHAR", name}
			table := slug(name)
			if table != "" {
				own["event"] = cell{"VARCHAR", table}
				ts.add(table, r.call.ID, r.shape(t, own, item["properties"], overflow))
			}
			ts.add("tracks", r.call.ID, r.shape(t, own, nil, overflow))
		case "page", "screen":
			properties, _ := item["properties"].(map[string]any)
			properties = maps.Clone(properties)
			for _, field := range []string{"name", "category"} {
				if text, ok := item[field].(string); ok {
					own[field] = cell{"VARCHAR", text}
				}
				if properties[field] == item[field] {
					delete(properties, field) // browsers send it twice
				}
			}
			ts.add(fmt.Sprint(item["type"])+"s", r.call.ID, r.shape(t, own, properties, overflow, "name", "category"))
		case "identify":
			ts.add("identifies", r.call.ID, r.shape(t, own, item["traits"], overflow))
			ts.upsert(t, "users", item["userId"], r)
		case "group":
			group, _ := item["groupId"].(string)
			own["group_id"] = cell{"VARCHAR", group}
			ts.add("groups", r.call.ID, r.shape(t, own, item["traits"], overflow, "group_id"))
			ts.upsert(t, "accounts", group, r)
		case "alias":
			previous, _ := item["previousId"].(string)
			own["previous_id"] = cell{"VARCHAR", previous}
			ts.add("aliases", r.call.ID, r.shape(t, own, item["traits"], overflow, "previous_id"))
		}
	}
	return ts, overflow
}

// shape gives one row: the common columns, the table's own, the context and the properties.
func (r row) shape(t *testing.T, own record, properties any, overflow map[string]string, taken ...string) record {
	s := shape{t: t, taken: append(append(taken, standard...), "event", "event_text"), columns: record{}, overflow: overflow}
	if object, ok := properties.(map[string]any); ok {
		s.object("", object)
	}
	s.object("context", r.context)
	maps.Copy(s.columns, own)
	item := r.call.Item
	for column, field := range map[string]string{"id": "messageId", "user_id": "userId", "anonymous_id": "anonymousId"} {
		if text, ok := item[field].(string); ok {
			s.columns[column] = cell{"VARCHAR", text}
		}
	}
	for column, us := range map[string]int64{"received_at": r.received, "sent_at": r.sent, "timestamp": r.timestamp, "original_timestamp": r.original} {
		s.columns[column] = cell{"TIMESTAMP", strconv.FormatInt(us, 10)}
	}
	return s.columns
}

// upsert lets a later call overwrite what it has, and nothing else.
func (ts tables) upsert(t *testing.T, table string, id any, r row) {
	t.Helper()
	key, ok := id.(string)
	if !ok {
		return
	}
	s := shape{t: t, taken: []string{"id", "received_at"}, columns: record{}, overflow: map[string]string{}}
	if traits, ok := r.call.Item["traits"].(map[string]any); ok {
		s.object("", traits)
	}
	s.object("context", r.context)
	s.columns["id"] = cell{"VARCHAR", key}
	s.columns["received_at"] = cell{"TIMESTAMP", strconv.FormatInt(r.received, 10)}
	if ts[table][key] == nil {
		ts.add(table, key, record{})
	}
	maps.Copy(ts[table][key], s.columns)
}
