package event

import (
	"math/rand/v2"
	"testing"
	"time"
)

func micros(t *testing.T, s string) int64 {
	t.Helper()
	if s == "" {
		return NoTime
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMicro()
}

func TestClock(t *testing.T) {
	for _, c := range []struct{ id, received, sent, original, want string }{
		{"S1", "2015-12-12T19:11:01.266Z", "2015-12-12T19:11:01.169Z", "2015-12-12T19:11:01.152Z", "2015-12-12T19:11:01.249Z"},
		{"S2", "2015-12-10T04:08:31.909Z", "2015-12-10T04:08:31.581Z", "2015-12-10T04:08:31.577Z", "2015-12-10T04:08:31.905Z"},
		{"S4", "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z", "2026-01-01T10:59:30Z", "2026-01-01T09:59:30Z"},
		{"S5", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z", "2026-01-01T09:00:00Z", "2026-01-01T09:00:00Z"},
		{"microseconds", "2026-01-01T12:00:00.000003Z", "2026-01-01T12:00:00.000002Z", "2026-01-01T12:00:00.000001Z", "2026-01-01T12:00:00.000002Z"},
		{"no sentAt", "2026-01-01T12:00:00Z", "", "2026-01-01T09:00:00Z", "2026-01-01T09:00:00Z"},
		{"no original", "2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z", "", "2026-01-01T12:00:00Z"},
		{"neither", "2026-01-01T12:00:00Z", "", "", "2026-01-01T12:00:00Z"},
		{"out of the calendar", "2026-01-01T12:00:00Z", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
	} {
		if got := clock(micros(t, c.received), micros(t, c.sent), micros(t, c.original)); got != micros(t, c.want) {
			t.Errorf("%s: %s, want %s", c.id, time.UnixMicro(got).UTC().Format(time.RFC3339Nano), c.want)
		}
	}
}

func TestClockTS(t *testing.T) {
	received := micros(t, "2026-01-01T12:00:00Z")
	far, near := received+FutureLimit+1, received+FutureLimit
	for _, c := range []struct {
		name     string
		call     Call
		computed int64
		future   bool
	}{
		{"as computed", Call{TS: received - 5, ReceivedAt: received, SentAt: received, OriginalTimestamp: received - 5}, received - 5, false},
		{"a day ahead is kept", Call{TS: near, ReceivedAt: received, SentAt: NoTime, OriginalTimestamp: near}, near, false},
		{"more than a day ahead", Call{TS: received, ReceivedAt: received, SentAt: NoTime, OriginalTimestamp: far}, far, true},
		{"by the formula", Call{TS: received, ReceivedAt: received, SentAt: received - 10, OriginalTimestamp: far - 10}, far, true},
		{"nothing known", Call{TS: received, ReceivedAt: received, SentAt: NoTime, OriginalTimestamp: NoTime}, received, false},
		{"a trusted timestamp", Call{TS: received - 7, ReceivedAt: received, SentAt: received - 5, OriginalTimestamp: received - 7}, received - 2, false},
		{"a trusted timestamp ahead", Call{TS: received, ReceivedAt: received, SentAt: received + 10, OriginalTimestamp: far}, far, true},
	} {
		computed, future := ClockTS(&c.call)
		if computed != c.computed || future != c.future {
			t.Errorf("%s: %d, %v; want %d, %v", c.name, computed-received, future, c.computed-received, c.future)
		}
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]string{
		"2021-06-01T00:00:00.000Z":         "2021-06-01T00:00:00Z",
		"2021-06-01 00:00:00":              "2021-06-01T00:00:00Z",
		"2023-06-14":                       "2023-06-14T00:00:00Z",
		"2025-04-02 01:09:03.000+0530":     "2025-04-01T19:39:03Z",
		"2025-04-02 01:09:03.714247+00:00": "2025-04-02T01:09:03.714247Z",
		"2025-04-02T01:09:03.000+1000":     "2025-04-01T15:09:03Z",
		"2025-04-02T01:09:03-07":           "2025-04-02T08:09:03Z",
		"2025-04-02T01:09":                 "2025-04-02T01:09:00Z",
		"2025-04-02T01:09Z":                "2025-04-02T01:09:00Z",
		"2025-04-02T01:09:03.123456789Z":   "2025-04-02T01:09:03.123456Z",
		"2025-04-02T01:09:03,5Z":           "2025-04-02T01:09:03.5Z",
		"2025-04-02t01:09:03z":             "2025-04-02T01:09:03Z",
		"0001-01-01T00:00:00.000Z":         "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999Z":         "9999-12-31T23:59:59.999Z",
		"2024-02-29":                       "2024-02-29T00:00:00Z",
		"2000-02-29":                       "2000-02-29T00:00:00Z",
	} {
		got, ok := ParseTime(in)
		if !ok || got != micros(t, want) {
			t.Errorf("%q: %s, %v; want %s", in, time.UnixMicro(got).UTC().Format(time.RFC3339Nano), ok, want)
		}
		if bytes, ok2 := ParseTime([]byte(in)); bytes != got || ok2 != ok {
			t.Errorf("%q as bytes: %d, %v", in, bytes, ok2)
		}
	}
	for _, in := range []string{
		"", "2021", "2021-06", "2021-6-1", "1988-04-31", "2023-02-29", "1900-02-29", "0000-01-01", "2021-13-01", "2021-00-01", "2021-01-00",
		"05:23:59.244Z", "+2023-06-14T05:23:59.244Z", "-2023-06-14T05:23:59.244Z", "23-05-2024T10:00:00Z", "2024-05-23T25:00:00Z",
		"2024-05-23T10:60:00Z", "2024-05-23T10:00:60Z", "2024-05-23T10:00:00.Z", "2024-05-23T10:00:00X", "2024-05-23T10:00:00+24:00",
		"2024-05-23T10:00:00+1", "2024-05-23T10:00:00+01:0", "2024-05-23T10:00:00+01:000", "2024-05-23T10:00:00Zx", "2024-05-23T", "2024-05-23x",
		"2024-05-23T10", "2024-05-23T10:0", "invalid-timestamp", "2024-05-23T10:00:00+", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
	} {
		if got, ok := ParseTime(in); ok {
			t.Errorf("%q was taken for %s", in, time.UnixMicro(got).UTC())
		}
	}
}

func TestParseTimeAgreesWithTheStandardLibrary(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		at := time.UnixMicro(minTime + random.Int64N(maxTime-minTime)).UTC()
		if got, ok := ParseTime(at.Format(time.RFC3339Nano)); !ok || got != at.UnixMicro() {
			t.Fatalf("%s: %d, %v; want %d", at, got, ok, at.UnixMicro())
		}
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("2025-04-02 01:09:03.714247+00:00")
	f.Add("2025-04-02T01:09Z")
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseTime(s)
		if ok && (got < minTime || got > maxTime) {
			t.Errorf("%q gives %d", s, got)
		}
		if at, err := time.Parse(time.RFC3339Nano, s); err == nil && at.Year() > 0 && s[13] == ':' { // it takes an hour of one digit
			if us := at.UnixMicro(); us >= minTime && us <= maxTime && (!ok || got != us) {
				t.Errorf("%q: %d, %v; the standard library says %d", s, got, ok, us)
			}
		}
	})
}
