package query

import (
	"slices"
	"strings"

	"firth/internal/name"
)

// nearest words a hint that names up to three of names that are like a wrong one; "" if none is.
func nearest(wrong string, names []string) string {
	type candidate struct {
		name string
		far  int
	}
	var found []candidate
	last := lower(wrong[strings.LastIndexByte(wrong, '.')+1:])
	for _, other := range names {
		far := name.Distance(lower(wrong), lower(other))
		if tail := lower(other[strings.LastIndexByte(other, '.')+1:]); tail == last {
			far = min(far, 1)
		}
		if far <= max(1, min(len(wrong)/3, 4)) {
			found = append(found, candidate{other, far})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return a.far - b.far })
	if len(found) == 0 {
		return ""
	}
	var out []string
	for _, c := range found[:min(len(found), 3)] {
		out = append(out, c.name)
	}
	return "did you mean " + strings.Join(out, ", ") + "?"
}
