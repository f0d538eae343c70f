package remote

import (
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is when the machine was started.
func bootTime() time.Time {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return time.Now()
	}
	return time.Now().Add(-time.Duration(info.Uptime) * time.Second)
}

// lastUsed is when a file was used last, as far as [setUsed] has noted it.
func lastUsed(info fs.FileInfo) time.Time {
	used := info.ModTime()
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		if at := time.Unix(st.Atim.Unix()); at.After(used) {
			return at
		}
	}
	return used
}

// setUsed leaves the time of the last change as it is: by it readers know that they have looked at a file before.
func setUsed(path string, at time.Time) {
	ts, err := unix.TimeToTimespec(at)
	if err != nil {
		return
	}
	_ = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, {Nsec: unix.UTIME_OMIT}}, 0) // evicted meanwhile, or another user's
}
