package store

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

	"firth/test/server"
)

// archive writes an archive at the store in Segment's layout, a file a day, and returns how many different events it holds.
func (st *stand) archive(folder string, days, events int) (different int) {
	st.Helper()
	first := time.Date(2023, 3, 1, 0, 0, 0, 0, time.UTC)
	for day := range days {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		at := first.AddDate(0, 0, day)
		for i := range events {
			text := at.Add(time.Duration(i) * time.Second).Format("2006-01-02T15:04:05.000Z")
			line := fmt.Sprintf(`{"type":"track","event":"Archived","messageId":"%d-%d","userId":"u%d","timestamp":%q,"receivedAt":%q,"properties":{"n":%d}}`, day, i, i%7, text, text, i)
			for range 1 + i%2 { // every other one twice
				if _, err := fmt.Fprintln(z, line); err != nil {
					st.Fatal(err)
				}
			}
		}
		if err := z.Close(); err != nil {
			st.Fatal(err)
		}
		dir := filepath.Join(st.real.Dir, filepath.FromSlash(folder), fmt.Sprint(at.UnixMilli()))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			st.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "1.gz"), b.Bytes(), 0o600); err != nil {
			st.Fatal(err)
		}
	}
	return days * events
}

type imported struct{ Added, Skipped, Refused, Read int64 }

func (st *stand) imports(folder string, more ...string) (imported, error) {
	out, err := st.s.Run(append([]string{"import", st.proxy.URL(folder, "5s"), "--source", "shop", "-o", "json"}, more...)...)
	if err != nil {
		return imported{}, err
	}
	var r struct{ Sources []imported }
	if err := json.Unmarshal([]byte(out), &r); err != nil || len(r.Sources) != 1 {
		st.Fatalf("%v: %s", err, out)
	}
	return r.Sources[0], nil
}

// TestImportAcrossFaults imports an archive that lies at a store into a lake at the store, while requests of both fail once, beside a server that
// takes events and without one.
func TestImportAcrossFaults(t *testing.T) {
	st := newStand(t)
	const days, events = 12, 400
	different := st.archive("archive/segment-logs/abc", days, events)
	st.s.Start()
	st.load.Send(20)
	st.proxy.FailOnce(3, 0.5)
	st.load.Start()
	got, err := st.imports("archive/segment-logs/abc")
	want := imported{Added: int64(different), Skipped: days * events / 2, Read: int64(different) + days*events/2}
	if err != nil || got != want {
		t.Fatalf("%+v, want %+v: %v", got, want, err)
	}
	if got, err = st.imports("archive/segment-logs/abc"); err != nil || got != (imported{}) {
		t.Errorf("once more: %+v, %v", got, err)
	}
	st.load.Stop()
	_, spoilt := st.proxy.Served()
	if len(spoilt) < 3 {
		t.Errorf("requests failed in these ways alone: %v", spoilt)
	}
	t.Logf("%d events imported; spoilt %v", different, spoilt)
	count := func(when string, want int) {
		t.Helper()
		st.s.Eventually(patience, when, func() error {
			n, err := st.s.Count("SELECT count(*) FROM lake.shop WHERE event = 'Archived'")
			if err == nil && n != want {
				err = fmt.Errorf("%d rows of %d", n, want)
			}
			return err
		})
		if n, err := st.s.Count("SELECT count(DISTINCT message_id) FROM lake.shop WHERE event = 'Archived'"); err != nil || n != want {
			t.Errorf("%s: %d message ids of %d: %v", when, n, want, err)
		}
	}
	count("the imported events", different)
	st.s.Stop()
	more := st.archive("archive/rest", days, events+50) // the same events and more, with no server
	st.proxy.FailOnce(4, 0.5)
	if got, err = st.imports("archive/rest"); err != nil || got.Added != int64(more-different) {
		t.Errorf("without a server: %+v, %v; want %d added", got, err, more-different)
	}
	st.proxy.Rule(nil)
	st.s.Start()
	count("the events imported without a server", more)
}

// TestImportRefused: what an import says of a store that refuses it, without any key; and nothing is imported.
func TestImportRefused(t *testing.T) {
	st := newStand(t)
	st.archive("archive/abc", 1, 10)
	st.s.Start()
	st.proxy.Rule(func(r server.StoreRequest) server.StoreFault {
		if strings.HasPrefix(r.Key, "archive/") {
			return server.StoreRefuses
		}
		return ""
	})
	_, err := st.imports("archive/abc")
	if err == nil || !strings.Contains(err.Error(), "it is the server that reads the archive") || strings.Contains(err.Error(), st.real.SecretKey) {
		t.Errorf("refused: %v", err)
	}
	st.proxy.Rule(nil)
	if _, err := st.imports("no-archive"); err == nil || !strings.Contains(err.Error(), "there is no file in it") {
		t.Errorf("a prefix without a file: %v", err)
	}
	if got, err := st.imports("archive/abc", "--dry-run"); err != nil || got.Added != 10 {
		t.Errorf("dry run: %+v, %v", got, err)
	}
	if n, err := st.s.Count("SELECT count(*) FROM lake.shop"); err != nil || n != 0 {
		t.Errorf("%d rows, %v", n, err)
	}
}
