package schedule_test

import (
	"strings"
	"testing"
	"time"

	_ "time/tzdata" // the zones of the tests, wherever they run

	"github.com/google/go-cmp/cmp"

	"firth/internal/schedule"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	out, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestEvery(t *testing.T) {
	s := schedule.Every(15 * time.Minute)
	start := at(t, "2026-03-29T00:50:00Z")
	if got := schedule.First(s, start); !got.Equal(start) {
		t.Errorf("the first run is due at %s, not at once", got)
	}
	if got, want := s.Next(start), start.Add(15*time.Minute); !got.Equal(want) {
		t.Errorf("after %s comes %s, want %s", start, got, want)
	}
	if got := schedule.Gap(s, start); got != 15*time.Minute {
		t.Errorf("a gap of %s", got)
	}
	if got := schedule.Every(0).Next(start); !got.After(start) {
		t.Errorf("no time passes: %s", got)
	}
}

func TestCron(t *testing.T) {
	for _, tt := range []struct {
		name, expr, after string
		want              []string
	}{
		{"quarter hours", "*/15 * * * *", "2026-01-31T23:50:10Z", []string{"2026-02-01T00:00:00Z", "2026-02-01T00:15:00Z"}},
		{"strictly after", "0 * * * *", "2026-01-01T10:00:00Z", []string{"2026-01-01T11:00:00Z"}},
		{"UTC whatever zone the time comes in", "0 4 * * *", "2026-07-01T05:30:00+02:00", []string{"2026-07-01T04:00:00Z"}},
		{"hourly", "@hourly", "2026-01-01T10:20:00Z", []string{"2026-01-01T11:00:00Z"}},
		{"daily", "@daily", "2026-01-01T10:20:00Z", []string{"2026-01-02T00:00:00Z"}},
		{"weekly", "@weekly", "2026-01-01T10:20:00Z", []string{"2026-01-04T00:00:00Z"}},
		{"monthly", "@monthly", "2026-01-31T10:20:00Z", []string{"2026-02-01T00:00:00Z"}},
		{"every so often", "@every 90m", "2026-01-01T10:20:00Z", []string{"2026-01-01T11:50:00Z"}},
		{"the 31st is left out where there is none", "0 6 31 * *", "2026-01-31T06:00:00Z", []string{"2026-03-31T06:00:00Z", "2026-05-31T06:00:00Z"}},
		{"leap days", "0 0 29 2 *", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		{"end of a year", "59 23 31 12 *", "2026-12-31T23:59:00Z", []string{"2027-12-31T23:59:00Z"}},
		{"work days", "30 7 * * MON-FRI", "2026-01-02T08:00:00Z", []string{"2026-01-05T07:30:00Z"}},
		{"Berlin, winter and summer", "CRON_TZ=Europe/Berlin 0 9 * * *", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"}},
		{"Berlin, an hour that is not", "CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"}},
		{"Berlin, an hour that is twice", "CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-24T12:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"}},
		{"Berlin, minutes through the change back", "CRON_TZ=Europe/Berlin */30 * * * *", "2026-10-25T00:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"}},
		{"a zone of half hours", "TZ=Asia/Kolkata 0 0 * * *", "2026-01-01T00:00:00Z", []string{"2026-01-01T18:30:00Z"}},
		{"UTC knows no summer time", "30 2 * * *", "2026-03-28T12:00:00Z", []string{"2026-03-29T02:30:00Z", "2026-03-30T02:30:00Z"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := schedule.Cron(tt.expr)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			next := at(t, tt.after)
			if first := schedule.First(s, next); !first.Equal(s.Next(next)) {
				t.Errorf("the first run is due at %s, not at the next time", first)
			}
			for range tt.want {
				next = s.Next(next)
				got = append(got, next.UTC().Format(time.RFC3339))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("times differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCronRefuses(t *testing.T) {
	for _, tt := range []struct{ expr, want string }{
		{"", "empty"},
		{"  ", "empty"},
		{"* * *", "expected exactly 5 fields"},
		{"61 * * * *", "61"},
		{"0 0 30 2 *", "no such day"},
		{"CRON_TZ=Europe/Berlin", "no fields"},
		{"TZ=Nowhere/None 0 0 * * *", "Nowhere/None"},
		{"@sometimes", "@sometimes"},
		{"* * * * * *", "expected exactly 5 fields"},
	} {
		if s, err := schedule.Cron(tt.expr); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Cron(%q) = %v, %v; want an error with %q", tt.expr, s, err, tt.want)
		}
	}
}
