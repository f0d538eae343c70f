package app

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"firth/internal/lake"
	"firth/internal/state"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}

// A budget that fills, runs full, is emptied and fills again, told by component and log.
func TestPressureInWords(t *testing.T) {
	var log bytes.Buffer
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	p := &pressure{now: func() time.Time { return now }, log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))}
	ok := lake.State{Name: "lake", State: lake.StateOK}
	failing := lake.State{Name: "lake", State: lake.StateFailing, Error: "create lake file: no space left on device", Hint: "make room on the disk of the lake"}
	full := errors.New("it holds 8589000000 bytes of the 8589934592 that journal.max_bytes allows")
	base := backlog{Budget: 8 << 30, Every: time.Second, Flush: 200 * time.Millisecond, Lake: ok}
	var out bytes.Buffer
	for _, step := range []struct {
		name   string
		change func(*backlog)
	}{
		{"idle", func(*backlog) {}},
		{"half full for a moment, which a small budget is", func(b *backlog) { b.Used, b.Events, b.Lag = 5<<30, 900, time.Second }},
		{"the lake's disk is full", func(b *backlog) { b.Used, b.Events, b.Lag, b.Lake = 5<<30, 1_234_567, 312*time.Second, failing }},
		{"and more comes", func(b *backlog) { b.Used, b.Events, b.Lag, b.Lake = 5<<30+10<<20, 1_240_000, 313*time.Second, failing }},
		{"the budget is used up", func(b *backlog) {
			b.Used, b.Events, b.Lag, b.Lake = 8<<30-1000, 2_000_000, time.Hour, failing
			b.Refusal, b.RefusalHint = full, "see why the lake does not take the events over"
		}},
		{"room again, the lake works through it", func(b *backlog) { b.Used, b.Events, b.Lag = 7<<30, 1_800_000, time.Hour }},
		{"slow flushes", func(b *backlog) {
			b.Used, b.Events, b.Lag, b.Flush = 6<<30, 1_500_000, 20*time.Minute, 8*time.Second
		}},
		{"still behind at less than half, for it is not caught up", func(b *backlog) { b.Used, b.Events, b.Lag = 7<<29, 700_000, 10*time.Minute }},
		{"caught up", func(b *backlog) { b.Used, b.Events, b.Lag = 64<<20, 300, time.Second }},
		{"the journal's own disk is full", func(b *backlog) {
			b.Used, b.Refusal, b.RefusalHint = 64<<20, errors.New("the disk of /data has 100 bytes free"), "make room on the disk"
		}},
		{"accepted again", func(b *backlog) { b.Used = 64 << 20 }},
		{"refused and accepted again between two looks", func(b *backlog) {
			b.Used, b.Refused, b.Past = 64<<20, 7, fmt.Errorf("write journal segment 7.log: %w", syscall.ENOSPC)
		}},
	} {
		b := base
		step.change(&b)
		p.look = func() backlog { return b }
		log.Reset()
		now = now.Add(time.Minute)
		p.turn(b)
		c := p.component()
		fmt.Fprintf(&out, "# %s\n%s %s\n", step.name, c.Name, c.State)
		if c.Error != "" {
			fmt.Fprintf(&out, "  %s\n  → %s\n", c.Error, c.Hint)
		}
		fmt.Fprintf(&out, "%s\n", log.String())
		if (c.State == state.Failed) != (b.Refusal != nil) {
			t.Errorf("%s: state %s", step.name, c.State)
		}
	}
	golden(t, "pressure.txt", out.Bytes())
}
