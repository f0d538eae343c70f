package event

import (
	"reflect"
	"testing"
)

func TestOrderRoundTrip(t *testing.T) {
	for _, o := range []Order{
		{Op: OrderMark},
		{Op: OrderSuppress, Source: "production", Hashes: []Hash{{HashUser, [32]byte{1}}, {HashAnonymous, [32]byte{2}}}},
		{Op: OrderLift, Hashes: []Hash{{HashUser, [32]byte{31: 9}}}},
	} {
		b := o.AppendTo(nil)
		got, err := DecodeOrder(b)
		if err != nil || !reflect.DeepEqual(got, o) || !IsOrder(b) {
			t.Errorf("%+v came back as %+v, %v", o, got, err)
		}
		for n := range b {
			if _, err := DecodeOrder(b[:n]); err == nil {
				t.Errorf("%d of %d bytes were taken", n, len(b))
			}
		}
	}
	r := Request{Source: "production", Body: []byte("{}")}
	if IsOrder(r.AppendTo(nil)) {
		t.Error("a request is taken for an order")
	}
}

func FuzzDecodeOrder(f *testing.F) {
	o := Order{Op: OrderSuppress, Source: "s", Hashes: []Hash{{HashUser, [32]byte{1}}}}
	f.Add(o.AppendTo(nil))
	f.Add([]byte{orderVersion, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeOrder(b)
		if err != nil {
			return
		}
		if again, err := DecodeOrder(o.AppendTo(nil)); err != nil || !reflect.DeepEqual(again, o) {
			t.Errorf("%+v became %+v, %v", o, again, err)
		}
	})
}
