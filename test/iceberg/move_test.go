package iceberg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firth/test/engine/stand"
)

// TestMovedFolder moves the data folder of a server: its tables in the lake are there, and go on. Moved without them, they are made again from
// the lake and the company's database. The folder that it was moved from is not asked for anything.
func TestMovedFolder(t *testing.T) {
	r := newReader(t)
	path := filepath.Join(t.TempDir(), "app.db")
	c := newCompany(t, path)
	s := stand.New(t, false, settings(path))
	send(t, s, 0, 40)
	wantSame(t, s, r, 40)
	for n, without := range []bool{false, true} {
		if code := s.Stop(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		s.Move(filepath.Join(t.TempDir(), "elsewhere"))
		says := "the tables of a warehouse were moved or copied with the lake: they are mended"
		if without {
			says = "they are made again from it and from the sources of mirrors"
			if err := os.RemoveAll(filepath.Join(s.Data, "lake", "_tables")); err != nil {
				t.Fatal(err)
			}
		}
		s.Start()
		if !strings.Contains(s.Log(0), says) {
			t.Errorf("the log does not say %q", says)
		}
		wantSame(t, s, r, 40+n*20)
		send(t, s, 40+n*20, 60+n*20)
		c.change(n)
		wantSame(t, s, r, 60+n*20)
	}
	s.Stop()
}
