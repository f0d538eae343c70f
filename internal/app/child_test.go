package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary plays the child: with FIRTH_TEST_CHILD set it says so in a file and waits.
func TestMain(m *testing.M) {
	if dir := os.Getenv("FIRTH_TEST_CHILD"); dir != "" {
		text, _ := io.ReadAll(os.Stdin)
		_ = os.WriteFile(filepath.Join(dir, strconv.Itoa(os.Getpid())), text, 0o600)
		time.Sleep(time.Minute)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func TestChildIsStartedAgainAndEndsWithTheContext(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("FIRTH_TEST_CHILD", dir)
	var answers atomic.Bool
	c := &child{args: []string{"-test.run=none"}, stdin: []byte("configuration"), pidFile: filepath.Join(dir, "pid"),
		stderr: io.Discard, log: slog.New(slog.DiscardHandler), grace: 2 * time.Second,
		up: answers.Load, settleMost: time.Minute}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()

	runs := func() int {
		entries, _ := filepath.Glob(filepath.Join(dir, "[0-9]*"))
		return len(entries)
	}
	within(t, "the first child", func() bool { return runs() == 1 })
	first := int(c.pid.Load())
	within(t, "the child to have read its configuration", func() bool {
		text, _ := os.ReadFile(filepath.Join(dir, strconv.Itoa(first)))
		return string(text) == "configuration"
	})
	if values := niceOf(t, first); !slices.Equal(values, []int{0}) {
		t.Errorf("the child starts at the nice values %v, want 0", values)
	}
	answers.Store(true)
	within(t, "every thread of the child to have its nice value", func() bool { return slices.Equal(niceOf(t, first), []int{childNice}) })
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	within(t, "the second child", func() bool { return runs() == 2 })
	second := int(c.pid.Load())
	if second == first || c.restarts.Load() != 1 {
		t.Errorf("pids %d, %d; %d restarts", first, second, c.restarts.Load())
	}

	// A stopped child must end too.
	if err := unix.Kill(second, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := unix.Kill(second, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("the child still lives: %v", err)
	}
	if _, err := os.Stat(c.pidFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the pid file is still there: %v", err)
	}
}

// niceOf are the nice values of the threads of a process, each once.
func niceOf(t *testing.T, pid int) []int {
	t.Helper()
	threads, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		if nice, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil { // it may have ended
			out = append(out, 20-nice)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestLeftOverChildIsEnded(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("FIRTH_TEST_CHILD", dir)
	cmd := exec.Command(os.Args[0], "-test.run=none")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- cmd.Wait() }()
	path := filepath.Join(dir, "child.pid")
	if err := writePID(path, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := endLeftOver(path, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the left-over child ended by itself")
	}
}

func TestAnotherProcessWithTheSamePIDIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "child.pid")
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+" 1 "+path+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := endLeftOver(path, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the stale pid file is still there")
	}
}

// TestTheOriginalsChildIsLeftAlone looks into a copy of a folder whose server is running.
func TestTheOriginalsChildIsLeftAlone(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("FIRTH_TEST_CHILD", dir)
	cmd := exec.Command(os.Args[0], "-test.run=none")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	original, copied := filepath.Join(dir, "child.pid"), filepath.Join(t.TempDir(), "child.pid")
	if err := writePID(original, cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	note, err := os.ReadFile(original)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(copied, note, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := endLeftOver(copied, time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := processStart(cmd.Process.Pid); err != nil {
		t.Errorf("the original's child is gone: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
}

func TestFolderLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockFolder(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("the second lock: %v", err)
	}
	l.release()
	again, err := lockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.release()
}
