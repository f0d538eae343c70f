package app

import (
	"bytes"
	"strings"
	"testing"
)

func TestInferSaysWhatIsWrongWithItsCall(t *testing.T) {
	path := program(t, "exit 0\n")
	for want, o := range map[string]InferOptions{
		`there is no database "app"`: {Database: "app", Collection: "c", Format: "table", Sample: 1}, "unknown format": {Format: "xml", Sample: 1}, "no number of documents": {Format: "json"},
	} {
		o.Config, o.Stdout, o.Stderr = path, &bytes.Buffer{}, &bytes.Buffer{}
		err := Infer(t.Context(), o)
		if err == nil || !IsUsage(err) || !strings.Contains(err.Error(), want) || hintOf(err) == "" {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestProgressTellsBytesAndWhatIsLeft(t *testing.T) {
	for want, p := range map[string]progress{
		"people: read: 500 of about 1,000 rows (50%), 2.0 KiB, 3.0s left": {Stage: "people: read", Done: 500, Total: 1000, Unit: "rows", Bytes: 2048, Left: 3},
		"people: read: 500 rows, 2.0 KiB":                                 {Stage: "people: read", Done: 500, Unit: "rows", Bytes: 2048},
		"load: 5 of 10 rows":                                              {Stage: "load", Done: 5, Total: 10, Unit: "rows"},
	} {
		if got := p.text(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
