package rig

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// Rounds is how often a test of kills goes round: FIRTH_CRASH_ROUNDS, or the short form.
func Rounds(short int) int {
	if n, err := strconv.Atoi(os.Getenv("FIRTH_CRASH_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return short
}

// Seed is FIRTH_SEED, or the time; the test's log says which. It decides what a test draws, such as who is killed and when; what the processes
// are at just then is for the scheduler to decide.
func Seed(t *testing.T) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(os.Getenv("FIRTH_SEED"), 10, 64)
	if err != nil {
		n = uint64(time.Now().UnixNano())
	}
	t.Logf("FIRTH_SEED=%d", n)
	return n
}
