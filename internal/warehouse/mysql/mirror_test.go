package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"firth/internal/vector"
	"firth/internal/warehouse/mysql"
	"firth/internal/warehouse/warehousetest"
	"firth/test/server"
)

func TestMirrors(t *testing.T) {
	m := server.MariaDB(t, version())
	warehousetest.RunMirrors(t, func(t *testing.T) *warehousetest.MirrorTarget {
		m.Wipe()
		return mirrorTarget(t, m, strings.TrimSuffix(m.Admin, "mysql"))
	})
}

func openMirrors(t *testing.T, url string) *mysql.Mirrors {
	t.Helper()
	mirrors, err := mysql.OpenMirrors(t.Context(), url, mysql.Options{Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := mirrors.Close(); err != nil {
			t.Error(err)
		}
	})
	return mirrors
}

func mirrorTarget(t *testing.T, m *server.Maria, url string) *warehousetest.MirrorTarget {
	mirrors := openMirrors(t, url)
	q := func(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }
	return &warehousetest.MirrorTarget{
		Target: warehousetest.Targets(mirrors), DB: reader(t, m), Quote: q, Text: mirrorText, Unfit: mirrorUnfit,
		Reopen: func(t *testing.T) *warehousetest.MirrorTarget {
			if err := mirrors.Close(); err != nil {
				t.Fatal(err)
			}
			return mirrorTarget(t, m, url)
		},
		User: func(t *testing.T, statements ...string) { m.Exec(statements...) },
		Lacks: map[string]string{
			"lists":                  "arrays are JSON, which any value fits into and where decimals are texts",
			"values compare exactly": "it stages NaN, which is in no float of MySQL; TestMirrorCompare stages the rest",
		},
	}
}

// mirrorText writes values as the suite does.
func mirrorText(t vector.Type, column string) string {
	fraction := func(s string) string {
		return "TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST(" + s + " AS CHAR)))"
	}
	switch t.Kind {
	case vector.Bool:
		return "CASE " + column + " WHEN 1 THEN 'true' WHEN 0 THEN 'false' END"
	case vector.Float:
		return "CAST(CAST(" + column + " AS DOUBLE) AS CHAR)"
	case vector.Blob:
		return "LOWER(HEX(" + column + "))"
	case vector.Time, vector.Timestamp:
		return fraction(column)
	case vector.TimestampTZ:
		return "CONCAT(" + fraction(column) + ", '+00')"
	case vector.Interval:
		part := func(of, unit string) string {
			return "CAST(coalesce(nullif(regexp_substr(" + of + ", '-?[0-9.]+(?=" + unit + ")'), ''), 0) AS DECIMAL(30, 6))"
		}
		date, clock := "SUBSTRING_INDEX("+column+", 'T', 1)", "IF(LOCATE('T', "+column+") > 0, SUBSTRING_INDEX("+column+", 'T', -1), '')"
		return fmt.Sprintf("IF(%s IS NULL, NULL, CONCAT(CAST(%s * 12 + %s AS SIGNED), ' ', CAST(%s AS SIGNED), ' ', CAST(((%s * 60 + %s) * 60 + %s) * 1000000 AS SIGNED)))", column,
			part(date, "Y"), part(date, "M"), part(date, "D"), part(clock, "H"), part(clock, "M"), part(clock, "S"))
	}
	return "CAST(" + column + " AS CHAR)"
}

// mirrorUnfit tells values that MySQL has no place for.
func mirrorUnfit(t vector.Type, text string) bool {
	switch t.Kind {
	case vector.Float:
		return strings.HasSuffix(text, "Inf") || text == "NaN"
	case vector.Decimal:
		return text == "NaN" && t.Width > 0 && t.Scale <= 30
	case vector.Date, vector.Timestamp, vector.TimestampTZ:
		return strings.HasSuffix(text, "infinity") || strings.HasSuffix(text, "BC") || strings.HasPrefix(text, "10000")
	}
	return false
}
