package collect

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sdkCase is a request in the shape that an SDK was seen to send, and the calls that must come of it: type, event, user, anonymous user
// and library, then the id.
type sdkCase struct {
	name    string
	target  string
	headers []string
	body    string
	packed  bool
	want    []string
}

func sdkCases() []sdkCase {
	return append(serverSDKs(), clientSDKs()...)
}

func serverSDKs() []sdkCase {
	return []sdkCase{
		{
			name: "analytics-node 3.1.0", target: "/v1/batch", headers: []string{auth, "Content-Type: application/json", "User-Agent: analytics-node-next/latest"},
			body: `{"batch":[{"timestamp":"2026-11-21T11:59:58.123Z","integrations":{},"type":"track","event":"Order Completed","userId":"u1","properties":{"revenue":22.5},` +
				`"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}},"_metadata":{"nodeVersion":"22.0.0","jsRuntime":"node"},"messageId":"node-next-1"},` +
				`{"timestamp":"2026-11-21T11:59:58.124Z","type":"alias","userId":"u2","previousId":"u1","context":{"library":{"name":"@segment/analytics-node"}},"messageId":"node-next-2"}],` +
				`"writeKey":"wk","sentAt":"2026-11-21T11:59:59.000Z"}`,
			want: []string{"track|Order Completed|u1||@segment/analytics-node|node-next-1", "alias|alias|u2||@segment/analytics-node|node-next-2"},
		},
		{
			name: "segment-analytics-python 2.4.0, gzip", target: "/v1/batch", packed: true,
			headers: []string{auth, "Content-Type: application/json", "Content-Encoding: gzip", "X-Retry-Count: 0"},
			body: `{"batch": [{"integrations": {}, "anonymousId": null, "timestamp": "2026-11-21T11:59:58.123456+00:00", "context": {"library": {"name": "analytics-python", "version": "2.4.0"}}, ` +
				`"type": "track", "userId": "u1", "event": "Big", "properties": {"n": 1267650600228229401496703205376}, "messageId": "p1"}, ` +
				`{"integrations": {}, "previousId": "u0", "timestamp": "2026-11-21T11:59:58.123456+00:00", "context": {"library": {"name": "analytics-python"}}, "type": "alias", "userId": "u1", ` +
				`"anonymousId": null, "messageId": "p2"}], "writeKey": "wk", "sentAt": "2026-11-21T11:59:59.000001+00:00"}`,
			want: []string{"track|Big|u1||analytics-python|p1", "alias|alias|u1||analytics-python|p2"},
		},
		{
			name: "analytics-java 3.5.4", target: "/v1/import/", headers: []string{"Content-Type: application/json; charset=UTF-8"},
			body: `{"batch":[{"messageId":"j1","sentAt":"2026-11-21T11:59:59.000Z","timestamp":"2026-11-21T11:59:58.123Z","type":"identify","userId":"u1","traits":{"big":1.0E21}},` +
				`{"messageId":"j2","timestamp":"2026-11-21T11:59:58.123Z","type":"group","userId":"u1","groupId":"g1","context":{"locale":"de"}}],` +
				`"sentAt":"2026-11-21T11:59:59.000Z","context":{"library":{"name":"analytics-java","version":"3.5.4"}},"sequence":1,"writeKey":"wk"}`,
			want: []string{"identify|identify|u1||analytics-java|j1", "group|group|u1||analytics-java|j2"},
		},
		{
			name: "analytics-go 3.3.0", target: "/v1/batch", headers: []string{auth, "Content-Type: application/json", "User-Agent: analytics-go (version: 3.3.0)"},
			body: `{"messageId":"e1","sentAt":"2026-11-21T11:59:59.0000001Z","batch":[{"type":"track","messageId":"g1","userId":"u1","event":"Max","timestamp":"2026-11-21T11:59:58.12345678Z",` +
				`"properties":{"n":18446744073709551615},"context":{"library":{"name":"other"}}}],"context":{"library":{"name":"analytics-go","version":"3.3.0"}}}`,
			want: []string{"track|Max|u1||other|g1"},
		},
		{
			name: "rust segment 0.2.6, one call", target: "/v1/track", headers: []string{auth, "Content-Type: application/json"},
			body: `{"userId":"u1","event":"Rusty","properties":{"__proto__":{"a":1}}}`,
			want: []string{"track|Rusty|u1|||firth-log-0"},
		},
		{
			name: "rudder-sdk-node 3.0.13", target: "/v1/batch", packed: true,
			headers: []string{auth, "Content-Type: application/x-www-form-urlencoded", "Content-Encoding: gzip"},
			body: `{"batch":[{"type":"track","event":"Ruddered","userId":"u1","context":{"library":{"name":"@rudderstack/rudder-sdk-node","version":"3.0.13"}},"properties":{},` +
				`"channel":"server","originalTimestamp":"2026-11-21T11:59:58.123Z","messageId":"r1","sentAt":"2026-11-21T11:59:59.000Z"}],"sentAt":"2026-11-21T11:59:59.100Z"}`,
			want: []string{"track|Ruddered|u1||@rudderstack/rudder-sdk-node|r1"},
		},
	}
}

