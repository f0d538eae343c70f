package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a process has used since it started, from /proc.
type usage struct {
	CPU     time.Duration `json:"cpu"`
	Peak    int64         `json:"peak_bytes"`    // largest resident set
	Written int64         `json:"written_bytes"` // sent to the disk
}

// minus returns what was used since an earlier reading; the peak stays.
func (u usage) minus(earlier usage) usage {
	return usage{CPU: u.CPU - earlier.CPU, Peak: u.Peak, Written: u.Written - earlier.Written}
}

// tick is the unit of the times in /proc/<pid>/stat, which is the same on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// readUsage reads what a running process has used.
func readUsage(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	// The name in parentheses may hold blanks: the fields are counted from the last parenthesis.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("process %d: stat has %d fields", pid, len(fields))
	}
	var u usage
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("process %d: time in stat: %w", pid, err)
		}
		u.CPU += time.Duration(n) * tick
	}
	peak, err := procField(pid, "status", "VmHWM:")
	if err != nil {
		return usage{}, err
	}
	u.Peak = peak * 1024
	u.Written, err = procField(pid, "io", "write_bytes:")
	return u, err
}

// procField reads a number of /proc/<pid>/<file>.
func procField(pid int, file, name string) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		if f := strings.Fields(s.Text()); len(f) > 1 && f[0] == name {
			return strconv.ParseInt(f[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("process %d: no %s in %s", pid, name, file)
}

// readUsages sums up what the running processes of the list have used.
func readUsages(pids []int) (usage, error) {
	var sum usage
	for _, pid := range pids {
		u, err := readUsage(pid)
		if err != nil {
			return usage{}, err
		}
		sum = usage{CPU: sum.CPU + u.CPU, Peak: sum.Peak + u.Peak, Written: sum.Written + u.Written}
	}
	return sum, nil
}

// children returns the processes that pid has started and that still run.
func children(pid int) ([]int, error) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, t := range tasks {
		b, err := os.ReadFile(t)
		if errors.Is(err, os.ErrNotExist) {
			continue // a thread that has ended
		}
		if err != nil {
			return nil, err
		}
		for _, f := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(f)
			if err != nil {
				return nil, fmt.Errorf("children of process %d: %w", pid, err)
			}
			out = append(out, n)
		}
	}
	return out, nil
}
