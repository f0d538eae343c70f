package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/internal/state"
)

// A purge that fails, or that cannot be read, shows in /readyz until it goes on.
func TestPurgeInTrouble(t *testing.T) {
	p := newPurger(folders{t.TempDir()}, nil, nil, nil, slog.New(slog.DiscardHandler))
	if c := p.component(); c.State != state.OK || c.Name != "purge" {
		t.Errorf("at rest: %+v", c)
	}
	job := &purgeJob{Version: purgeVersion, ID: "20260101-000000-aa", Began: time.Now(), Step: purgeForget, Request: &purgeRequest{Users: []string{"somebody"}}}
	if err := p.box.save(job); err != nil {
		t.Fatal(err)
	}
	p.step = func(string) error { return hint(errors.New("warehouse far: it is down"), "start it") }
	if p.round(t.Context()) {
		t.Error("a round that failed has nothing left")
	}
	c := p.component()
	if c.State != state.Degraded || !strings.Contains(c.Error, "warehouse far: it is down") || !strings.Contains(c.Error, job.ID) || c.Hint != "start it" || strings.Contains(c.Error, "somebody") {
		t.Errorf("after a failure: %+v", c)
	}
	if err := os.WriteFile(filepath.Join(p.box.dir, "x.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.round(t.Context())
	if c := p.component(); c.State != state.Degraded || !strings.Contains(c.Error, "x.json") {
		t.Errorf("with a file that cannot be read: %+v", c)
	}
	if err := os.Remove(filepath.Join(p.box.dir, "x.json")); err != nil {
		t.Fatal(err)
	}
	job.Step, job.Request = purgeDone, nil
	if err := p.box.save(job); err != nil {
		t.Fatal(err)
	}
	p.round(t.Context())
	if c := p.component(); c.State != state.OK {
		t.Errorf("when nothing is left to do: %+v", c)
	}
}
