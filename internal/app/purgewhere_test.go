package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"firth/internal/query"
)

// TestConditionsAskAgain: a question that a busy server did not answer is asked again, one that is wrong is not, and no answer has a word
// of the engine's, which may name somebody.
func TestConditionsAskAgain(t *testing.T) {
	refused := func(code query.Code) error { return &query.Error{Code: code, Message: "ann@example.com is no number"} }
	away := errors.New("reach the server: ann@example.com")
	for name, c := range map[string]struct {
		answers []error // nil: rows; the last one for ever
		tries   int
		want    string // of the error; empty: rows
	}{
		"at once":          {[]error{nil}, 1, ""},
		"busy":             {[]error{refused(query.CodeTooMany), refused(query.CodeDeadline), nil}, 3, ""},
		"starting":         {[]error{away, refused(codeUnavailable), nil}, 3, ""},
		"merged away":      {[]error{refused(query.CodeInternal), nil}, 2, ""},
		"wrong":            {[]error{refused(query.CodeUnknownColumn)}, 1, "--where cannot be evaluated in the tables of the lake (unknown_column)"},
		"always too slow":  {[]error{refused(query.CodeDeadline)}, slowTries, "--where takes longer than query.deadline allows"},
		"always broken":    {[]error{refused(query.CodeInternal)}, whereTries, "--where could not be looked up right now (internal)"},
		"never there":      {[]error{away}, whereTries, "the half of the server that answers questions does not: --where needs it"},
		"more than it may": {[]error{errTooMany}, 1, "--where chooses more rows than query.rows allows"},
	} {
		tries := 0
		cond := conditions{ask: func(_ context.Context, _ string, to io.Writer) (bool, error) {
			err := c.answers[min(tries, len(c.answers)-1)]
			tries++
			if errors.Is(err, errTooMany) {
				return true, nil
			}
			if err == nil {
				fmt.Fprint(to, `{"message_id":"a"}`+"\n"+`{"message_id":"b"}`+"\n")
			}
			return false, err
		}}
		got, err := cond.texts(t.Context(), "SELECT 1")
		switch {
		case tries != c.tries:
			t.Errorf("%s: asked %d times, want %d", name, tries, c.tries)
		case c.want == "" && (err != nil || !slices.Equal(got, []string{"a", "b"})):
			t.Errorf("%s: %v, %v", name, got, err)
		case c.want != "" && (err == nil || err.Error() != c.want || hintOf(err) == "" || strings.Contains(hintOf(err), "ann")):
			t.Errorf("%s: %v → %s", name, err, hintOf(err))
		}
	}
}

func TestConditionsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cond := conditions{wait: whereWait, ask: func(context.Context, string, io.Writer) (bool, error) {
		cancel()
		return false, &query.Error{Code: query.CodeTooMany}
	}}
	if _, err := cond.texts(ctx, "SELECT 1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
