package duckdb_test

import (
	"path/filepath"
	"strings"
	"testing"

	"firth/internal/vector"
	"firth/internal/warehouse/warehousetest"
)

func TestMirrors(t *testing.T) {
	warehousetest.RunMirrors(t, func(t *testing.T) *warehousetest.MirrorTarget {
		return mirrorTarget(t, filepath.Join(t.TempDir(), "warehouse.duckdb"))
	})
}

func mirrorTarget(t *testing.T, path string) *warehousetest.MirrorTarget {
	db := open(t, path)
	return &warehousetest.MirrorTarget{
		Target: warehousetest.Targets(db.Mirrors()), DB: db.SQL(), Text: mirrorText,
		Quote: func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` },
		Reopen: func(t *testing.T) *warehousetest.MirrorTarget {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			return mirrorTarget(t, path)
		},
		User: func(t *testing.T, statements ...string) {
			for _, s := range statements {
				if _, err := db.SQL().ExecContext(t.Context(), s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
		},
		// A reader beside a checkpoint once had no row of a table that was just put in another's place (DuckDB 1.5.5, one read of many thousands).
		Glimpses: 1,
		Unfit: func(t vector.Type, text string) bool {
			return t.Kind == vector.Decimal && t.Width > 0 && t.Width <= 38 && text == "NaN"
		},
	}
}

// mirrorText writes a column as the suite has its values.
func mirrorText(t vector.Type, c string) string {
	switch t.Kind {
	case vector.Decimal:
		return "regexp_replace(" + c + "::VARCHAR, '^(-?)\\.', '\\10.')"
	case vector.Blob:
		return "lower(hex(" + c + "))"
	case vector.Interval:
		return "(datepart('year', " + c + ") * 12 + datepart('month', " + c + ")) || ' ' || datepart('day', " + c + ") || ' ' || (datepart('hour', " + c + ") * 3600000000 + datepart('minute', " + c + ") * 60000000 + datepart('microsecond', " + c + "))"
	case vector.List:
		return "to_json(" + c + ")::VARCHAR"
	case vector.Date, vector.Timestamp, vector.TimestampTZ:
		return "replace(" + c + "::VARCHAR, '(BC)', 'BC')"
	}
	return c + "::VARCHAR"
}
