package odd_test

import (
	"database/sql"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"firth/internal/vector"
)

// plainPostgres are the settings under which a session prints values without losing anything.
var plainPostgres = []string{"SET TimeZone = 'UTC'", "SET DateStyle = 'ISO'", "SET IntervalStyle = 'postgres'", "SET extra_float_digits = 3"}

func readPostgres(t *testing.T, conn *pgx.Conn, query string) (out [][]*string) {
	t.Helper()
	rows, err := conn.Query(t.Context(), query, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var r []*string
		for _, b := range rows.RawValues() {
			if b == nil {
				r = append(r, nil)
				continue
			}
			s := string(b)
			r = append(r, &s)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

func readAll(t *testing.T, db *sql.DB, query string) (out [][]*string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		r, to := make([]*string, len(columns)), make([]any, len(columns))
		for i := range r {
			to[i] = &r[i]
		}
		if err := rows.Scan(to...); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return out
}

func execute(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Spans are printed as months, days and microseconds by all.
func duckText(t vector.Type, c string) string {
	switch t.Kind {
	case vector.Blob:
		return "lower(hex(" + c + "))"
	case vector.Interval:
		return "(datepart('year', " + c + ") * 12 + datepart('month', " + c + ")) || ' ' || datepart('day', " + c + ") || ' ' || (datepart('hour', " + c +
			") * 3600000000 + datepart('minute', " + c + ") * 60000000 + datepart('microsecond', " + c + "))"
	case vector.List:
		return "to_json(" + c + ")::VARCHAR"
	case vector.TimestampTZ:
		return "timezone('UTC', " + c + ")::VARCHAR || CASE WHEN isinf(" + c + ") THEN '' ELSE '+00' END"
	}
	return c + "::VARCHAR"
}

func postgresText(t vector.Type, c string) string {
	switch t.Kind {
	case vector.Blob:
		return "encode(" + c + ", 'hex')"
	case vector.Interval:
		return "(extract(year FROM " + c + ")::bigint * 12 + extract(month FROM " + c + ")::bigint) || ' ' || extract(day FROM " + c + ")::bigint || ' ' || " +
			"(extract(hour FROM " + c + ")::bigint * 3600000000 + extract(minute FROM " + c + ")::bigint * 60000000 + extract(microseconds FROM " + c + ")::bigint)"
	case vector.List:
		return "array_to_json(" + c + ")::text"
	}
	return c + "::text"
}

func mariaText(t vector.Type, c string) string {
	switch t.Kind {
	case vector.Float:
		return "CAST(CAST(" + c + " AS DOUBLE) AS CHAR)"
	case vector.Blob:
		return "LOWER(HEX(" + c + "))"
	case vector.TimestampTZ:
		return "CONCAT(" + c + ", '+00')"
	case vector.Interval:
		part := func(of, unit string) string {
			return "CAST(coalesce(nullif(regexp_substr(" + of + ", '-?[0-9.]+(?=" + unit + ")'), ''), 0) AS DECIMAL(30, 6))"
		}
		date, clock := "SUBSTRING_INDEX("+c+", 'T', 1)", "IF(LOCATE('T', "+c+") > 0, SUBSTRING_INDEX("+c+", 'T', -1), '')"
		return fmt.Sprintf("IF(%s IS NULL, NULL, CONCAT(CAST(%s * 12 + %s AS SIGNED), ' ', CAST(%s AS SIGNED), ' ', CAST(((%s * 60 + %s) * 60 + %s) * 1000000 AS SIGNED)))", c,
			part(date, "Y"), part(date, "M"), part(date, "D"), part(clock, "H"), part(clock, "M"), part(clock, "S"))
	}
	return "CAST(" + c + " AS CHAR)"
}
