package iceberg

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apache/iceberg-go"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// engineType is what the engine calls an Iceberg type, for the types that tables have: lists of scalars are the only nested ones.
func engineType(t iceberg.Type) (string, error) {
	switch t := t.(type) {
	case iceberg.BooleanType:
		return "BOOLEAN", nil
	case iceberg.Int32Type:
		return "INTEGER", nil
	case iceberg.Int64Type:
		return "BIGINT", nil
	case iceberg.Float32Type:
		return "FLOAT", nil
	case iceberg.Float64Type:
		return "DOUBLE", nil
	case iceberg.DecimalType:
		return fmt.Sprintf("DECIMAL(%d,%d)", t.Precision(), t.Scale()), nil
	case iceberg.DateType:
		return "DATE", nil
	case iceberg.TimestampType:
		return "TIMESTAMP", nil
	case iceberg.TimestampTzType:
		return "TIMESTAMP WITH TIME ZONE", nil
	case iceberg.StringType:
		return "VARCHAR", nil
	case iceberg.BinaryType:
		return "BLOB", nil
	case *iceberg.ListType:
		elem, err := engineType(t.Element)
		return elem + "[]", err
	}
	return "", fmt.Errorf("a column of type %s, which nothing of Firth's makes", t)
}

// typed is the Iceberg type of a column of an event's table.
func typed(t table.Type) (iceberg.Type, error) {
	switch t {
	case table.Boolean:
		return iceberg.PrimitiveTypes.Bool, nil
	case table.Integer:
		return iceberg.PrimitiveTypes.Int64, nil
	case table.Float:
		return iceberg.PrimitiveTypes.Float64, nil
	case table.Timestamp:
		return iceberg.PrimitiveTypes.TimestampTz, nil
	case table.String:
		return iceberg.PrimitiveTypes.String, nil
	}
	return nil, fmt.Errorf("no column type for %v", t)
}

// typeOf is the inverse of typed; a type that loads of events never make is table.Null.
func typeOf(t iceberg.Type) table.Type {
	switch t.(type) {
	case iceberg.BooleanType:
		return table.Boolean
	case iceberg.Int64Type:
		return table.Integer
	case iceberg.Float64Type:
		return table.Float
	case iceberg.TimestampTzType:
		return table.Timestamp
	case iceberg.StringType:
		return table.String
	}
	return table.Null
}

// Everything below builds SQL text and does nothing else.

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal makes a string constant.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = quote(n)
	}
	return strings.Join(out, ", ")
}

// empty is a relation of the columns without rows.
func empty(fields []iceberg.NestedField) (string, error) {
	list := make([]string, len(fields))
	for i, f := range fields {
		kind, err := engineType(f.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", f.Name, err)
		}
		list[i] = "NULL::" + kind + " AS " + quote(f.Name)
	}
	return "(SELECT " + strings.Join(list, ", ") + " WHERE false)", nil
}

// readFiles is a relation of the columns over files, which the engine finds in them by their ids: one that a file lacks is NULL in its rows,
// and one that it has with a narrower type is widened. The relation has the hidden column filename too.
func readFiles(fields []iceberg.NestedField, paths []string) (string, error) {
	var b strings.Builder
	b.WriteString("read_parquet([")
	for i, p := range paths {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(literal(p))
	}
	b.WriteString("], hive_partitioning = false, schema = MAP {")
	for i, f := range fields {
		kind, err := engineType(f.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", f.Name, err)
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d: {name: %s, type: %s, default_value: NULL}", f.ID, literal(f.Name), literal(kind))
	}
	b.WriteString("})")
	return b.String(), nil
}

// attempt is how files are written: sorted by a column or not, so many rows in a row group.
type attempt struct {
	order string
	group int
}

// attempts are the ways to write files, each taking less memory than the one before: a row group is held in memory as a whole, and a sort
// holds some rows of each part.
func attempts(order string) []attempt {
	return []attempt{{order, 122_880}, {order, 2048}, {"", 2048}}
}

// copyTo writes a query into Parquet files in a folder, with the ids of its columns.
func copyTo(fields []iceberg.NestedField, query, folder string, a attempt) (string, error) {
	list, ids := make([]string, len(fields)), make([]string, len(fields))
	for i, f := range fields {
		kind, err := engineType(f.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", f.Name, err)
		}
		list[i] = "CAST(" + quote(f.Name) + " AS " + kind + ") AS " + quote(f.Name)
		ids[i] = quote(f.Name) + ": " + fieldID(f)
	}
	query = "SELECT " + strings.Join(list, ", ") + " FROM (" + query + ") AS q"
	if a.order != "" {
		query += " ORDER BY " + quote(a.order) + " NULLS FIRST"
	}
	return "COPY (" + query + ") TO " + literal(folder) + " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE " + fmt.Sprint(a.group) + ", FILE_SIZE_BYTES '" + fileSize +
		"', FILENAME_PATTERN 'part_{i}', FIELD_IDS {" + strings.Join(ids, ", ") + "})", nil
}

// fieldID is the value of a column in FIELD_IDS.
func fieldID(f iceberg.NestedField) string {
	if list, ok := f.Type.(*iceberg.ListType); ok {
		return fmt.Sprintf("{__duckdb_field_id: %d, element: %d}", f.ID, list.ElementID)
	}
	return strconv.Itoa(f.ID)
}

// fileSize is about how large a file becomes before another is begun.
const fileSize = "128MB"

// stampText is a time as a constant.
func stampText(t time.Time) string {
	return literal(t.UTC().Format("2006-01-02 15:04:05.999999-07")) + "::TIMESTAMPTZ"
}

// inexact is a query for rows of discards: those integers of a column that no float holds. Only magnitudes beyond 2^53 are looked at, and
// compared exactly.
func inexact(name, column, from string, now time.Time) string {
	c := quote(column)
	return "SELECT " + literal(name) + " AS table_name, " + literal(column) + " AS column_name, " + c + "::VARCHAR AS value, 'integer' AS value_type, 'float' AS column_type, " +
		literal(warehouse.ReasonInexact) + " AS reason, id AS row_id, received_at, " + stampText(now) + " AS loaded_at FROM " + from +
		" WHERE (" + c + " > 9007199254740992 OR " + c + " < -9007199254740992) AND " + c + "::DOUBLE::HUGEINT <> " + c
}
