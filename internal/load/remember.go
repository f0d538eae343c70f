package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// remembered is a mark in a file. The file is a help to tell the freshness of a warehouse that is down when the process starts, and
// for nothing else: the warehouse alone says from where it is loaded. It may be lost.
type remembered struct {
	Next          map[string]uint64 `json:"next"`
	LoadedThrough int64             `json:"loaded_through"`
	LoadedAt      time.Time         `json:"loaded_at"`
}

// rememberEvery is how often the marks are written, where they changed.
const rememberEvery = 10 * time.Second

func (r *Runner) marksFile() string {
	return filepath.Join(r.l.o.TempDir, "positions-"+r.l.o.Name+".json")
}

// recall takes over the marks of an earlier process.
func (r *Runner) recall() error {
	if r.l.o.TempDir == "" {
		return nil
	}
	f, err := r.l.o.FS.OpenFile(r.marksFile(), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read positions: %w", err)
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<24))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read positions: %w", err)
	}
	var all map[string]remembered
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("read positions %s: %w", r.marksFile(), err)
	}
	for source, m := range all {
		if _, known := r.l.marks.get(source); !known && r.l.o.Selection.source(source) {
			r.l.marks.set(source, mark{next: m.Next, loadedThrough: m.LoadedThrough, loadedAt: m.LoadedAt})
		}
	}
	return nil
}

// remember writes the marks where they are not as in the file, and returns what the file holds.
func (r *Runner) remember(held string) (string, error) {
	if r.l.o.TempDir == "" {
		return held, nil
	}
	all := map[string]remembered{}
	for _, source := range r.l.marks.names() {
		k, _ := r.l.marks.get(source)
		all[source] = remembered{Next: k.next, LoadedThrough: k.loadedThrough, LoadedAt: k.loadedAt}
	}
	text, err := json.Marshal(all)
	if err != nil || string(text) == held || len(all) == 0 {
		return held, err
	}
	if err := r.writeMarks(text); err != nil {
		return held, fmt.Errorf("remember positions: %w", err)
	}
	return string(text), nil
}

func (r *Runner) writeMarks(text []byte) error {
	fsys, fresh := r.l.o.FS, r.marksFile()+".tmp"
	if err := fsys.MkdirAll(r.l.o.TempDir, 0o700); err != nil {
		return err
	}
	f, err := fsys.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fsys.Rename(fresh, r.marksFile())
}
