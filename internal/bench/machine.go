package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Machine is what the figures were measured on.
type Machine struct {
	Cores      int           `json:"cores"`
	Processor  string        `json:"processor"`
	Memory     int64         `json:"memory_bytes"`
	Kernel     string        `json:"kernel"`
	Dir        string        `json:"dir"`
	FileSystem string        `json:"file_system"`
	SyncP50    time.Duration `json:"sync_p50_ns"` // of appending 4 KB and fdatasync
	SyncP99    time.Duration `json:"sync_p99_ns"`
	Load       string        `json:"load_average"` // before the first run: other work falsifies the figures
}

// describe looks at the machine and measures the disk under dir.
func describe(dir string) (Machine, error) {
	m := Machine{Cores: runtime.NumCPU(), Processor: "unknown processor", Dir: dir}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return m, fmt.Errorf("ask for the kernel: %w", err)
	}
	m.Kernel = "Linux " + unix.ByteSliceToString(u.Release[:])
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return m, fmt.Errorf("ask for the memory: %w", err)
	}
	m.Memory = int64(info.Totalram) * int64(info.Unit)
	m.Load = loadAverage()
	if name := processor(); name != "" {
		m.Processor = name
	}
	var err error
	if m.FileSystem, err = fileSystem(dir); err != nil {
		return m, err
	}
	m.SyncP50, m.SyncP99, err = measureSync(filepath.Join(dir, "sync"))
	return m, err
}

// loadAverage is that of the last minute, as the system prints it.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// print writes the lines that head a report.
func (m Machine) print(p func(string, ...any)) {
	p("  machine  %d cores, %s, %.1f GB, %s", m.Cores, m.Processor, float64(m.Memory)/1e9, m.Kernel)
	p("  disk     %s, %s", m.Dir, m.FileSystem)
	p("           4 KB append and fdatasync: p50 %s ms, p99 %s ms", millis(m.SyncP50), millis(m.SyncP99))
}

// processor returns the model name, "" when the system does not tell.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // read only
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// fileSystem names the file system that holds dir, by the magic numbers of statfs(2).
func fileSystem(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", fmt.Errorf("ask for the file system of %s: %w", dir, err)
	}
	names := map[int64]string{
		unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
		unix.TMPFS_MAGIC: "tmpfs (memory: an fsync costs nothing here)", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.F2FS_SUPER_MAGIC: "f2fs",
	}
	if name, ok := names[s.Type]; ok {
		return name, nil
	}
	return fmt.Sprintf("file system %#x", s.Type), nil
}

// measureSync appends 4 KB and waits for fdatasync, a few hundred times.
func measureSync(path string) (p50, p99 time.Duration, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, 0, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	var h histogram
	block := make([]byte, 4096)
	for range 400 {
		at := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, 0, fmt.Errorf("measure the disk: %w", err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, 0, fmt.Errorf("measure the disk: %w", err)
		}
		h.record(time.Since(at))
	}
	return h.quantile(0.5), h.quantile(0.99), nil
}

// treeBytes sums up the files under dir whose names end with the suffix; what vanishes meanwhile does not count.
func treeBytes(dir, suffix string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, suffix) {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
