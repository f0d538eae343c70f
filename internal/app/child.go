package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child keeps the answering half running: it starts it as a process of the same binary, starts it again with back-off when it
// dies, and ends it when Run's context ends.
type child struct {
	args    []string // behind the binary's own path
	stdin   []byte
	pidFile string
	stderr  io.Writer
	log     *slog.Logger
	// grace is how long the child may take to end after SIGTERM before it is killed.
	grace time.Duration

	pid      atomic.Int64
	restarts atomic.Int64
}

const (
	childNice       = 19
	childBackoffMin = 200 * time.Millisecond
	childBackoffMax = 5 * time.Second
)

// Run returns nil once ctx has ended and the child is gone.
//
// The thread is locked for two reasons: the kernel sends the child's death signal when the *thread* that started it ends, and
// the child inherits the thread's nice value.
func (c *child) Run(ctx context.Context) error {
	runtime.LockOSThread() // never unlocked: the thread, with its nice value, ends with the goroutine
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), childNice); err != nil {
		c.log.Warn("the answering half runs at normal priority", "error", err)
	}
	backoff := childBackoffMin
	for ctx.Err() == nil {
		began := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			break
		}
		c.restarts.Add(1)
		if time.Since(began) > 30*time.Second {
			backoff = childBackoffMin
		}
		c.log.Error("the answering half ended; it is started again", "error", err, "after", backoff)
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, childBackoffMax)
	}
	if err := os.Remove(c.pidFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove pid file: %w", err)
	}
	return nil
}

// once starts the child and waits for its end.
func (c *child) once(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own binary: %w", err)
	}
	// The context ends the child by SIGTERM through Cancel; exec kills it after WaitDelay.
	cmd := exec.CommandContext(ctx, self, c.args...)
	cmd.Cancel = func() error {
		// A stopped child takes no SIGTERM before it goes on.
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		return cmd.Process.Signal(syscall.SIGCONT)
	}
	cmd.WaitDelay = c.grace
	cmd.Stdin = bytes.NewReader(c.stdin)
	cmd.Stdout, cmd.Stderr = c.stderr, c.stderr
	// A group of its own: an interrupt from the terminal goes to the parent alone, which ends the child when it is time.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	c.pid.Store(int64(cmd.Process.Pid))
	defer c.pid.Store(0)
	if err := writePID(c.pidFile, cmd.Process.Pid); err != nil {
		c.log.Warn("the child's pid was not noted", "error", err)
	}
	return cmd.Wait()
}
