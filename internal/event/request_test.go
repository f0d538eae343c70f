package event

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func sampleRequests() map[string]Request {
	return map[string]Request{
		"empty":  {},
		"single": {Source: "production", Type: "track", IP: "203.0.113.7", Client: true, Body: sampleEvent(1), MaxEvent: 32768, MaxBatch: 2500},
		"batch":  {Source: "production", IPPolicy: IPTruncate, TrustTimestamp: true, Body: sampleBatch(20), MaxEvent: 32768, MaxBatch: 2500},
		"refused": {
			Refused: ReasonUnknownWriteKey, IPPolicy: IPDrop, Body: []byte("\xff\x00 not JSON"),
		},
		"large": {Source: "s", Body: bytes.Repeat([]byte("0123456789abcdef"), 1<<16)},
	}
}

func TestRequestRoundTrip(t *testing.T) {
	for name, r := range sampleRequests() {
		t.Run(name, func(t *testing.T) {
			head := []byte("what was there before")
			b := r.AppendTo(bytes.Clone(head))
			if !bytes.HasPrefix(b, head) {
				t.Fatal("AppendTo did not append")
			}
			back, err := DecodeRequest(b[len(head):])
			if err != nil {
				t.Fatal(err)
			}
			if len(back.Body) == 0 {
				back.Body = nil
			}
			if !reflect.DeepEqual(r, back) {
				t.Errorf("%.300v became %.300v", r, back)
			}
			reused := Request{Body: make([]byte, 0, 1<<20), Source: "other", Refused: "other", Client: true}
			if err := reused.Decode(b[len(head):]); err != nil {
				t.Fatal(err)
			}
			if len(reused.Body) == 0 {
				reused.Body = nil
			}
			if !reflect.DeepEqual(r, reused) {
				t.Errorf("%.300v became %.300v in a request that was used before", r, reused)
			}
		})
	}
}

func TestAppendToAllocatesNothing(t *testing.T) {
	r := sampleRequests()["batch"]
	buf := r.AppendTo(nil)
	if n := testing.AllocsPerRun(100, func() { buf = r.AppendTo(buf[:0]) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDecodeRequestRefuses(t *testing.T) {
	good := sampleRequests()["single"]
	b := good.AppendTo(nil)
	// A block that claims 3 GiB, which would be allocated before the first byte is looked at.
	bomb := append((&Request{}).AppendTo(nil)[:8], 0x80, 0x80, 0x80, 0x80, 0x0c)
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"nothing":         {nil, "empty"},
		"another version": {append([]byte{9}, b[1:]...), "version 9"},
		"header cut":      {b[:6], "broken header"},
		"body cut":        {b[:len(b)-1], "corrupt"},
		"no block":        {b[:9+len("production")+len("track")+len("203.0.113.7")+2], "corrupt"},
		"unknown flags":   {append([]byte{1, 0x7f}, b[2:]...), "broken header"},
		"unknown policy":  {append([]byte{1, 0x03}, b[2:]...), "broken header"},
		"bomb":            {bomb, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodeRequest(c.in)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, r := range sampleRequests() {
		if len(r.Body) < 1<<16 {
			f.Add(r.AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeRequest(b)
		if err != nil || len(r.Body) > 1<<20 {
			return
		}
		again, err := DecodeRequest(r.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(r, again) {
			t.Errorf("%v became %v", r, again)
		}
	})
}

func TestApplyIPPolicy(t *testing.T) {
	for _, c := range []struct {
		policy   uint8
		ip, want string
	}{
		{IPKeep, "203.0.113.7", "203.0.113.7"},
		{IPKeep, "not an address", "not an address"},
		{IPTruncate, "203.0.113.7", "203.0.113.0"},
		{IPTruncate, "::ffff:203.0.113.7", "203.0.113.0"},
		{IPTruncate, "2001:db8:1:2:3:4:5:6", "2001:db8:1::"},
		{IPTruncate, "fe80::1%eth0", "fe80::"},
		{IPTruncate, "not an address", ""},
		{IPDrop, "203.0.113.7", ""},
	} {
		if got := ApplyIPPolicy(c.policy, c.ip); got != c.want {
			t.Errorf("policy %d, %q: %q, want %q", c.policy, c.ip, got, c.want)
		}
	}
}
