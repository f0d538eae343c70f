package journal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"firth/internal/disk"
	"firth/internal/journal"
)

// What was appended before Roll is gone from the disk once it is trimmed, however little it is; what came after stays.
func TestRollLetsGoOfASmallTail(t *testing.T) {
	dir := t.TempDir()
	opened, err := journal.Open(disk.OS{}, dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	j := run(opened)
	t.Cleanup(func() { _ = j.stop() })
	mustAppend(t, j.Journal, "before it", 3)
	for range 2 { // the second one finds nothing to do
		if err := j.Roll(); err != nil {
			t.Fatal(err)
		}
	}
	if e := mustAppend(t, j.Journal, "behind it", 1); e.Offset != 3 {
		t.Fatalf("offset %d", e.Offset)
	}
	if err := j.Trim(3); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil || bytes.Contains(content, []byte("before it")) || !bytes.Contains(content, []byte("behind it")) {
		t.Errorf("the journal holds %q, %v", content, err)
	}
}
