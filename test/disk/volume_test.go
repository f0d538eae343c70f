package disk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inner marks a run of the tests in namespaces of their own, or as root.
const inner = "FIRTH_DISK_INNER"

// whyNoVolume is why no file system can be mounted here; empty where one can.
var whyNoVolume string

// TestMain sees to it that the tests may mount a file system: as they are (root), else in a user namespace, else, in CI, by sudo.
func TestMain(m *testing.M) {
	direct := tryMount()
	if direct == nil || os.Getenv(inner) != "" {
		if direct != nil {
			whyNoVolume = direct.Error()
		}
		os.Exit(m.Run())
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	apart := exec.Command(self, os.Args[1:]...)
	apart.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	whyNot := []string{"mount: " + direct.Error()}
	for way, cmd := range map[string]*exec.Cmd{"a user namespace": apart, "sudo": exec.Command("sudo", append([]string{"-n", "-E", self}, os.Args[1:]...)...)} {
		if way == "sudo" && os.Getenv("CI") != "true" {
			continue
		}
		if err := possible(cmd); err != nil {
			whyNot = append(whyNot, way+": "+err.Error())
			continue
		}
		os.Exit(runAs(cmd))
	}
	whyNoVolume = strings.Join(whyNot, "; ")
	os.Exit(m.Run())
}

// possible tries with a program that does nothing but mount whether the tests could run like cmd.
func possible(cmd *exec.Cmd) error {
	try := exec.Command("mount", "-t", "tmpfs", "tmpfs", "/mnt")
	if cmd.SysProcAttr == nil { // sudo
		try = exec.Command("sudo", "-n", "unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt")
	} else {
		attr := *cmd.SysProcAttr
		try.SysProcAttr = &attr
	}
	if out, err := try.CombinedOutput(); err != nil {
		return fmt.Errorf("%w %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func runAs(cmd *exec.Cmd) int {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inner+"=yes")
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func tryMount() error {
	dir, err := os.MkdirTemp("", "firth-mount")
	if err != nil {
		return err
	}
	err = unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m")
	if err == nil {
		err = unix.Unmount(dir, unix.MNT_DETACH)
	}
	return errors.Join(err, os.Remove(dir))
}

// volume is a small file system of a test's own.
type volume struct {
	t   *testing.T
	dir string
}

// newVolume mounts a file system of so many MiB. Where that is not possible the test fails in CI and is skipped elsewhere.
func newVolume(t *testing.T, mib int) *volume {
	t.Helper()
	if whyNoVolume != "" {
		const hint = "run the tests as root, or allow user namespaces (sysctl kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu)"
		if os.Getenv("CI") == "true" {
			t.Fatalf("no file system can be mounted for the test (%s): %s", whyNoVolume, hint)
		}
		t.Skipf("no file system can be mounted for the test (%s): %s", whyNoVolume, hint)
	}
	v := &volume{t: t, dir: t.TempDir()}
	if err := unix.Mount("tmpfs", v.dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(v.dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return v
}

// grow gives the file system another size.
func (v *volume) grow(mib int) {
	v.t.Helper()
	if err := unix.Mount("tmpfs", v.dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%dm", mib)); err != nil {
		v.t.Fatal(err)
	}
}

func (v *volume) filler() string { return filepath.Join(v.dir, "filler") }

// fill takes the last byte of the file system, and what the server gives back while it gives up half-written files, until
// nothing was free for a while.
func (v *volume) fill() {
	v.t.Helper()
	f, err := os.OpenFile(v.filler(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	for quiet := time.Now(); time.Since(quiet) < 300*time.Millisecond; {
		if v.pour(f) {
			quiet = time.Now()
		}
		time.Sleep(time.Millisecond)
	}
}

// pour writes until the file system is full, and reports whether it took anything.
func (v *volume) pour(f *os.File) (took bool) {
	v.t.Helper()
	for size := 1 << 20; size > 0; {
		n, err := f.Write(make([]byte, size))
		took = took || n > 0
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			v.t.Fatal(err)
		}
		if err != nil {
			size /= 2
		}
	}
	return took
}

// empty removes the filler.
func (v *volume) empty() {
	v.t.Helper()
	if err := os.Remove(v.filler()); err != nil {
		v.t.Fatal(err)
	}
}
