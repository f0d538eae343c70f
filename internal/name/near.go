package name

import "strings"

// Distance is how many letters must be put in, taken out or replaced to make one name of the other (Levenshtein), in bytes.
func Distance(a, b string) int {
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

// Nearest is the one of the names that was probably meant, without regard to case: at most a third of the letters differ, or two of few;
// empty: none is like it.
func Nearest(wrong string, names []string) string {
	best, least := "", max(min(2, len(wrong)-1), len(wrong)/3)+1
	for _, n := range names {
		if far := Distance(strings.ToLower(wrong), strings.ToLower(n)); far < least {
			best, least = n, far
		}
	}
	return best
}
