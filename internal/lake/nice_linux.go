package lake

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// beNice lowers the priority of the calling thread, which on Linux has one of its own.
func beNice(nice int) error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice); err != nil {
		return fmt.Errorf("lower the priority of the flush: %w", err)
	}
	return nil
}
