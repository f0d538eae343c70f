package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestWrongUsage: what is wrong with a command line, how it is written right, and exit code 2.
func TestWrongUsage(t *testing.T) {
	for _, c := range []struct{ line, want, hint string }{
		{"frob", `there is no command "frob"`, "firth --help"},
		{"lake sweep", `there is no command "firth lake sweep"`, "firth --help"},
		{"import", "import: something is missing", "write firth import DIR|s3://BUCKET/PREFIX"},
		{"import a b", `import: "b" is too much`, "write firth import DIR|s3://BUCKET/PREFIX"},
		{"lake backup", "lake backup: something is missing", "write firth lake backup DIR"},
		{"lake files --no-such", "unknown flag: --no-such", "firth --help"},
		{"lake snippet --in perl", `no snippet in "perl"`, "--in sql"},
		{"lake snippet --catalog lake.example.com", "--catalog is no address", "/iceberg"},
		{"lake snippet --catalog https://ann:word@lake.example.com/iceberg", "--catalog is no address", "/iceberg"},
		{"lake files --from yesterday", `--from: "yesterday" is no time`, "24h"},
		{"lake files --from 1h --to 2h", "nothing lies between", "--from"},
		{"lake purge", "who is to be purged", "--user"},
	} {
		cmd := root()
		cmd.SetArgs(strings.Fields(c.line))
		err := cmd.ExecuteContext(t.Context())
		var shown bytes.Buffer
		if code := report(err, &shown); code != 2 || !strings.Contains(shown.String(), c.want) || !strings.Contains(shown.String(), "→") || !strings.Contains(shown.String(), c.hint) {
			t.Errorf("firth %s: exit code %d\n%s", c.line, code, &shown)
		}
		if strings.Contains(shown.String(), "word@") {
			t.Errorf("firth %s shows a password:\n%s", c.line, &shown)
		}
	}
}

// advised is an error as an object store has it.
type advised struct{ error }

func (advised) Advice() string { return "make the bucket" }

func TestReportOfAStore(t *testing.T) {
	var shown bytes.Buffer
	if code := report(advised{errors.New("no bucket")}, &shown); code != 1 || shown.String() != "firth: no bucket\n  → make the bucket\n" {
		t.Errorf("exit code %d\n%s", code, &shown)
	}
}

// TestHelp: every command says what it is for and shows an example that names it.
func TestHelp(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() == "help" || sub.Hidden {
				continue
			}
			if sub.Short == "" || sub.Name() != "version" && !strings.Contains(sub.Example, "firth "+strings.TrimPrefix(sub.CommandPath(), "firth ")) {
				t.Errorf("%s: %q, example %q", sub.CommandPath(), sub.Short, sub.Example)
			}
			walk(sub)
		}
	}
	walk(root())
}
