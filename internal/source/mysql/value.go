package mysql

import (
	"database/sql/driver"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"firth/internal/vector"
)

// parser appends a value, never NULL, that the driver handed out to a vector. Where it cannot, it appends NULL and says why.
type parser func(v driver.Value, to *vector.Vector) (reason string)

const (
	reasonZero    = "zero date"
	reasonNotUTF8 = "not valid UTF-8"
)

// unexpected is for values of a form that the column's type never has: the table was changed.
func unexpected(v driver.Value, to *vector.Vector) string {
	to.AppendNull()
	return fmt.Sprintf("a value that %s cannot hold (%T)", to.Type, v)
}

func parseInt(v driver.Value, to *vector.Vector) string {
	n, ok := v.(int64)
	if !ok {
		return unexpected(v, to)
	}
	if bits := to.Type.Bits; bits < 64 && (n < -1<<(bits-1) || n > 1<<(bits-1)-1) {
		to.AppendNull()
		return "out of range of " + to.Type.String()
	}
	to.AppendNum(n)
	return ""
}

// parseUint: the binary protocol hands out those beyond an int64 as text.
func parseUint(v driver.Value, to *vector.Vector) string {
	var n uint64
	switch v := v.(type) {
	case int64:
		n = uint64(v)
	case uint64:
		n = v
	case []byte:
		parsed, err := strconv.ParseUint(string(v), 10, 64)
		if err != nil {
			return unexpected(v, to)
		}
		n = parsed
	default:
		return unexpected(v, to)
	}
	if bits := to.Type.Bits; bits < 64 && n > 1<<bits-1 {
		to.AppendNull()
		return "out of range of " + to.Type.String()
	}
	to.AppendNum(int64(n))
	return ""
}

// parseBits reads the bytes of a BIT, the highest first.
func parseBits(v driver.Value, to *vector.Vector) string {
	b, ok := v.([]byte)
	if !ok || len(b) > 8 {
		return unexpected(v, to)
	}
	n := uint64(0)
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	if to.Type.Kind == vector.Bool && n > 1 {
		to.AppendNull()
		return "more than one bit"
	}
	to.AppendNum(int64(n))
	return ""
}

// parseFloat takes what the binary protocol carries; text of a FLOAT has been rounded by the server.
func parseFloat(v driver.Value, to *vector.Vector) string {
	switch v := v.(type) {
	case float32:
		to.AppendFloat(float64(v))
	case float64:
		to.AppendFloat(v)
	default:
		return unexpected(v, to)
	}
	return ""
}

// parseDecimal keeps the digits, but for the zeros that ZEROFILL puts before them.
func parseDecimal(v driver.Value, to *vector.Vector) string {
	b, ok := v.([]byte)
	if !ok {
		return unexpected(v, to)
	}
	i := 0
	for i+1 < len(b) && b[i] == '0' && b[i+1] != '.' {
		i++
	}
	b = b[i:]
	if !isDecimal(b) {
		to.AppendNull()
		return "not a decimal number"
	}
	to.AppendBytes(b)
	return ""
}

// isDecimal tells [-]digits[.digits].
func isDecimal(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	digits, point := 0, false
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && !point && digits > 0:
			point, digits = true, 0
		default:
			return false
		}
	}
	return digits > 0
}

// parseText: the server has made utf8mb4 of every other character set.
func parseText(v driver.Value, to *vector.Vector) string {
	switch v := v.(type) {
	case []byte:
		if !utf8.Valid(v) {
			to.AppendNull()
			return reasonNotUTF8
		}
		to.AppendBytes(v)
	case string:
		if !utf8.ValidString(v) {
			to.AppendNull()
			return reasonNotUTF8
		}
		to.AppendString(v)
	default:
		return unexpected(v, to)
	}
	return ""
}

func parseBlob(v driver.Value, to *vector.Vector) string {
	b, ok := v.([]byte)
	if !ok {
		return unexpected(v, to)
	}
	to.AppendBytes(b)
	return ""
}

func parseUUID(v driver.Value, to *vector.Vector) string {
	b, ok := v.([]byte)
	if !ok || len(b) != 36 {
		return unexpected(v, to)
	}
	var id [16]byte
	n := 0
	for i := 0; i < len(b); {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if b[i] != '-' {
				return unexpected(v, to)
			}
			i++
			continue
		}
		hi, lo := unhex(b[i]), unhex(b[i+1])
		if hi > 15 || lo > 15 {
			return unexpected(v, to)
		}
		id[n] = hi<<4 | lo
		n++
		i += 2
	}
	to.AppendBytes(id[:])
	return ""
}

