package postgres_test

import (
	"database/sql"
	"strings"
	"testing"

	"firth/internal/vector"
	"firth/internal/warehouse/postgres"
	"firth/internal/warehouse/warehousetest"
	"firth/test/server"
)

func TestMirrors(t *testing.T) {
	t.Parallel()
	runMirrors(t, "15")
}

// TestMirrorsOfOtherVersions runs what may differ between servers.
func TestMirrorsOfOtherVersions(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"12", "18"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			runMirrors(t, version, "replace", "upsert", "append", "get", "list of a table", "history", "columns at publishing", "indexes and views stay",
				"values of every kind", "lists", "values compare exactly", "rejects")
		})
	}
}

func runMirrors(t *testing.T, version string, only ...string) {
	pg := server.Postgres(t, version)
	warehousetest.RunMirrors(t, func(t *testing.T) *warehousetest.MirrorTarget {
		url, database := fresh(t, pg)
		return mirrorTarget(t, pg, url, reader(t, pg, database))
	}, only...)
}

// openMirrors opens mirrors that are closed with the test.
func openMirrors(t *testing.T, url string) *postgres.Mirrors {
	t.Helper()
	m, err := postgres.OpenMirrors(t.Context(), url, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func mirrorTarget(t *testing.T, pg *server.PG, url string, read *sql.DB) *warehousetest.MirrorTarget {
	return &warehousetest.MirrorTarget{
		Target: warehousetest.Targets(openMirrors(t, url)), DB: read, Text: mirrorText,
		Quote:  func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` },
		Reopen: func(t *testing.T) *warehousetest.MirrorTarget { return mirrorTarget(t, pg, url, read) },
		User: func(t *testing.T, statements ...string) {
			conn := connect(t, url)
			for _, s := range statements {
				if _, err := conn.Exec(t.Context(), s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
		},
		Unfit: func(t vector.Type, text string) bool {
			return t.Kind == vector.Decimal && strings.Contains(text, "Infinity") && (t.Width > 0 || pg.Version == "12")
		},
	}
}

// mirrorText writes a column as the suite has its values.
func mirrorText(t vector.Type, c string) string {
	switch t.Kind {
	case vector.Blob:
		return "encode(" + c + ", 'hex')"
	case vector.Interval:
		return "(extract(year FROM " + c + ")::bigint * 12 + extract(month FROM " + c + ")::bigint) || ' ' || extract(day FROM " + c + ")::bigint || ' ' || " +
			"(extract(hour FROM " + c + ")::bigint * 3600000000 + extract(minute FROM " + c + ")::bigint * 60000000 + extract(microseconds FROM " + c + ")::bigint)"
	case vector.List:
		if t.Elem.Kind != vector.List {
			return "array_to_json(" + c + ")::text"
		}
	}
	return c + "::text"
}
