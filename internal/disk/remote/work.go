package remote

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Every process has a folder of its own below Dir/.work with what it writes, fetches and holds, and a lock in it that the system drops when
// the process ends, however it ends. So whoever comes next knows what nobody needs any more.

// enter makes the folder of this process, and removes those of processes that have ended.
func (f *FS) enter() (err error) {
	all := filepath.Join(f.dir, workName)
	if err := os.MkdirAll(all, 0o755); err != nil {
		return err
	}
	door, err := os.OpenFile(filepath.Join(all, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, door.Close()) }()
	if err := unix.Flock(int(door.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", door.Name(), err)
	}
	if err := clear(all); err != nil {
		return err
	}
	for n := 0; ; n++ {
		f.work = filepath.Join(all, strconv.Itoa(os.Getpid())+"-"+strconv.Itoa(n))
		err := os.Mkdir(f.work, 0o755)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if f.lock, err = os.OpenFile(filepath.Join(f.work, "lock"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if err := unix.Flock(int(f.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return errors.Join(fmt.Errorf("lock %s: %w", f.lock.Name(), err), f.lock.Close())
	}
	for _, name := range []string{"new", "fetch", "held"} {
		if err := os.Mkdir(filepath.Join(f.work, name), 0o755); err != nil {
			return errors.Join(err, f.lock.Close())
		}
	}
	return nil
}

// clear removes the folders of processes that have ended.
func clear(all string) error {
	list, err := os.ReadDir(all)
	if err != nil {
		return err
	}
	for _, e := range list {
		if !e.IsDir() {
			continue
		}
		at := filepath.Join(all, e.Name())
		if alive(filepath.Join(at, "lock")) {
			continue
		}
		if err := os.RemoveAll(at); err != nil {
			return err
		}
	}
	return nil
}

// alive reports whether a process holds a lock.
func alive(path string) bool {
	lock, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer lock.Close()
	return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil
}
