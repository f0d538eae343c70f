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
	"sync"
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
	// up says whether the child answers. Between settleLeast and settleMost from its start, as soon as it does, it gets childNice.
	up                      func() bool
	settleLeast, settleMost time.Duration

	pid      atomic.Int64
	restarts atomic.Int64
}

const (
	childNice       = 19
	childBackoffMin = 200 * time.Millisecond
	childBackoffMax = 5 * time.Second
	// A start takes a fifth of a second of a processor: at childNice, beside programs that take all they can get, that was twelve
	// seconds and more in which nobody answered.
	childSettleLeast = 2 * time.Second
	childSettleMost  = 10 * time.Second
)

// Run returns nil once ctx has ended and the child is gone.
//
// The thread is locked since the kernel sends the child's death signal when the *thread* that started it ends.
func (c *child) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
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
	ended := make(chan struct{})
	var lowering sync.WaitGroup
	lowering.Go(func() { c.lower(ended, cmd.Process.Pid) })
	err = cmd.Wait()
	close(ended)
	lowering.Wait()
	return err
}

// lower gives the child its nice value once it has settled, unless it ends before.
func (c *child) lower(ended <-chan struct{}, group int) {
	const look, times = 50 * time.Millisecond, 2
	for began := time.Now(); ; {
		select {
		case <-ended:
			return
		case <-time.After(look):
		}
		if age := time.Since(began); age >= c.settleMost || age >= c.settleLeast && c.up() {
			break
		}
	}
	// A thread that is being made in that moment may have the old value, and so would its own: hence once more.
	for range times {
		// Of a group it is that of every thread, where of a process it is that of one.
		if err := unix.Setpriority(unix.PRIO_PGRP, group, childNice); err != nil && !errors.Is(err, unix.ESRCH) {
			c.log.Warn("the answering half runs at normal priority", "error", err)
			return
		}
		select {
		case <-ended:
			return
		case <-time.After(look):
		}
	}
}
