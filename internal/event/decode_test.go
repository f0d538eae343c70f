package event

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cockroachdb/datadriven"
	"github.com/go-json-experiment/json/jsontext"
)

const testLog = "0198f0a2-7c1d-7000-8000-00000000f17e"

// TestDecode runs the scripts of testdata/decode. The command is
//
//	decode [type=...] [ip=...] [policy=keep|truncate|drop] [client] [trust] [max-event=N] [max-batch=N] [received=TIME] [refused=...] [quoted]
//
// with the body below it, as a Go string literal where quoted is given. The output has a paragraph for each call and each dead letter.
func TestDecode(t *testing.T) {
	var d Decoder // one for all, so that nothing of a request may show in the next
	datadriven.Walk(t, "testdata/decode", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			if td.Cmd != "decode" {
				t.Fatalf("%s: unknown command %s", td.Pos, td.Cmd)
			}
			r, received := scriptRequest(t, td)
			return decodeText(t, &d, r, received)
		})
	})
}

func scriptRequest(t *testing.T, td *datadriven.TestData) (*Request, int64) {
	t.Helper()
	r := &Request{Source: "production", Body: []byte(td.Input), MaxEvent: 32768, MaxBatch: 2500}
	received := "2026-11-21T12:00:00Z"
	text := func(key string, to *string) {
		if td.HasArg(key) {
			td.ScanArgs(t, key, to)
		}
	}
	text("type", &r.Type)
	text("ip", &r.IP)
	text("refused", &r.Refused)
	text("received", &received)
	td.MaybeScanArgs(t, "max-event", &r.MaxEvent)
	td.MaybeScanArgs(t, "max-batch", &r.MaxBatch)
	r.Client, r.TrustTimestamp = td.HasArg("client"), td.HasArg("trust")
	var policy string
	text("policy", &policy)
	r.IPPolicy = map[string]uint8{"": IPKeep, "keep": IPKeep, "truncate": IPTruncate, "drop": IPDrop}[policy]
	if td.HasArg("quoted") {
		body, err := strconv.Unquote(strings.TrimSpace(td.Input))
		if err != nil {
			t.Fatalf("%s: %v", td.Pos, err)
		}
		r.Body = []byte(body)
	}
	return r, micros(t, received)
}

func decodeText(t *testing.T, d *Decoder, r *Request, received int64) string {
	t.Helper()
	var out strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&out, "  %s: %s\n", name, value)
		}
	}
	at := func(us int64) string {
		if us == NoTime {
			return ""
		}
		return time.UnixMicro(us).UTC().Format(time.RFC3339Nano)
	}
	err := d.Decode(r, testLog, 70, received, func(c *Call) error {
		fmt.Fprintf(&out, "call %d %s %q\n", c.Offset, c.Type, c.Event)
		line("message_id", c.MessageID)
		line("user_id", fmt.Sprintf("%q", c.UserID))
		line("anonymous_id", fmt.Sprintf("%q", c.AnonymousID))
		line("ts", at(c.TS))
		line("sent_at", at(c.SentAt))
		line("original_timestamp", at(c.OriginalTimestamp))
		line("properties", string(c.Properties))
		line("context", string(c.Context))
		line("integrations", string(c.Integrations))
		line("payload", string(c.Payload))
		if computed, future := ClockTS(c); future {
			line("in the future", at(computed))
		}
		if c.ReceivedAt != received || c.Log != testLog {
			t.Errorf("received at %d in %s", c.ReceivedAt, c.Log)
		}
		return nil
	}, func(l *DeadLetter) error {
		fmt.Fprintf(&out, "dead %d %s %s\n  payload: %s\n", l.Offset, l.Source, l.Reason, l.Payload)
		return nil
	})
	if err != nil {
		fmt.Fprintf(&out, "error: %v\n", err)
	}
	return out.String()
}

func TestDecodePassesErrorsOn(t *testing.T) {
	var d Decoder
	stop := fmt.Errorf("stop")
	r := &Request{Body: []byte(`{"batch":[{"type":"page","userId":"u"},{"type":"page"}]}`)}
	fine, deadFine := func(*Call) error { return nil }, func(*DeadLetter) error { return nil }
	if err := d.Decode(r, testLog, 1, 0, func(*Call) error { return stop }, deadFine); !errors.Is(err, stop) {
		t.Errorf("from call: %v", err)
	}
	if err := d.Decode(r, testLog, 1, 0, fine, func(*DeadLetter) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("from dead: %v", err)
	}
}

