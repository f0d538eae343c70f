package stand

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The addresses that the page of engines has in its code.
const (
	pageURL   = "http://127.0.0.1:8080"
	pageStore = "http://127.0.0.1:9000"
)

// Snippet is the code that docs/engines.md has for an engine, with the addresses of this stand: the first block behind "ENGINE (".
func (s *Stand) Snippet(engine string) string {
	s.t.Helper()
	code := strings.ReplaceAll(block(s.t, page(s.t), engine), pageURL, s.URL)
	if s.Store != nil {
		code = strings.ReplaceAll(code, pageStore, s.Store.Endpoint)
	}
	return code
}

func block(t testing.TB, page, engine string) string {
	t.Helper()
	_, from, found := strings.Cut(page, "\n"+engine+" (")
	_, from, opened := strings.Cut(from, "\n```")
	_, from, named := strings.Cut(from, "\n")
	code, _, closed := strings.Cut(from, "\n```")
	if !found || !opened || !named || !closed {
		t.Fatalf("docs/engines.md has no code for %s", engine)
	}
	return code
}

// page is docs/engines.md.
func page(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if text, err := os.ReadFile(filepath.Join(dir, "docs", "engines.md")); err == nil {
			return string(text)
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	t.Fatalf("docs/engines.md is in no folder above: %v", err)
	return ""
}
