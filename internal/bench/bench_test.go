package bench

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// TestMain lets the test binary stand in for the product's: run with a role it takes that role.
func TestMain(m *testing.M) {
	if role := os.Getenv("BENCH_TEST_ROLE"); role != "" {
		if err := ServeRole(context.Background(), role, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}
