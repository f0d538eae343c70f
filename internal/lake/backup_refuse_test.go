package lake

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firth/internal/disk"
)

func TestBackupFolders(t *testing.T) {
	e := newEnv(t)
	c := newCorpus(68, testStart)
	e.journal.calls("production", c.calls(3)...)
	e.mustDrain()
	other := newEnv(t)
	other.journal.calls("production", c.calls(3)...)
	other.mustDrain()
	dir := filepath.Join(e.dir, "backup")
	other.mustBackUp(dir)
	var b strings.Builder
	try := func(what, dir string) {
		_, err := e.backup(dir)
		fmt.Fprintf(&b, "%s: %s\n\n", what, strings.ReplaceAll(fmt.Sprint(err), e.dir, "DIR"))
	}
	try("relative", "backup")
	try("in the lake", filepath.Join(e.o.Dir, "production"))
	try("around the lake", e.dir)
	try("of another lake", dir)
	strange := filepath.Join(e.dir, "documents")
	if err := errors.Join(os.MkdirAll(strange, 0o755), os.WriteFile(filepath.Join(strange, "thesis.txt"), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	try("with something else", strange)
	file := filepath.Join(e.dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	try("a file", file)
	l := mustOpen(t, e.o)
	l.backing.Lock()
	_, err := l.Backup(t.Context(), filepath.Join(e.dir, "two"), nil)
	l.backing.Unlock()
	closeIt(t, l)
	fmt.Fprintf(&b, "two at a time: %v\n", err)
	golden(t, "backup_folders.txt", b.String())
}

// A damaged file of the lake is found as it is copied, and the backup that is there stays.
func TestBackupOfADamagedLake(t *testing.T) {
	e, fs := crashEnv(t)
	c := newCorpus(69, testStart)
	want := crashScript(e, c)
	e.mustDrain()
	e.mustBackUp(backupDir)
	crashScript(e, c)
	e.mustDrain()
	var hurt string
	for _, f := range e.snapshot("production").Files {
		if f.MinOffset > 25 {
			hurt = f.Path
		}
	}
	content := fs.Content(hurt)
	content[100] ^= 4
	fs.SetContent(hurt, content)
	_, err := e.backup(backupDir)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), hurt) {
		t.Fatalf("%s is damaged, and the backup says %v", hurt, err)
	}
	home := newHome(t, fs)
	home.mustRestore(backupDir)
	home.wantAll("production", want["production"])
}

func TestBackupOntoAFullDisk(t *testing.T) {
	e, fs := crashEnv(t)
	c := newCorpus(70, testStart)
	want := crashScript(e, c)
	e.mustDrain()
	e.mustBackUp(backupDir)
	crashScript(e, c)
	e.mustDrain()
	fs.SetCapacity(fs.Used() + 5000)
	if _, err := e.backup(backupDir); !disk.IsFull(err) {
		t.Fatalf("got %v", err)
	}
	fs.SetCapacity(1 << 30)
	home := newHome(t, fs)
	home.mustRestore(backupDir)
	home.wantAll("production", want["production"])
}
