package mysql

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"firth/internal/table"
	"firth/internal/warehouse"
)

// column is a column as it stands on the server.
type column struct {
	name     string
	ordinal  int
	typ      table.Type // what it holds of ours; String for types that hold none of it
	path     string     // of the bookkeeping
	known    bool       // to the bookkeeping
	made     bool       // the bookkeeping saw it made
	data     string     // the type's name in lower case
	full     string     // the type with length and the like
	charset  string
	collate  string
	chars    int64
	bytes    int64
	digits   int64 // precision and scale of a decimal
	scale    int64
	fraction int // digits of a second
	nullable bool
	computed bool // a generated column
	stuck    bool // it could not be made wider
	roomy    bool // it holds every value of its type
	foreign  bool // its type is none of ours
}

// classify sets what follows from the type on the server.
func (c *column) classify() {
	switch c.data {
	case "tinyint":
		c.typ = table.Integer
		if strings.HasPrefix(c.full, "tinyint(1)") {
			c.typ, c.roomy = table.Boolean, true
		}
	case "smallint", "mediumint", "int":
		c.typ = table.Integer
	case "bigint":
		c.typ, c.roomy = table.Integer, !c.unsigned()
	case "double":
		c.typ = table.Float
	case "float", "decimal":
		c.typ = table.Float
	case "datetime", "timestamp", "date":
		c.typ = table.Timestamp
	case "char", "varchar", "tinytext", "text", "mediumtext", "longtext":
		c.typ = table.String
	default:
		c.typ, c.foreign = table.String, true
	}
}

func (c *column) unsigned() bool { return strings.Contains(c.full, "unsigned") }

// definition is the column's type for another table.
func (c *column) definition() string {
	if c.charset == "" {
		return c.full
	}
	return c.full + " CHARACTER SET " + c.charset + " COLLATE " + c.collate
}

// keyChars is how many characters of a text column an index may hold.
func (c *column) keyChars() int {
	if c.chars <= 0 {
		return keyChars
	}
	return int(min(c.chars, keyChars))
}

// long tells a text column that an index holds a part of only.
func (c *column) long() bool {
	return c.typ == table.String && (strings.HasSuffix(c.data, "text") || c.chars > keyChars)
}

// grown is the type that the column has to get for values that do not fit, "" where there is none.
func (c *column) grown(collation string) string {
	switch {
	case c.foreign || c.computed || c.stuck:
		return ""
	case c.typ == table.String:
		return "LONGTEXT CHARACTER SET utf8mb4 COLLATE " + collation
	case c.typ == table.Integer:
		return "BIGINT"
	case c.typ == table.Float:
		return "DOUBLE"
	case c.typ == table.Timestamp:
		return "DATETIME(6)"
	}
	return ""
}

// fits says why the column cannot hold a value of its type, "" if it holds it exactly. most is the longest text in bytes that
// the server takes.
func (c *column) fits(v table.Value, most int) string {
	if c.computed {
		return warehouse.ReasonGenerated
	}
	if c.foreign {
		return "incompatible schema conversion from " + v.Type.String() + " to " + c.data
	}
	switch v.Type {
	case table.Integer:
		if !c.roomy && !c.fitsInteger(v.Int64()) {
			return warehouse.ReasonRange
		}
	case table.Float:
		if !c.fitsFloat(v.Float64()) {
			return warehouse.ReasonRange
		}
	case table.Timestamp:
		if !c.fitsTime(v.Int64()) {
			return warehouse.ReasonRange
		}
	case table.String:
		return c.fitsText(v.Text, most)
	}
	return ""
}

func (c *column) fitsInteger(n int64) bool {
	bits := map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}[c.data]
	if c.unsigned() {
		return n >= 0 && (bits == 64 || n < 1<<bits)
	}
	return n >= -1<<(bits-1) && n <= 1<<(bits-1)-1
}

func (c *column) fitsFloat(f float64) bool {
	if math.IsNaN(f) || math.IsInf(f, 0) || f < 0 && c.unsigned() {
		return false
	}
	switch c.data {
	case "float":
		return c.scale == 0 && float64(float32(f)) == f
	case "decimal":
		return fitsDecimal(strconv.FormatFloat(math.Abs(f), 'f', -1, 64), c.digits, c.scale)
	}
	return c.full == "double" || c.full == "double unsigned"
}

func fitsDecimal(text string, digits, scale int64) bool {
	whole, fraction, _ := strings.Cut(text, ".")
	return int64(len(strings.TrimLeft(whole, "0"))) <= digits-scale && int64(len(fraction)) <= scale
}

// Ends of what the types hold, in Unix microseconds.
const (
	minTime       = -62135596800_000_000 // year 1
	maxTime       = 253402300799_999_999 // year 9999
	minStamp      = 1_000_000
	maxStamp      = 2147483647_999_999
	microsOfADay  = 86_400_000_000
	microDigits   = 6
	maxInlineText = 40
)

func (c *column) fitsTime(us int64) bool {
	if us < minTime || us > maxTime {
		return false
	}
	if c.data == "timestamp" && (us < minStamp || us > maxStamp) {
		return false
	}
	return us%c.step() == 0
}

// step is the least difference between two times of the column, in microseconds.
func (c *column) step() int64 {
	if c.data == "date" {
		return microsOfADay
	}
	step := int64(1)
	for range microDigits - c.fraction {
		step *= 10
	}
	return step
}

func (c *column) fitsText(s string, most int) string {
	if !utf8.ValidString(s) {
		return warehouse.ReasonNotUTF8
	}
	if len(s) > most {
		return warehouse.ReasonTooLong
	}
	if c.charset != "utf8mb4" {
		for _, r := range s {
			if r > 127 && (r > 0xFFFF || !strings.HasPrefix(c.charset, "utf8")) {
				return warehouse.ReasonCharset
			}
		}
	}
	switch c.data {
	case "char":
		if strings.HasSuffix(s, " ") || int64(utf8.RuneCountInString(s)) > c.chars {
			return warehouse.ReasonTooLong
		}
	case "varchar":
		if int64(len(s)) > c.chars && int64(utf8.RuneCountInString(s)) > c.chars {
			return warehouse.ReasonTooLong
		}
	default:
		if int64(len(s)) > c.bytes {
			return warehouse.ReasonTooLong
		}
	}
	return ""
}

// appendText appends a value that fits as the server reads it, without quotes; texts are appended by their writer.
func appendText(b []byte, v table.Value) []byte {
	switch v.Type {
	case table.Boolean:
		return strconv.AppendUint(b, v.Bits&1, 10)
	case table.Integer:
		return strconv.AppendInt(b, v.Int64(), 10)
	case table.Float:
		return strconv.AppendFloat(b, v.Float64(), 'e', -1, 64) // without an exponent the server reads a decimal
	case table.Timestamp:
		return appendTime(b, v.Int64())
	}
	return append(b, v.Text...)
}

// inlineBytes is what a value takes at least within its row; longer texts are stored elsewhere, with a pointer of 20 bytes.
func inlineBytes(v table.Value) int {
	switch v.Type {
	case table.Boolean:
		return 1
	case table.String:
		if len(v.Text) > maxInlineText {
			return 22
		}
		return len(v.Text) + 1
	case table.Null:
		return 0
	}
	return 8
}
