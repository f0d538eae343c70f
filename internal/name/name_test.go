package name_test

import (
	"bufio"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"firth/internal/name"
)

// TestNames runs the N rows of the specification: Segment's slug, and RudderStack's column on Postgres in both modes.
func TestNames(t *testing.T) {
	file, err := os.Open("testdata/names.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain := name.Postgres().WithRudderStack(false)
	divided := name.Postgres().WithRudderStack(true)
	count := 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		count++
		fields := strings.Split(lines.Text(), "\t")
		id, in, segment, rudder, divide := fields[0], unquote(t, fields[1]), unquote(t, fields[2]), unquote(t, fields[3]), unquote(t, fields[4])
		t.Run(id, func(t *testing.T) {
			if got := name.Snake(in); got != segment {
				t.Errorf("Snake(%q) = %q, want %q", in, got, segment)
			}
			if got := column(plain, in); got != rudder {
				t.Errorf("RudderStack column of %q = %q, want %q", in, got, rudder)
			}
			if got := column(divided, in); got != divide {
				t.Errorf("RudderStack column of %q, divided = %q, want %q", in, got, divide)
			}
		})
	}
	if count != 130 {
		t.Errorf("%d names, want 130", count)
	}
}

func unquote(t *testing.T, s string) string {
	t.Helper()
	out, err := strconv.Unquote(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return out
}

// column is the name of a top-level property in a table of its own.
func column(r name.Rules, key string) string {
	got, _ := r.NewColumns().Name("properties." + key)
	return got
}

// FuzzSnake compares Snake with the expression that defines it.
func FuzzSnake(f *testing.F) {
	for _, s := range []string{"", "fooBar", "@49L0S145_¬fwHƒ0TSLNVp", "___x", "x_", "a__b", "A1b2C3", "\x00\xff"} {
		f.Add(s)
	}
	match := regexp.MustCompile(`[A-Z0-9]+[a-z0-9]*|[a-z0-9]+`)
	f.Fuzz(func(t *testing.T, s string) {
		want := strings.ToLower(strings.Join(match.FindAllString(s, -1), "_"))
		got := name.Snake(s)
		if got != want {
			t.Errorf("Snake(%q) = %q, want %q", s, got, want)
		}
		if again := name.Snake(got); again != got {
			t.Errorf("Snake(%q) = %q: not idempotent", got, again)
		}
	})
}

func BenchmarkSnake(b *testing.B) {
	for b.Loop() {
		name.Snake("inviteYourCustomersAddInvites")
	}
}
