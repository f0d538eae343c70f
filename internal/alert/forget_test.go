package alert_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/internal/alert"
	"firth/internal/warehouse"
)

// TestForget: the state file names nobody who was forgotten, and nothing else of it changes.
func TestForget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.json")
	a := alert.New(alert.Options{Webhook: "http://127.0.0.1:1/", StateFile: path})
	a.RunEnded(warehouse.Run{Name: "pg", State: warehouse.RunFailure, Error: "no row for bob", Hint: "look for bob", StartedAt: time.Now(), FinishedAt: time.Now()})
	if err := a.Forget(func(text string) string { return text }); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(text, []byte("no row for bob")) {
		t.Fatalf("%s, %v: want the failure", text, err)
	}
	if err := a.Forget(func(text string) string { return strings.ReplaceAll(text, "bob", "somebody") }); err != nil {
		t.Fatal(err)
	}
	text, err = os.ReadFile(path)
	if err != nil || bytes.Contains(text, []byte("bob")) || !bytes.Contains(text, []byte("no row for somebody")) {
		t.Errorf("%s, %v", text, err)
	}
}
