package lake

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firth/internal/event"
)

var testStart = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func byOffset(calls []event.Call) []event.Call {
	slices.SortFunc(calls, func(a, b event.Call) int { return int(int64(a.Offset) - int64(b.Offset)) })
	return calls
}

func TestRoundTrip(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(1, testStart)
	var want []event.Call
	for range 30 {
		calls := c.calls(10)
		calls[0].Properties, calls[1].Context = nil, nil
		calls[2].SentAt, calls[3].OriginalTimestamp = event.NoTime, event.NoTime
		calls[4].UserID, calls[5].AnonymousID = "", ""
		calls[6].TS = 0
		calls[7].Type, calls[7].Event = "identify", "identify"
		e.journal.calls("production", calls...)
		for _, x := range calls {
			want = append(want, *x)
		}
	}
	e.mustDrain()
	if diff := cmp.Diff(byOffset(want), byOffset(e.rows("production"))); diff != "" {
		t.Fatal(diff)
	}
}