func clientSDKs() []sdkCase {
	browser := `{"timestamp":"2026-11-21T11:59:58.123Z","integrations":{},"anonymousId":"a1","type":%q,%s"context":{"page":{"path":"/","title":"Home"},"library":{"name":"analytics.js","version":"npm:next-1.84.3"}},` +
		`"messageId":"ajs-next-1","writeKey":"wk","userId":null,"sentAt":"2026-11-21T11:59:59.000Z","_metadata":{"bundled":["Segment.io"],"unbundled":[],"bundledIds":[]}}`
	var cases []sdkCase
	for typ, more := range map[string]string{"track": `"event":"Clicked",`, "page": `"properties":{},`, "identify": `"traits":{"plan":"free"},`, "screen": `"name":"Start",`, "group": `"groupId":"g1",`} {
		event := typ
		if typ == "track" {
			event = "Clicked"
		}
		cases = append(cases, sdkCase{
			name: "analytics-next 1.84.3, " + typ, target: "/v1/" + typ[:1], headers: []string{auth, "Content-Type: text/plain", "Origin: https://shop.example.com"},
			body: fmt.Sprintf(browser, typ, more), want: []string{typ + "|" + event + "||a1|analytics.js|ajs-next-1"},
		})
	}
	return append(cases,
		sdkCase{
			name: "analytics-next 1.84.3, alias", target: "/v1/a", headers: []string{auth, "Content-Type: text/plain"},
			body: strings.Replace(fmt.Sprintf(browser, "alias", `"previousId":"a1",`), `"userId":null`, `"userId":"u1"`, 1),
			want: []string{"alias|alias|u1|a1|analytics.js|ajs-next-1"},
		},
		sdkCase{
			name: "analytics-next 1.84.3, batching", target: "/v1/b", headers: []string{auth, "Content-Type: text/plain", "Origin: https://shop.example.com"},
			body: `{"writeKey":"wk","batch":[` + fmt.Sprintf(browser, "track", `"event":"Clicked",`) + `],"sentAt":"2026-11-21T11:59:59.000Z"}`,
			want: []string{"track|Clicked||a1|analytics.js|ajs-next-1"},
		},
		sdkCase{
			name: "analytics-kotlin 1.27.0", target: "/v1/b", packed: true, headers: []string{"Content-Type: text/plain", "Content-Encoding: gzip"},
			body: `{"batch":[{"type":"screen","name":"Start","messageId":"k1","anonymousId":"a1","context":{"library":{"name":"analytics-kotlin","version":"1.27.0"}},"integrations":{},"userId":"",` +
				`"timestamp":"2026-11-21T11:59:58.123Z","properties":{}}],"sentAt":"2026-11-21T11:59:59.000Z","writeKey":"wk"}`,
			want: []string{"screen|screen||a1|analytics-kotlin|k1"},
		},
		sdkCase{
			name: "RudderStack's beacon", target: "/beacon/v1/batch?writeKey=wk", headers: []string{"Content-Type: text/plain;charset=UTF-8"},
			body: `{"batch":[{"type":"page","anonymousId":"a1","messageId":"b1","originalTimestamp":"2026-11-21T11:59:58.123Z"}]}`,
			want: []string{"page|page||a1||b1"},
		},
	)
}

func TestWhatSDKsSend(t *testing.T) {
	for _, c := range sdkCases() {
		t.Run(c.name, func(t *testing.T) {
			j := &memory{}
			addr := listen(t, newHandler(t, j))
			body := c.body
			if c.packed {
				body = packed(t, body)
			}
			reply := exchange(t, addr, wire("POST", c.target, body, c.headers...), "POST")
			if !strings.HasPrefix(reply, "HTTP/1.1 200 ") || !strings.HasSuffix(reply, "\r\n\r\n"+`{"success":true}`) {
				t.Fatal(reply)
			}
			calls, dead := j.decode(t)
			var got []string
			for i := range calls {
				call := &calls[i]
				_, library, _ := strings.Cut(string(call.Context), `"library":{"name":"`)
				if library == "" {
					_, library, _ = strings.Cut(string(call.Context), `"library": {"name": "`)
				}
				library, _, _ = strings.Cut(library, `"`)
				got = append(got, strings.Join([]string{call.Type, call.Event, call.UserID, call.AnonymousID, library, call.MessageID}, "|"))
				if strings.Contains(string(call.Payload), `"wk"`) {
					t.Errorf("the write key is in the payload: %s", call.Payload)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" || len(dead) != 0 {
				t.Errorf("%s\ndead letters: %+v", diff, dead)
			}
		})
	}
}

// TestExactNumbers holds the digits that JSON libraries like to lose.
func TestExactNumbers(t *testing.T) {
	want := map[string]string{
		"segment-analytics-python 2.4.0, gzip": `{"n": 1267650600228229401496703205376}`,
		"analytics-java 3.5.4":                 `{"big":1.0E21}`,
		"analytics-go 3.3.0":                   `{"n":18446744073709551615}`,
		"rust segment 0.2.6, one call":         `{"__proto__":{"a":1}}`,
	}
	for _, c := range serverSDKs() {
		if want[c.name] == "" {
			continue
		}
		j := &memory{}
		body := c.body
		if c.packed {
			body = packed(t, body)
		}
		wantStatus(t, post(newHandler(t, j), "POST", c.target, body, c.headers...), 200)
		if calls, _ := j.decode(t); len(calls) == 0 || string(calls[0].Properties) != want[c.name] {
			t.Errorf("%s: %+v", c.name, calls)
		}
	}
}