func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

// parseDate reads YYYY-MM-DD. Of what MySQL takes for a date and no calendar has, it says what is missing.
func parseDate(v driver.Value, to *vector.Vector) string {
	b, ok := v.([]byte)
	if !ok {
		return unexpected(v, to)
	}
	days, reason := dateOf(b)
	if reason != "" || len(b) != 10 {
		to.AppendNull()
		return either(reason, "not a date")
	}
	to.AppendNum(days)
	return ""
}

func either(reason, otherwise string) string {
	if reason != "" {
		return reason
	}
	return otherwise
}

// dateOf reads the date that a text begins with, as days since 1970-01-01.
func dateOf(b []byte) (days int64, reason string) {
	if len(b) < 10 || b[4] != '-' || b[7] != '-' {
		return 0, "not a date"
	}
	y, m, d := number4(b), number2(b[5:]), number2(b[8:])
	switch {
	case y < 0 || m < 0 || d < 0:
		return 0, "not a date"
	case y == 0 && m == 0 && d == 0:
		return 0, reasonZero
	case m == 0:
		return 0, string(b[:10]) + " has no month"
	case d == 0:
		return 0, string(b[:10]) + " has no day"
	}
	t := time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	if t.Day() != d || int(t.Month()) != m {
		return 0, string(b[:10]) + " is no day of the calendar"
	}
	return floorDiv(t.Unix(), 86400), ""
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func number2(b []byte) int {
	if len(b) < 2 || b[0] < '0' || b[0] > '9' || b[1] < '0' || b[1] > '9' {
		return math.MinInt32
	}
	return int(b[0]-'0')*10 + int(b[1]-'0')
}

func number4(b []byte) int { return number2(b)*100 + number2(b[2:]) }

// parseTimestamp reads YYYY-MM-DD HH:MM:SS[.ffffff], which is UTC where it is an instant.
func parseTimestamp(v driver.Value, to *vector.Vector) string {
	b, ok := v.([]byte)
	if !ok {
		return unexpected(v, to)
	}
	days, reason := dateOf(b)
	if reason != "" {
		to.AppendNull()
		return reason
	}
	micros, ok := int64(0), len(b) == 10
	if len(b) > 11 && b[10] == ' ' {
		micros, ok = clockOf(b[11:])
	}
	if !ok || micros >= 86400e6 {
		to.AppendNull()
		return "not a time"
	}
	to.AppendNum(days*86400e6 + micros)
	return ""
}

// clockOf reads H+:MM:SS[.ffffff] as microseconds.
func clockOf(b []byte) (micros int64, ok bool) {
	hours, i := int64(0), 0
	for ; i < len(b) && b[i] != ':'; i++ {
		if b[i] < '0' || b[i] > '9' || i > 4 {
			return 0, false
		}
		hours = hours*10 + int64(b[i]-'0')
	}
	if i == 0 || len(b) < i+6 || b[i+3] != ':' {
		return 0, false
	}
	minutes, seconds := number2(b[i+1:]), number2(b[i+4:])
	if minutes < 0 || seconds < 0 || minutes > 59 || seconds > 59 {
		return 0, false
	}
	micros = ((hours*60+int64(minutes))*60 + int64(seconds)) * 1e6
	rest := b[i+6:]
	if len(rest) == 0 {
		return micros, true
	}
	if rest[0] != '.' || len(rest) < 2 || len(rest) > 7 {
		return 0, false
	}
	unit := int64(1e5)
	for _, c := range rest[1:] {
		if c < '0' || c > '9' {
			return 0, false
		}
		micros += int64(c-'0') * unit
		unit /= 10
	}
	return micros, true
}

// parseTime reads a TIME, which is a length of time up to 838 hours in either direction.
func parseTime(v driver.Value, to *vector.Vector) string {
	b, ok := v.([]byte)
	if !ok {
		return unexpected(v, to)
	}
	digits, negative := b, len(b) > 0 && b[0] == '-'
	if negative {
		digits = b[1:]
	}
	micros, ok := clockOf(digits)
	if !ok {
		to.AppendNull()
		return "not a time"
	}
	if negative {
		micros = -micros
	}
	to.AppendSpan(vector.Span{Micros: micros})
	return ""
}

// rejected is a value as text for the rejects.
func rejected(v driver.Value) string {
	if b, ok := v.([]byte); ok {
		if utf8.Valid(b) {
			return string(b)
		}
		return fmt.Sprintf("0x%X", b)
	}
	return asText(v)
}
