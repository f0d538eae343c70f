package query

import (
	_ "embed"
	"slices"
	"strings"
)

//go:embed functions.txt
var functionsText string

// functions says which functions a statement may call. Names are in lower case.
type functions struct {
	scalar    map[string]bool // in expressions
	table     map[string]bool // in FROM
	catalogue map[string]bool // those of table that list the catalogue
	known     map[string]bool // all that are listed, allowed or not
	names     []string        // the allowed ones, for advice
}

// parseFunctions reads functions.txt: names under headings, comments after #. A name that ends in *
// is for readers and the test; it is not matched.
func parseFunctions(list string) *functions {
	f := &functions{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, nil}
	into := map[string][]map[string]bool{
		"scalar":    {f.scalar},
		"syntax":    {f.scalar},
		"table":     {f.table},
		"catalogue": {f.table, f.catalogue},
		"refused":   {},
	}
	var heading string
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			heading = strings.TrimSuffix(name, "]")
			continue
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		for _, name := range strings.Fields(lower(line)) {
			f.known[name] = true
			for _, set := range into[heading] {
				set[name] = true
			}
			if heading != "refused" {
				f.names = append(f.names, name)
			}
		}
	}
	slices.Sort(f.names)
	return f
}
