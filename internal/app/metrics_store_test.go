package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStoreFiguresAddUp(t *testing.T) {
	a := &storeFigures{Requests: map[string]int64{"GET": 1, "PUT": 2}, Failed: 1, Throttled: 2, Sent: 3, Received: 4, Uploads: 5, Failures: 6, Waiting: 7, Hits: 8, Fetched: 9, FetchedBytes: 10, Evicted: 11}
	want := &storeFigures{Requests: map[string]int64{"GET": 2, "PUT": 4}, Failed: 2, Throttled: 4, Sent: 6, Received: 8, Uploads: 10, Failures: 12, Waiting: 14, Hits: 16, Fetched: 18, FetchedBytes: 20, Evicted: 22}
	var none *storeFigures
	for name, c := range map[string][2]*storeFigures{
		"both": {a.plus(a), want}, "one": {a.plus(nil), a}, "the other": {none.plus(a), a}, "none": {none.plus(nil), nil},
	} {
		if diff := cmp.Diff(c[1], c[0]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if f := (&lakeTables{}).figures().plus((*lakeTables)(nil).figures()); f != nil {
		t.Errorf("a warehouse that nobody has open has figures: %+v", f)
	}
}

// TestStoreFiguresDoNotWait: while the warehouse is being opened, at a store that may not answer, its figures are told all the same.
func TestStoreFiguresDoNotWait(t *testing.T) {
	l := &lakeTables{}
	l.mu.Lock() // as for as long as it is opened
	defer l.mu.Unlock()
	told := make(chan *storeFigures, 1)
	go func() { told <- l.figures() }()
	select {
	case f := <-told:
		if f != nil {
			t.Errorf("figures of what is not open: %+v", f)
		}
	case <-time.After(time.Minute):
		t.Fatal("they wait until it is open")
	}
}
