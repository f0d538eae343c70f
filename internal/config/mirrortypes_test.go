package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Keys are quoted as firth infer quotes paths: with Go's escapes, which are those of YAML.
func TestTypesOfFieldsWithOddNames(t *testing.T) {
	paths := []string{
		`weird\.key`, `back\\slash`, `a.b\.c.d`, `\0`, "tab\there", "nul\x00", "new\nline", `quote"d`, "it's", "# no comment", "a: b", "~", "true", "1", "-", "ü.ß", "𝄞", "\u200b", "\U0010FFFF", "{x}", "$dollar", " space ", "<<", `"whole"`, `'single'`,
	}
	var b strings.Builder
	for _, p := range paths {
		b.WriteString("      " + strconv.Quote(p) + ": decimal(10,2)\n")
	}
	file := filepath.Join(t.TempDir(), "firth.yaml")
	text := "databases:\n  app: { type: mongodb, url: \"mongodb://127.0.0.1/x\" }\nmirrors:\n  m:\n    from: { database: app, collection: c }\n    types:\n" + b.String()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	m := c.Mirrors["m"]
	for _, p := range paths {
		if got := m.TypeOf(p); got == nil || got.String() != "decimal(10,2)" {
			t.Errorf("%q: %v", p, got)
		}
	}
	if len(m.Types) != len(paths) {
		t.Errorf("%q", m.Types)
	}
}
