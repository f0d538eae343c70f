package iceberg

import (
	"fmt"
	"strings"

	"github.com/apache/iceberg-go"

	"firth/internal/table"
)

// engineType is what the engine calls an Iceberg type, for the types that tables have: none of them is nested.
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

// copyTo writes a query into Parquet files in a folder, with the ids of its columns.
func copyTo(fields []iceberg.NestedField, query, folder, order string) (string, error) {
	list, ids := make([]string, len(fields)), make([]string, len(fields))
	for i, f := range fields {
		kind, err := engineType(f.Type)
		if err != nil {
			return "", fmt.Errorf("column %s: %w", f.Name, err)
		}
		list[i] = "CAST(" + quote(f.Name) + " AS " + kind + ") AS " + quote(f.Name)
		ids[i] = quote(f.Name) + ": " + fmt.Sprint(f.ID)
	}
	query = "SELECT " + strings.Join(list, ", ") + " FROM (" + query + ") AS q"
	if order != "" {
		query += " ORDER BY " + quote(order) + " NULLS FIRST"
	}
	return "COPY (" + query + ") TO " + literal(folder) + " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880, FILE_SIZE_BYTES '" + fileSize +
		"', FILENAME_PATTERN 'part_{i}', FIELD_IDS {" + strings.Join(ids, ", ") + "})", nil
}

// fileSize is about how large a file becomes before another is begun.
const fileSize = "128MB"
