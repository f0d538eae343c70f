package sdk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// same compares two JSON values, numbers by their text: nothing may be rewritten on the way. It returns "" or what differs.
func same(path string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return differ(path, want, got)
		}
		for _, key := range keys(w, g) {
			wv, inWant := w[key]
			gv, inGot := g[key]
			if inWant != inGot {
				return differ(path+"."+key, wv, gv)
			}
			if d := same(path+"."+key, wv, gv); d != "" {
				return d
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return differ(path, want, got)
		}
		for i := range w {
			if d := same(fmt.Sprintf("%s[%d]", path, i), w[i], g[i]); d != "" {
				return d
			}
		}
		return ""
	}
	if want != got {
		return differ(path, want, got)
	}
	return ""
}

// holds tells whether got has all that want has, as an SDK may write it: more members, no nulls, another text for an equal number or
// for the same instant. It returns "" or what is missing.
func holds(path string, want, got any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return differ(path, want, got)
		}
		for key, wv := range w {
			gv, found := g[key]
			if !found && wv != nil {
				return differ(path+"."+key, wv, nil)
			}
			if d := holds(path+"."+key, wv, gv); d != "" {
				return d
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return differ(path, want, got)
		}
		for i := range w {
			if d := holds(fmt.Sprintf("%s[%d]", path, i), w[i], g[i]); d != "" {
				return d
			}
		}
		return ""
	case json.Number:
		g, ok := got.(json.Number)
		if wr, gr := rational(w), rational(g); ok && wr != nil && gr != nil && wr.Cmp(gr) == 0 {
			return ""
		}
		return differ(path, want, got)
	case string:
		if g, ok := got.(string); ok && sameInstant(w, g) {
			return ""
		}
	}
	if want != got {
		return differ(path, want, got)
	}
	return ""
}

func differ(path string, want, got any) string {
	return fmt.Sprintf("%s: want %#v, got %#v", path, want, got)
}

func keys(maps ...map[string]any) []string {
	var all []string
	for _, m := range maps {
		for key := range m {
			all = append(all, key)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func rational(n json.Number) *big.Rat {
	r, ok := new(big.Rat).SetString(n.String())
	if !ok {
		return nil
	}
	return r
}

func sameInstant(a, b string) bool {
	ta, okA := instant(a)
	tb, okB := instant(b)
	return okA && okB && ta == tb
}

// instant reads a date or a date-time of ISO 8601 as Unix microseconds; what is finer is cut.
func instant(text string) (int64, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMicro(), true
		}
	}
	return 0, false
}

// compact writes a value as JSON without white space, its numbers as they came.
func compact(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
