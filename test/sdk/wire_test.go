package sdk

import (
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// call is one item on the wire, as the server has to understand it: with its envelope's context and integrations, without write keys.
type call struct {
	ID     string
	Item   map[string]any
	SentAt string // the item's own, else the envelope's
}

// calls returns the items of all requests that were answered 200, in no order between connections.
func calls(t *testing.T, exchanges []exchange) []call {
	t.Helper()
	var all []call
	for _, e := range exchanges {
		if e.Method != "POST" {
			continue
		}
		if e.Status != 200 {
			t.Errorf("%s %s was answered %d: %s", e.Method, e.Path, e.Status, e.Answer)
			continue
		}
		all = append(all, items(t, e)...)
	}
	return all
}

func items(t *testing.T, e exchange) []call {
	t.Helper()
	var body map[string]any
	decode(t, e.Body, &body)
	batch, ok := body["batch"].([]any)
	if !ok {
		return []call{callOf(body, map[string]any{})}
	}
	all := make([]call, len(batch))
	for i, item := range batch {
		all[i] = callOf(item.(map[string]any), body)
	}
	return all
}

func callOf(item, envelope map[string]any) call {
	item = maps.Clone(item)
	delete(item, "writeKey")
	for _, field := range []string{"context", "integrations"} {
		outer, ok := envelope[field].(map[string]any)
		if !ok {
			continue
		}
		merged := maps.Clone(outer)
		if inner, ok := item[field].(map[string]any); ok {
			maps.Copy(merged, inner)
		}
		item[field] = merged
	}
	c := call{Item: item}
	c.ID, _ = item["messageId"].(string)
	if c.SentAt, _ = item["sentAt"].(string); c.SentAt == "" {
		c.SentAt, _ = envelope["sentAt"].(string)
	}
	return c
}

// forms describes the distinct kinds of requests of a run: method, path, how the key, the type and the encoding are given, and
// which members the envelope and the items of each type have.
func forms(t *testing.T, exchanges []exchange, key string) string {
	t.Helper()
	headers := map[string]string{}
	members := map[string]map[string]map[string]bool{} // of request, of envelope or type
	for _, e := range exchanges {
		name := e.Method + " " + strings.ReplaceAll(e.Path, key, "KEY")
		text := headerForm(t, e, key)
		if old, ok := headers[name]; ok && old != text {
			t.Errorf("%s comes in two forms:\n%s\n%s", name, old, text)
		}
		headers[name] = text
		if members[name] == nil {
			members[name] = map[string]map[string]bool{}
		}
		if len(e.Body) > 0 {
			noteMembers(t, members[name], e)
		}
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		fmt.Fprintf(&b, "%s\n%s", name, headers[name])
		for _, kind := range slices.Sorted(maps.Keys(members[name])) {
			fmt.Fprintf(&b, "  %s: %s\n", kind, strings.Join(slices.Sorted(maps.Keys(members[name][kind])), " "))
		}
	}
	return b.String()
}

func headerForm(t *testing.T, e exchange, key string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range []string{"Content-Type", "Content-Encoding", "Transfer-Encoding", "Access-Control-Request-Headers"} {
		if value := e.Header.Get(name); value != "" {
			fmt.Fprintf(&b, "  %s: %s\n", name, value)
		}
	}
	if e.Header.Get("Origin") != "" {
		b.WriteString("  Origin: yes\n")
	}
	if auth := e.Header.Get("Authorization"); auth != "" {
		form := auth
		if auth == "Basic "+base64.StdEncoding.EncodeToString([]byte(key+":")) {
			form = "Basic KEY:"
		}
		fmt.Fprintf(&b, "  Authorization: %s\n", form)
	}
	return b.String()
}

func noteMembers(t *testing.T, into map[string]map[string]bool, e exchange) {
	t.Helper()
	note := func(kind string, object map[string]any) {
		if into[kind] == nil {
			into[kind] = map[string]bool{}
		}
		for member := range object {
			into[kind][member] = true
		}
	}
	var body map[string]any
	decode(t, e.Body, &body)
	batch, ok := body["batch"].([]any)
	if !ok {
		note(fmt.Sprint(body["type"]), body)
		return
	}
	note("envelope", body)
	for _, item := range batch {
		object := item.(map[string]any)
		note(fmt.Sprint(object["type"]), object)
	}
}

// checkForms compares the forms of a run with those written down in testdata/wire.
func checkForms(t *testing.T, c client, exchanges []exchange) {
	t.Helper()
	got := forms(t, exchanges, c.key())
	path := filepath.Join("testdata", "wire", c.name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the SDK sends in another form than %s says (-update rewrites it):\n%s", path, diff)
	}
}

// checkSent compares what the client was told to send with what went over the wire, and returns that by message id.
func checkSent(t *testing.T, c client, out sent, exchanges []exchange) map[string]call {
	t.Helper()
	if len(out.Calls) == 0 {
		t.Fatalf("%s sent nothing", c.name)
	}
	wire := map[string]call{}
	for _, call := range calls(t, exchanges) {
		if _, twice := wire[call.ID]; twice {
			t.Errorf("%s sent %s more than once", c.name, call.ID)
		}
		wire[call.ID] = call
	}
	if len(wire) != len(out.Calls) {
		t.Errorf("%s made %d calls, on the wire are %d", c.name, len(out.Calls), len(wire))
	}
	for _, want := range out.Calls {
		id, _ := want["messageId"].(string)
		got, ok := wire[id]
		if !ok {
			t.Errorf("%s: %s is not on the wire", c.name, id)
			continue
		}
		if d := holds(id, want, got.Item); d != "" {
			t.Errorf("%s %s: %s", out.Library, out.Version, d)
		}
	}
	return wire
}
