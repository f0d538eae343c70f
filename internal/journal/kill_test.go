package journal_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"firth/internal/disk"
	"firth/internal/journal"
)

// childFolder names the environment variable that makes the test binary a child that appends to the journal in the folder
// until it is killed.
const childFolder = "FIRTH_TEST_JOURNAL"

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		if err := appendForEver(folder); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// appendForEver appends by several callers and prints a line for each append that was acknowledged.
func appendForEver(folder string) error {
	j, err := journal.Open(disk.OS{}, folder, journal.Options{SegmentBytes: 256 << 10})
	if err != nil {
		return err
	}
	ctx := context.Background()
	go func() { _ = j.Run(ctx) }()
	var wg sync.WaitGroup
	for c := range 8 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(c)))
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d/%d/%d", os.Getpid(), c, i)
				payload := name + " " + strings.Repeat("p", rng.IntN(4000))
				e, err := j.Append(ctx, []byte(payload), 1+rng.IntN(3))
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				fmt.Printf("%d %d %d %s\n", e.Offset, e.ReceivedAt, len(payload), name) // one write, so one whole line
			}
		})
	}
	wg.Wait()
	return nil
}

type ack struct {
	offset   uint64
	received int64
	size     int
}

// A process is killed ten times at a random moment; every append that it told of is there afterwards, once.
func TestKill(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "journal")
	acked := map[string]ack{}
	for round := range 10 {
		for name, a := range runAndKill(t, folder, 100+rand.IntN(1500)) {
			acked[name] = a
		}
		j, err := journal.Open(disk.OS{}, folder, journal.Options{SegmentBytes: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		checkAcks(t, round, j, acked)
		if round%3 == 2 {
			if err := j.Trim(j.Stats().Next); err != nil {
				t.Fatal(err)
			}
			clear(acked)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// runAndKill runs a child until it has told of so many appends and kills it. It gives all that the child told of.
func runAndKill(t *testing.T, folder string, lines int) map[string]ack {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childFolder+"="+folder)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[string]ack{}
	for in := bufio.NewScanner(out); in.Scan(); {
		var a ack
		var name string
		if _, err := fmt.Sscan(in.Text(), &a.offset, &a.received, &a.size, &name); err != nil {
			t.Errorf("line %q: %v", in.Text(), err)
		}
		acked[name] = a
		if len(acked) == lines {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child was not killed: %v", err)
	}
	return acked
}

func checkAcks(t *testing.T, round int, j *journal.Journal, acked map[string]ack) {
	t.Helper()
	frames := mustRead(t, j, j.Stats().Oldest)
	found := map[string]ack{}
	for _, f := range frames {
		name, _, _ := strings.Cut(string(f.Payload), " ")
		if _, twice := found[name]; twice {
			t.Errorf("round %d: %s is there twice", round, name)
		}
		found[name] = ack{f.Offset, f.ReceivedAt, len(f.Payload)}
	}
	for name, a := range acked {
		if found[name] != a {
			t.Errorf("round %d: %s was acknowledged as %v and is found as %v", round, name, a, found[name])
		}
	}
	t.Logf("round %d: %d acknowledged, %d found", round, len(acked), len(found))
}
