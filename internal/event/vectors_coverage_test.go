package event_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEveryVectorIsAccountedFor: each vector of the specification's section 6 is tested, listed as not followed with a reason, or
// tested in another place; and in one of these alone.
func TestEveryVectorIsAccountedFor(t *testing.T) {
	where := map[string][]string{}
	for _, c := range readVectors(t) {
		if !strings.Contains(c.id, "/") && !slices.Contains(where[c.id], "vectors.txt") {
			where[c.id] = append(where[c.id], "vectors.txt")
		}
	}
	for _, file := range []string{
		"../name/testdata/names.tsv", "../name/testdata/targets.tsv", "testdata/not_followed.txt", "testdata/elsewhere.txt",
	} {
		for _, id := range listedIDs(t, file) {
			if !slices.Contains(where[id], file) {
				where[id] = append(where[id], file)
			}
		}
	}
	known := map[string]bool{}
	for _, group := range []struct {
		letter string
		last   int
	}{{"N", 130}, {"P", 29}, {"E", 49}, {"T", 25}, {"X", 17}, {"S", 5}, {"H", 13}, {"U", 5}} {
		for i := 1; i <= group.last; i++ {
			known[fmt.Sprintf("%s%d", group.letter, i)] = true
		}
	}
	known["U2b"] = true
	for id := range known {
		if len(where[id]) != 1 {
			t.Errorf("%s stands in %v, want one place", id, where[id])
		}
	}
	for id := range where {
		if !known[id] {
			t.Errorf("%s in %v is no vector", id, where[id])
		}
	}
}

// TestVectorsElsewhere looks whether the tests that elsewhere.txt names are there.
func TestVectorsElsewhere(t *testing.T) {
	text, err := os.ReadFile("testdata/elsewhere.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if len(fields) != 3 {
			t.Errorf("%q has no three fields", line)
			continue
		}
		file, err := os.ReadFile(fields[1])
		if err != nil {
			t.Errorf("%s: %v", fields[0], err)
		} else if !strings.Contains(string(file), fields[2]) {
			t.Errorf("%s: %s has no %s", fields[0], fields[1], fields[2])
		}
	}
}

// listedIDs reads the first field of each line and asks for a second.
func listedIDs(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		id, rest, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if rest == "" {
			t.Errorf("%s: %s has no reason", file, id)
		}
		ids = append(ids, id)
	}
	return ids
}
