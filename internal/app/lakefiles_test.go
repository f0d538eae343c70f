package app

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

func TestFileListingForAPerson(t *testing.T) {
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	list := &lakeListing{
		Files: []lakeFile{
			{Table: "production", Day: "2026-01-30", Rows: 1_234_567, Bytes: 104_857_600, FirstEvent: "Account Created", LastEvent: "track", ReceivedMax: now.Add(-50 * time.Hour), Path: "/d/a.parquet"},
			{Table: "production", Day: "2026-01-31", Rows: 1, Bytes: 900, FirstEvent: "page", LastEvent: "page", ReceivedMax: now.Add(-90 * time.Second), Path: "/d/b.parquet"},
			{Table: "production", Day: "2026-01-31", Rows: 20, Bytes: 9000, FirstEvent: "A very long name of an event that goes on", LastEvent: "z\n\x1b[31m", ReceivedMax: now.Add(-time.Second), Path: "/d/c.parquet"},
			{Table: "firth_dead_letters", Day: "2026-01-31", Rows: 2, Bytes: 700, ReceivedMax: now, Path: "/d/d.parquet"},
		},
		Tables: []lakeTotal{{"production", 2, 3, 1_234_588, 104_867_500}, {"firth_dead_letters", 1, 1, 2, 700}},
		Total:  lakeTotal{"", 2, 4, 1_234_590, 104_868_200},
	}
	var out bytes.Buffer
	list.print(&out, now)
	fmt.Fprintln(&out, "--- an empty lake")
	(&lakeListing{Tables: []lakeTotal{{Table: "production"}}}).print(&out, now)
	golden(t, "files.txt", out.Bytes())
}

func TestProgressInPlainLines(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 2, 1, 12, 0, 0, 0, time.UTC)
	s := &progressShow{out: &out, now: func() time.Time { return now }}
	for i, p := range []progress{
		{Stage: "begin"},
		{Stage: "merge production 2026-01-31", Total: 120, Unit: "files"},
		{Stage: "merge production 2026-01-31", Done: 60, Total: 120, Unit: "files"}, // too soon
		{Stage: "merge production 2026-01-31", Done: 90, Total: 120, Unit: "files"},
		{Stage: "copy", Done: 5 << 20, Total: 3 << 30, Unit: "bytes"},
		{Stage: "count", Done: 1500, Unit: "rows"},
	} {
		if i == 3 {
			now = now.Add(lineEvery)
		}
		s.show(p)
	}
	s.end()
	want := "begin\nmerge production 2026-01-31: 0 of 120 files\nmerge production 2026-01-31: 90 of 120 files\ncopy: 5.0 MiB of 3.0 GiB\ncount: 1,500 rows\n"
	if out.String() != want {
		t.Errorf("got:\n%swant:\n%s", out.String(), want)
	}
}

func TestProgressOnATerminalIsABar(t *testing.T) {
	var out bytes.Buffer
	s := &progressShow{out: &out, terminal: true, now: time.Now}
	s.show(progress{Stage: "copy", Done: 1 << 20, Total: 2 << 20, Unit: "bytes"})
	s.show(progress{Stage: "look for orphans"})
	s.end()
	for _, want := range []string{"copy", "50%", "1.0/2.0 MiB", "look for orphans"} {
		if !bytes.Contains(out.Bytes(), []byte(want)) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
}
