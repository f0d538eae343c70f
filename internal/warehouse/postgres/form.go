package postgres

import (
	"math"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// form is how values of a column travel in a binary COPY.
type form uint8

const (
	formOdd form = iota // as text, through a staging table: the server reads it
	formBool
	formInt2
	formInt4
	formInt8
	formFloat4
	formFloat8
	formText
	formTimestamp // with a time zone or without: microseconds of UTC either way
)

// formOf tells a server's type by its OID, and what it is to those who shape rows.
func formOf(oid uint32) (form, table.Type) {
	switch oid {
	case pgtype.BoolOID:
		return formBool, table.Boolean
	case pgtype.Int2OID:
		return formInt2, table.Integer
	case pgtype.Int4OID:
		return formInt4, table.Integer
	case pgtype.Int8OID:
		return formInt8, table.Integer
	case pgtype.Float4OID:
		return formFloat4, table.Float
	case pgtype.Float8OID:
		return formFloat8, table.Float
	case pgtype.NumericOID:
		return formOdd, table.Float
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID:
		return formText, table.String
	case pgtype.TimestampOID, pgtype.TimestamptzOID:
		return formTimestamp, table.Timestamp
	}
	return formOdd, table.String
}

// Limits of the server.
const (
	maxText      = 1<<30 - 1<<16 // a field, and the row that it is in, must stay below 1 GB
	maxDiscard   = 64 << 10      // of a value in the discards
	maxHeapRow   = 8160 - 32     // bytes of a row in a page of 8 kB, less what the order of the columns may cost in alignment
	pointerBytes = 18            // of a value that lies beside the page

	epoch   = 946_684_800_000_000       // 2000-01-01 in Unix microseconds, which the server counts from
	minTime = -211_813_488_000_000_000  // 4714-11-24 BC, in microseconds from 2000
	maxTime = 9_223_371_331_200_000_000 // 294277-01-01
)

// length is how many characters a column of texts takes, 0 where that is unlimited.
func (c *column) length() int {
	if (c.oid == pgtype.VarcharOID || c.oid == pgtype.BPCharOID) && c.mod >= 5 {
		return int(c.mod - 4)
	}
	return 0
}

// narrow reports whether there are values of the column's kind that it cannot hold.
func (c *column) narrow() bool {
	switch c.form {
	case formInt2, formInt4, formFloat4:
		return true
	case formText:
		return c.length() > 0
	case formTimestamp:
		return c.mod >= 0 && c.mod < 6
	}
	return false
}

// refuses says why the column cannot hold a value of its kind, and the type that can.
func (c *column) refuses(v table.Value) (reason, wider string) {
	switch c.form {
	case formText:
		if n := c.length(); n > 0 && len(v.Text) > n && utf8.RuneCountInString(v.Text) > n {
			return warehouse.ReasonTooLong, "character varying"
		}
	case formInt2:
		if n := v.Int64(); n < math.MinInt16 || n > math.MaxInt16 {
			return warehouse.ReasonRange, "bigint"
		}
	case formInt4:
		if n := v.Int64(); n < math.MinInt32 || n > math.MaxInt32 {
			return warehouse.ReasonRange, "bigint"
		}
	case formFloat4:
		if f := v.Float64(); f == f && float64(float32(f)) != f {
			return warehouse.ReasonNoFit, "double precision"
		}
	case formTimestamp:
		if c.narrow() && v.Int64()%powersOfTen[6-c.mod] != 0 {
			if c.oid == pgtype.TimestampOID {
				return warehouse.ReasonNoFit, "timestamp without time zone"
			}
			return warehouse.ReasonNoFit, "timestamp with time zone"
		}
	}
	return "", ""
}

var powersOfTen = [...]int64{1, 10, 100, 1000, 10_000, 100_000, 1_000_000}

// staged is the type of the column in a staging table.
func (c *column) staged() string {
	switch c.form {
	case formBool:
		return "boolean"
	case formInt2:
		return "smallint"
	case formInt4:
		return "integer"
	case formInt8:
		return "bigint"
	case formFloat4:
		return "real"
	case formFloat8:
		return "double precision"
	case formTimestamp:
		return "timestamp with time zone"
	}
	return "text"
}
