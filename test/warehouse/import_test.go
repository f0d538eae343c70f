package warehouse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
)

// archived is a call as Segment's object storage destination wrote it.
func archived(id, kind, more string, at time.Time) string {
	text := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	return fmt.Sprintf(`{"type":%q,"messageId":%q,"userId":"ada",%s,"context":{"ip":"10.0.0.1"},"channel":"server","originalTimestamp":%q,"sentAt":%q,"timestamp":%q,"receivedAt":%q}`,
		kind, id, more, text(at.Add(time.Hour)), text(at.Add(time.Hour)), text(at), text(at.Add(time.Second)))
}

func writeArchive(t *testing.T, path string, lines ...string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAnArchiveArrives imports an archive through a running server and without one, and finds its rows, once, in the lake and in the
// typed tables of every kind of warehouse, with their own times.
func TestAnArchiveArrives(t *testing.T) {
	t.Parallel()
	targets := map[string]*target{"pg15": postgres(t, "15"), "maria11": mariaDB(t, "11.4")}
	var warehouses []string
	for name, d := range targets {
		warehouses = append(warehouses, d.warehouse(name, d.url, "every: 1s"))
	}
	s := serve(t, warehouses...)
	dir := t.TempDir()
	day := time.Date(2022, 3, 4, 5, 6, 7, 0, time.UTC)
	var lines []string
	for i := range 500 {
		lines = append(lines, archived(fmt.Sprint("t", i), "track", `"event":"Order Completed","properties":{"total":1.5}`, day.Add(time.Duration(i)*time.Minute)))
	}
	lines = append(lines, archived("i1", "identify", `"traits":{"name":"Ada"}`, day), lines[7], "no event")
	writeArchive(t, filepath.Join(dir, "segment-logs", "abc", fmt.Sprint(day.Truncate(24*time.Hour).UnixMilli()), "1.gz"), lines...)
	// One of its events has come by the door already.
	send(t, s, `{"type":"track","event":"Order Completed","messageId":"t3","userId":"ada","properties":{"total":1.5},"timestamp":"`+day.Add(3*time.Minute).Format(time.RFC3339)+`","context":{"ip":"10.0.0.1"}}`)
	s.Eventually(patience, "the live event", func() error {
		if n, err := s.Count("SELECT count(*) FROM lake.production"); err != nil || n != 1 {
			return fmt.Errorf("%d rows, %w", n, err)
		}
		return nil
	})
	imports := func(added, skipped, refused int64) {
		t.Helper()
		out, err := s.Run("import", dir, "--source", "production", "-o", "json")
		var r struct {
			Sources []struct{ Added, Skipped, Refused int64 }
		}
		if err != nil || json.Unmarshal([]byte(out), &r) != nil || len(r.Sources) != 1 {
			t.Fatal(err, out)
		}
		if got := r.Sources[0]; got.Added != added || got.Skipped != skipped || got.Refused != refused {
			t.Errorf("%+v, want %d added, %d skipped, %d refused", got, added, skipped, refused)
		}
	}
	imports(500, 2, 1)
	imports(0, 0, 0)
	check := func(orders string) {
		t.Helper()
		for _, d := range targets {
			d.arrives(s, "SELECT count(*), count(DISTINCT id) FROM production.order_completed", []string{orders, orders})
			d.arrives(s, "SELECT count(*) FROM production.users WHERE name = 'Ada'", []string{"1"})
		}
		s.Eventually(patience, "the embedded tables", func() error {
			n, err := s.Count("SELECT count(*) FROM production.order_completed")
			if err == nil && fmt.Sprint(n) != orders {
				err = fmt.Errorf("%d rows", n)
			}
			return err
		})
	}
	check("500")
	if n, err := s.Count(`SELECT count(*) FROM production.order_completed WHERE id = 't9' AND timestamp = '2022-03-04T05:15:07Z'
		AND received_at = '2022-03-04T05:15:08Z' AND original_timestamp = '2022-03-04T06:15:07Z'`); err != nil || n != 1 {
		t.Errorf("times: %d rows, %v", n, err)
	}
	if n, err := s.Count(`SELECT count(*) FROM firth.dead_letters WHERE reason = 'malformed_json' AND payload LIKE '%1.gz","line":503,%'`); err != nil || n != 1 {
		t.Errorf("dead letters: %d, %v", n, err)
	}
	s.Stop()
	writeArchive(t, filepath.Join(dir, "rudder-logs", "xyz", "2022-03-05", "1.json.gz"),
		archived("t600", "track", `"event":"Order Completed","request_ip":"10.0.0.1","rudderId":"r"`, day.AddDate(0, 0, 1)))
	imports(1, 502, 1) // the line is refused again, and is one dead letter all the same
	s.Start()
	check("501")
	if n, err := s.Count("SELECT count(*) FROM firth.dead_letters"); err != nil || n != 1 {
		t.Errorf("dead letters: %d, %v", n, err)
	}
}
