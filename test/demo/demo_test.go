// Package demo runs the real demo and compares its answers with those worked out without SQL.
package demo

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"firth/internal/demo"
	"firth/test/rig"
)

func TestDemoAnswers(t *testing.T) {
	now := time.Now()
	cmd := exec.CommandContext(t.Context(), rig.Binary(t), "demo", "--once", "--listen", "127.0.0.1:0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if now.UTC().Day() != time.Now().UTC().Day() {
		t.Skip("midnight passed: the demo's month and this test's differ")
	}
	lines := strings.Split(strings.ReplaceAll(string(out), ",", ""), "\n")
	for i, answer := range demo.MakeMonth(demo.DefaultSeed, now).Expected() {
		if len(answer.Rows) == 0 {
			t.Errorf("question %d has no expected rows", i+1)
		}
		for _, row := range answer.Rows {
			if !slices.ContainsFunc(lines, func(line string) bool { return says(line, row) }) {
				t.Errorf("question %d: no line says %q", i+1, row)
			}
		}
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// says tells whether a printed line begins with the row's cells; 64.0 and 64 are one number.
func says(line string, row []string) bool {
	printed, want := strings.Fields(line), strings.Fields(strings.ReplaceAll(strings.Join(row, " "), ",", ""))
	if len(printed) < len(want) {
		return false
	}
	for i := range want {
		if strings.TrimSuffix(printed[i], ".0") != strings.TrimSuffix(want[i], ".0") {
			return false
		}
	}
	return true
}
