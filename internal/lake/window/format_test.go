package window

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firth/internal/disk"
)

// A window of a version that is not known yet is refused in words that say what to do, wherever the version stands.
func TestNewerWindowSaysWhatToDo(t *testing.T) {
	for what, change := range map[string]func(dir string) error{
		"manifest": func(dir string) error {
			m, err := readManifest(disk.OS{}, dir)
			if err != nil {
				return err
			}
			m.Version = 2
			return writeManifest(disk.OS{}, dir, m)
		},
		"file of ids": func(dir string) error {
			name := filepath.Join(dir, "00000001.ids")
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			binary.LittleEndian.PutUint32(b[len(magic):], 2)
			return os.WriteFile(name, append(appendCRC(b[:headerBytes-crcBytes:headerBytes-crcBytes]), b[headerBytes:]...), 0o644)
		},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "v1"))); err != nil {
			t.Fatal(err)
		}
		if err := change(dir); err != nil {
			t.Fatal(err)
		}
		_, err := Open(Options{FS: disk.OS{}, Dir: dir, Log: log1, Span: time.Hour, IDs: 4000}, map[string]uint64{log1: 300, log2: 7})
		if err == nil {
			t.Fatalf("%s: opened", what)
		}
		for _, say := range []string{"newer version", "version 2", "this one reads 1", "remove the folder"} {
			if !strings.Contains(err.Error(), say) {
				t.Errorf("%s: the error does not say %q: %v", what, say, err)
			}
		}
	}
}
