package query

import (
	"slices"
	"strings"
)

// nearest words a hint that names up to three of names that are like name; "" if none is.
func nearest(name string, names []string) string {
	type candidate struct {
		name string
		far  int
	}
	var found []candidate
	last := lower(name[strings.LastIndexByte(name, '.')+1:])
	for _, other := range names {
		far := distance(lower(name), lower(other))
		if tail := lower(other[strings.LastIndexByte(other, '.')+1:]); tail == last {
			far = min(far, 1)
		}
		if far <= max(1, min(len(name)/3, 4)) {
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

// distance is Levenshtein's, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
