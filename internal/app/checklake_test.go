package app

import (
	"path/filepath"
	"strings"
	"testing"

	"firth/internal/config"
)

// A path that other engines cannot read is worth a word before the lake grows.
func TestCheckOfAPathThatEnginesCannotRead(t *testing.T) {
	for name, odd := range map[string]bool{"plain-data_1": false, "my data": true, "100%": true} {
		cfg := &config.Config{Data: filepath.Join(t.TempDir(), name)}
		f := tables(t.Context(), cfg, folders{cfg.Data})
		if !f.OK || strings.Contains(f.Hint, "the path of the lake") != odd {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
