package event

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// sampleEvent is a browser-like track call of some 1.2 KB.
func sampleEvent(i int) []byte {
	return fmt.Appendf(nil, `{"timestamp":"2026-11-21T10:00:%02d.%03dZ","integrations":{},"type":"track","event":"Feature Used","userId":"user_%06d","anonymousId":"4f8cb2a0-9c4e-4f0a-8a51-%012d","properties":{"feature":"dashboard","plan":"business","seats":%d,"price":18.99,"duration_ms":%d,"beta":true,"path":"/projects/42/board","title":"Project board – Acme","referrer":"https://app.example.com/projects","labels":["red","green","blue"],"nested":{"a":1,"b":"two","c":null}},"context":{"page":{"path":"/projects/42/board","referrer":"https://app.example.com/projects","search":"?tab=board&sort=desc","title":"Project board","url":"https://app.example.com/projects/42/board?tab=board&sort=desc"},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36","locale":"en-GB","library":{"name":"analytics.js","version":"npm:next-1.84.3"},"campaign":{"name":"autumn","source":"newsletter","medium":"email"},"timezone":"Europe/Berlin","screen":{"width":1920,"height":1080,"density":1}},"messageId":"ajs-next-1763719200%03d-8d1c0c7e-6a67-4b0e-9c39-%012d"}`,
		i%60, i%1000, i%5000, i, i%50, i*7, i%1000, i)
}

func sampleBatch(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"batch":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(sampleEvent(i))
	}
	b.WriteString(`],"sentAt":"2026-11-21T10:01:00.000Z","writeKey":"wk_production"}`)
	return b.Bytes()
}

func BenchmarkScan(b *testing.B) {
	for _, n := range []int{1, 20, 100} {
		b.Run(fmt.Sprintf("%d", n), func(b *testing.B) {
			body := sampleBatch(n)
			var s Scanner
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Scan(body, true); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func TestScan(t *testing.T) {
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	type want struct {
		key     string
		count   int
		item    string
		invalid bool
		reason  string
	}
	for name, c := range map[string]struct {
		body  string
		batch bool
		want  want
	}{
		"single":                 {`{"event":"a","writeKey":"k"}`, false, want{key: "k", count: 1}},
		"single without a key":   {`{"event":"a"}`, false, want{count: 1}},
		"a key that is no text":  {`{"writeKey":5}`, false, want{count: 1}},
		"the last key wins":      {`{"writeKey":"a","writeKey":"b"}`, false, want{key: "b", count: 1}},
		"an escaped name":        {`{"write\u004bey":"k\u0031"}`, false, want{key: "k1", count: 1}},
		"a nested key":           {`{"properties":{"writeKey":"k"}}`, false, want{count: 1}},
		"batch":                  {`{"batch":[{},{},{}],"writeKey":"k"}`, true, want{key: "k", count: 3}},
		"empty batch":            {`{"batch":[]}`, true, want{count: 0}},
		"a key in an item":       {`{"batch":[1,{"writeKey":"k"}]}`, true, want{count: 2, item: "k"}},
		"two arrays":             {`{"batch":[{}],"batch":[{},{}]}`, true, want{count: 3}},
		"a batch for one":        {`{"batch":[{}]}`, false, want{count: 1}},
		"duplicate names":        {`{"a":1,"a":2,"b":{"c":1,"c":1}}`, false, want{count: 1}},
		"NUL in a string":        {`{"event":"a\u0000b"}`, false, want{count: 1}},
		"invalid UTF-8":          {"{\"event\":\"a\xffb\",\"writeKey\":\"k\"}", false, want{key: "k", count: 1, invalid: true}},
		"half a surrogate pair":  {`{"event":"\ud83d"}`, false, want{count: 1, invalid: true}},
		"key in an invalid item": {"{\"batch\":[{\"writeKey\":\"k\",\"e\":\"\xff\"}]}", true, want{count: 1, item: "k", invalid: true}},
		"nested 9,999 deep":      {deep(9999), false, want{count: 1}},
		"no batch":               {`{"writeKey":"k"}`, true, want{reason: ReasonMissingBatch}},
		"a batch of no array":    {`{"batch":{}}`, true, want{reason: ReasonMissingBatch}},
		"array":                  {`[{"event":"a"}]`, false, want{reason: ReasonNotObject}},
		"string":                 {`"a"`, false, want{reason: ReasonNotObject}},
		"empty":                  {``, false, want{reason: ReasonMalformedJSON}},
		"white space":            {"  \n", false, want{reason: ReasonMalformedJSON}},
		"cut off":                {`{"event":"a`, false, want{reason: ReasonMalformedJSON}},
		"cut off in a batch":     {`{"batch":[{"event":"a"}`, true, want{reason: ReasonMalformedJSON}},
		"something behind":       {`{} {}`, false, want{reason: ReasonMalformedJSON}},
		"a comma too many":       {`{"a":1,}`, false, want{reason: ReasonMalformedJSON}},
		"a bare word":            {`{"a":NaN}`, false, want{reason: ReasonMalformedJSON}},
		"single quotes":          {`{'a':1}`, false, want{reason: ReasonMalformedJSON}},
		"a leading zero":         {`{"a":01}`, false, want{reason: ReasonMalformedJSON}},
		"a bare NUL":             {"{\"event\":\"a\x00b\"}", false, want{reason: ReasonMalformedJSON}},
		"a bad escape":           {`{"event":"\x41"}`, false, want{reason: ReasonMalformedJSON}},
		"invalid outside":        {"{\"a\":\xff}", false, want{reason: ReasonMalformedJSON}},
		"nested 20,000 deep":     {deep(20000), false, want{reason: ReasonMalformedJSON}},
		"form":                   {`data=%7B%7D`, false, want{reason: ReasonMalformedJSON}},
	} {
		t.Run(name, func(t *testing.T) {
			var s Scanner
			env, err := s.Scan([]byte(c.body), c.batch)
			got := want{key: string(env.WriteKey), count: env.Count, item: string(s.ItemWriteKey(&env)), invalid: env.InvalidText}
			if e, ok := errors.AsType[*BodyError](err); ok {
				got = want{reason: e.Reason}
			} else if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestScanMeasuresTheCall(t *testing.T) {
	env, err := Scan([]byte(" \n{\"a\": 1}\t "), false)
	if err != nil || env.Size != len(`{"a": 1}`) {
		t.Errorf("size %d, %v", env.Size, err)
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	body := sampleBatch(20)
	var s Scanner
	scan := func() {
		if _, err := s.Scan(body, true); err != nil {
			t.Fatal(err)
		}
	}
	scan()
	if n := testing.AllocsPerRun(100, scan); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzScan(f *testing.F) {
	f.Add(sampleBatch(2), true)
	f.Add([]byte(`{"writeKey":"k","a":[1,2.5e3,{"b":"\u0041\ud83d\ude00"}]}`), false)
	f.Add([]byte("{\"event\":\"a\xffb\"}"), false)
	f.Add([]byte(` [1] `), false)
	f.Fuzz(func(t *testing.T, body []byte, batch bool) {
		env, err := Scan(body, batch)
		e, refused := errors.AsType[*BodyError](err)
		if err != nil && !refused {
			t.Fatalf("error of another kind: %v", err)
		}
		malformed := refused && e.Reason == ReasonMalformedJSON
		if valid := json.Valid(body); valid == malformed {
			t.Fatalf("valid for the standard library: %v; here: %v", valid, err)
		}
		if err == nil && !env.InvalidText && !utf8.Valid(body) {
			t.Fatal("invalid UTF-8 was not noticed")
		}
	})
}
