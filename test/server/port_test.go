package server

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPortIsGivenOnce: neither this process nor another one is given a port again.
func TestPortIsGivenOnce(t *testing.T) {
	other, err := os.OpenFile(filepath.Join(os.TempDir(), "firth-test-ports"), os.O_CREATE|os.O_RDWR, 0o666) // as another process has it
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	seen := map[int]bool{}
	for range 500 {
		port := Port(t)
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
		lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: int64(port), Len: 1}
		if err := unix.FcntlFlock(other.Fd(), unix.F_OFD_SETLK, &lock); !errors.Is(err, unix.EAGAIN) {
			t.Fatalf("port %d is free for others: %v", port, err)
		}
	}
}
