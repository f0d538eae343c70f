package duckdb

import (
	"strings"
)

// LakeSelect is a query of all rows of a table of the lake over Parquet files of these names; over none it is empty and has the same
// columns. Dead letters have columns of their own.
func LakeSelect(deadLetters bool, names []string) string {
	return parquetSelect(lakeColumns(deadLetters), names)
}

func lakeColumns(deadLetters bool) [][2]string {
	if deadLetters {
		return deadLetterColumns
	}
	return eventColumns
}

// LakeProbe is a query of three rows with the columns of a table of the lake: the least value of each, the greatest, and NULL. An engine that
// has seen its statistics concludes nothing from them.
func LakeProbe(deadLetters bool) string {
	ends := map[string][2]string{
		"VARCHAR": {"''", "repeat(chr(1114111), 4)"}, "TIMESTAMPTZ": {"'-infinity'", "'infinity'"}, "BIGINT": {"'-9223372036854775808'", "9223372036854775807"},
	}
	rows := make([][]string, 3)
	for _, c := range lakeColumns(deadLetters) {
		for i, v := range []string{ends[c[1]][0], ends[c[1]][1], "NULL"} {
			rows[i] = append(rows[i], v+"::"+c[1]+" AS "+quote(c[0]))
		}
	}
	return "SELECT " + strings.Join(rows[0], ", ") + " UNION ALL SELECT " + strings.Join(rows[1], ", ") + " UNION ALL SELECT " + strings.Join(rows[2], ", ")
}
