package app

import (
	"io"
	"strings"
	"testing"
	"time"

	"firth/internal/warehouse"
)

func TestMoments(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-01-31":                "2026-01-31T00:00:00Z",
		"2026-01-31T15:04:05Z":      "2026-01-31T15:04:05Z",
		"2026-01-31T15:04:05+02:00": "2026-01-31T13:04:05Z",
		"2026-01-31T15:04:05.25Z":   "2026-01-31T15:04:05.25Z",
		"24h":                       "2026-03-03T12:00:00Z",
		"1h30m":                     "2026-03-04T10:30:00Z",
		"7d":                        "2026-02-25T12:00:00Z",
		"0s":                        "2026-03-04T12:00:00Z",
	} {
		got, err := parseMoment(text, now)
		if err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %s, %v; want %s", text, got.Format(time.RFC3339Nano), err, want)
		}
	}
	for _, text := range []string{"yesterday", "-1h", "2026-13-01", "d", "-3d", "99999999d", "NaNd"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%s: %s", text, got)
		}
	}
}

func TestOrdersThatMakeNoSense(t *testing.T) {
	t.Parallel()
	for _, o := range []LoadOptions{
		{Output: "xml"},
		{From: "soon"},
		{To: "late"},
		{From: "2026-02-01", To: "2026-01-01"},
		{From: "2026-02-01", To: "2026-02-01"},
		{From: "24h", Rebuild: true},
		{Tables: []string{"tracks"}},
	} {
		o.Warehouse, o.Stdout, o.Stderr = "pg", io.Discard, io.Discard
		if o.Output == "" {
			o.Output = "text"
		}
		err := Load(t.Context(), o)
		if !IsUsage(err) || hintOf(err) == "" {
			t.Errorf("%+v: %v, hint %q", o, err, hintOf(err))
		}
	}
}

func TestLoadReports(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	var b strings.Builder
	for _, run := range []warehouse.Run{
		{ID: "r1", State: warehouse.RunSuccess, StartedAt: began, FinishedAt: began.Add(1500 * time.Millisecond), Rows: 1_234_567,
			Tables:  map[string]int64{"production.tracks": 1_234_000, "production.users": 567, "production.firth_discards": 3},
			Notices: []string{"column production.tracks.amount was widened from integer to float"}},
		{ID: "r2", State: warehouse.RunSuccess, StartedAt: began, FinishedAt: began},
		{ID: "r3", State: warehouse.RunPartial, StartedAt: began, FinishedAt: began.Add(time.Minute), Rows: 2, Tables: map[string]int64{"production.tracks": 2}, Error: "connection refused", Hint: "start it"},
	} {
		r := reportOfLoad("pg", &run)
		b.WriteString(r.text())
		if err := r.failure(); err != nil {
			b.WriteString("error: " + err.Error() + " → " + hintOf(err) + "\n")
		}
		b.WriteString("----\n")
	}
	golden(t, "loadreports.txt", []byte(b.String()))
}