func TestDecodeTwentyThousandKeys(t *testing.T) {
	var body bytes.Buffer
	body.WriteString(`{"batch":[{"type":"track","event":"a","userId":"u","context":{`)
	for i := range 20000 {
		fmt.Fprintf(&body, `"k%d":%d,`, i, i)
	}
	body.WriteString(`"last":1}}],"context":{`)
	for i := range 20000 {
		fmt.Fprintf(&body, `"k%d":%d,`, 2*i, -i)
	}
	body.WriteString(`"last":2}}`)
	var d Decoder
	n := 0
	r := &Request{Body: body.Bytes(), IPPolicy: IPTruncate}
	err := d.Decode(r, testLog, 1, 0, func(c *Call) error {
		n++
		names := 0
		new(cursor).members(c.Context, func(_, _, _ []byte) { names++ })
		if names != 30001 {
			t.Errorf("the context has %d members", names)
		}
		return nil
	}, func(l *DeadLetter) error { return fmt.Errorf("dead letter %s", l.Reason) })
	if err != nil || n != 1 {
		t.Errorf("%d calls, %v", n, err)
	}
}

// delivered is what one Decode gave, copied.
type delivered struct {
	Calls []Call
	Dead  []DeadLetter
}

func decodeAll(d *Decoder, r *Request) (delivered, error) {
	var out delivered
	err := d.Decode(r, testLog, 5, 1763719260_000000, func(c *Call) error {
		kept := *c
		kept.Properties, kept.Context, kept.Payload = bytes.Clone(c.Properties), bytes.Clone(c.Context), bytes.Clone(c.Payload)
		kept.Integrations = bytes.Clone(c.Integrations)
		out.Calls = append(out.Calls, kept)
		return nil
	}, func(l *DeadLetter) error {
		kept := *l
		kept.Payload = bytes.Clone(l.Payload)
		out.Dead = append(out.Dead, kept)
		return nil
	})
	return out, err
}

func FuzzDecode(f *testing.F) {
	f.Add(sampleBatch(2), "", uint8(0), true)
	f.Add(sampleEvent(1), "track", uint8(1), false)
	f.Add([]byte("{\"batch\":[{\"type\":\"page\",\"userId\":1,\"writeKey\":\"k\",\"x\":\"\xff\"},5],\"context\":{\"ip\":\"1.2.3.4\",\"direct\":true},\"integrations\":{\"All\":false}}"), "", uint8(2), true)
	f.Add([]byte(`{"batch":[{},{},{},{"writeKey":"k" , "writeKey":"l"}]}`), "", uint8(0), false)
	f.Add([]byte(`{"userId":"\ud800","context":null,"context":{"ip":null}}`), "identify", uint8(1), true)
	f.Fuzz(func(t *testing.T, body []byte, typ string, policy uint8, client bool) {
		batch := TypeOf(typ) == ""
		env, scanErr := Scan(body, batch)
		r := &Request{Source: "s", Type: TypeOf(typ), IP: "203.0.113.7", IPPolicy: policy % 3, Client: client, Body: body, MaxEvent: 4096, MaxBatch: 3}
		var d Decoder
		got, err := decodeAll(&d, r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeAll(&d, r)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, again) {
			t.Fatalf("not the same twice: %v, %v", got, again)
		}
		offsets := make(map[uint64]int)
		for _, l := range got.Dead {
			if !utf8.Valid(l.Payload) || bytes.IndexByte(l.Payload, 0) >= 0 {
				t.Errorf("the payload of a dead letter is not text: %q", l.Payload)
			}
			if !Kept(l.Reason) {
				offsets[l.Offset]++
			}
		}
		for i := range got.Calls {
			offsets[got.Calls[i].Offset]++
			checkFuzzed(t, r, &got.Calls[i])
		}
		if scanErr != nil {
			return
		}
		want := min(env.Count, 4) // three, and one for the surplus
		for i := range want {
			if offsets[5+uint64(i)] != 1 {
				t.Errorf("offset %d was delivered %d times", 5+i, offsets[5+uint64(i)])
			}
		}
		if len(offsets) != want {
			t.Errorf("%d offsets for %d items", len(offsets), env.Count)
		}
	})
}

func checkFuzzed(t *testing.T, r *Request, c *Call) {
	t.Helper()
	for _, v := range [][]byte{c.Properties, c.Context, c.Payload, c.Integrations} {
		if v != nil && !jsontext.Value(v).IsValid(jsontext.AllowDuplicateNames(true)) {
			t.Errorf("not valid JSON: %q", v)
		}
	}
	for _, s := range []string{c.MessageID, c.UserID, c.AnonymousID, c.Event} {
		if !utf8.ValidString(s) {
			t.Errorf("not UTF-8: %q", s)
		}
	}
	if c.MessageID == "" || c.UserID == "" && c.AnonymousID == "" || TypeOf(c.Type) == "" || c.Event == "" {
		t.Errorf("a call without what it needs: %+v", c)
	}
	new(cursor).members(c.Payload, func(_, name, _ []byte) {
		if string(name) == "writeKey" {
			t.Errorf("the write key is in the payload %q", c.Payload)
		}
	})
	if r.IPPolicy == IPDrop && len(c.Context) > 0 && c.Context[0] == '{' {
		new(cursor).members(c.Context, func(_, name, _ []byte) {
			if string(name) == "ip" {
				t.Errorf("the address is in the context %q", c.Context)
			}
		})
	}
	if c.TS > c.ReceivedAt+FutureLimit {
		t.Errorf("ts %d is too far ahead", c.TS)
	}
}
