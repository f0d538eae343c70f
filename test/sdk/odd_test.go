package sdk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"firth/test/rig"
)

// TestCutSurrogate: JavaScript cuts texts in the middle of an emoji, and the SDK sends the half as \ud83c. The call and its
// neighbours are kept, with U+FFFD for the half, and a note among the dead letters shows what came.
func TestCutSurrogate(t *testing.T) {
	t.Parallel()
	c := node("cut", "surrogate.js")
	s := rig.New(t, source(c))
	s.Start()
	c.start(t, s.URL, runID()).wait(t)
	var rows [][]any
	eventually(t, time.Minute, "three rows", func() error {
		out, err := s.SQL(`SELECT text FROM cut.cut ORDER BY id`)
		if err == nil && len(out.Rows) < 3 {
			err = fmt.Errorf("%d rows", len(out.Rows))
		}
		if err == nil {
			rows = out.Rows
		}
		return err
	})
	for i, want := range []string{"sound", "wave \ufffd", "sound too"} {
		if got := text(rows[i][0]); got != want {
			t.Errorf("row %d is %q, want %q", i, got, want)
		}
	}
	letter(t, s, c, "invalid_utf8", "cut-")
}

// TestNaN: Python writes NaN where JSON has no such word; the SDK gives the batch up at 400. It is kept among the dead letters.
func TestNaN(t *testing.T) {
	t.Parallel()
	c := client{name: "nan", command: []string{"@python/bin/python", "python/nan.py"}}
	s := rig.New(t, source(c))
	s.Start()
	var reports []string
	decode(t, c.start(t, s.URL, runID()).wait(t), &reports)
	if len(reports) != 1 || !strings.Contains(reports[0], "malformed_json") {
		t.Errorf("the SDK reports %q, want one report that names malformed_json", reports)
	}
	letter(t, s, c, "malformed_json", "nan-")
}

// letter waits for the one dead letter of the reason and checks that it holds the text.
func letter(t *testing.T, s *rig.Server, c client, reason, holds string) {
	t.Helper()
	eventually(t, time.Minute, "a dead letter", func() error {
		out, err := s.SQL(`SELECT reason, payload FROM firth.dead_letters WHERE source = $1`, c.name)
		if err != nil {
			return err
		}
		if len(out.Rows) != 1 || text(out.Rows[0][0]) != reason || !strings.Contains(text(out.Rows[0][1]), holds) {
			return fmt.Errorf("the dead letters are %v, want one of %s with %s", out.Rows, reason, holds)
		}
		return nil
	})
}
