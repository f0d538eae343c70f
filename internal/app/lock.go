package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked says that another process works on the data folder.
var ErrLocked = errors.New("the data folder is in use by another process")

// folderLock binds a data folder to one process: an flock on <data>/lock, which the system drops when the process ends,
// however it ends.
type folderLock struct{ f *os.File }

// lockFolder creates the folder where it is missing and locks it. It returns ErrLocked, with the holder's pid in words, when
// another process has it.
func lockFolder(dir string) (*folderLock, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s (process %s)", ErrLocked, dir, strings.TrimSpace(string(holder)))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("write %s: %w", path, err)
		}
	}
	return &folderLock{f}, nil
}

// release gives the folder up; the lock is gone even when closing the file reports an error.
func (l *folderLock) release() { l.f.Close() }

// processStart returns the start time of a process in clock ticks since boot, which tells it from a later one with the same
// pid: field 22 of /proc/PID/stat (proc(5)).
func processStart(pid int) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", err
	}
	// The second field, the command's name in brackets, may hold anything.
	_, rest, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return "", fmt.Errorf("read start time of process %d: unexpected form", pid)
	}
	return fields[19], nil
}

// writePID notes a child's pid and start time, and where the note lies, for endLeftOver: a copy of the folder has a copy of the note,
// and the child of the original is nobody's to end.
func writePID(path string, pid int) error {
	start, err := processStart(pid)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strconv.Itoa(pid)+" "+start+" "+path+"\n"), 0o600)
}

// endLeftOver ends the child that an earlier run left behind, if it still lives, and waits until it is gone.
func endLeftOver(path string, patience time.Duration) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	pidText, rest, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	start, place, _ := strings.Cut(rest, " ")
	if place != path {
		return os.Remove(path)
	}
	pid, err := strconv.Atoi(pidText)
	if err != nil || pid <= 1 {
		return os.Remove(path)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		now, err := processStart(pid)
		if err != nil || now != start {
			return os.Remove(path)
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end left-over child %d: %w", pid, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the left-over child %d does not end: end it by hand", pid)
		}
	}
}
