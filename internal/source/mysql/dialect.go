package mysql

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"firth/internal/source"
	"firth/internal/vector"
)

// Everything in this file builds SQL text and does nothing else. It keeps to what MySQL 8.0 and MariaDB 10.6 both take, in sessions
// whose sql_mode is empty.

// quote makes an identifier of any name.
func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}

// literal makes a string constant.
func literal(s string) string {
	b := []byte{'\''}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case 0:
			b = append(b, '\\', '0')
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case 26:
			b = append(b, '\\', 'Z')
		case '\'', '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '\''))
}

// relation names a table or view.
type relation struct{ schema, name string }

func (r relation) String() string { return r.schema + "." + r.name }
func (r relation) quoted() string { return quote(r.schema) + "." + quote(r.name) }

// parseRelation reads table, schema.table, or either in back quotes where a name has a point in it.
func parseRelation(text, database string) (relation, bool) {
	var parts []string
	for rest := text; ; {
		var part string
		if strings.HasPrefix(rest, "`") {
			end := 1
			for end < len(rest) && (rest[end] != '`' || strings.HasPrefix(rest[end:], "``")) {
				if rest[end] == '`' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				return relation{}, false
			}
			part, rest = strings.ReplaceAll(rest[1:end], "``", "`"), rest[end+1:]
		} else {
			at := strings.IndexByte(rest, '.')
			if at < 0 || len(parts) == 1 {
				at = len(rest)
			}
			part, rest = rest[:at], rest[at:]
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != '.' || len(parts) == 2 {
			return relation{}, false
		}
		rest = rest[1:]
	}
	if slices.Contains(parts, "") {
		return relation{}, false
	}
	if len(parts) == 1 {
		return relation{database, parts[0]}, true
	}
	return relation{parts[0], parts[1]}, true
}

// reading is one statement that reads rows.
type reading struct {
	from    string   // a quoted table, or empty
	query   string   // of the user, without :ids
	columns []string // what is wanted; nil: what the query has
	where   []string // conditions, all of which must hold
}

// statement is the text of the reading. A query goes as it is where all of it is wanted.
func (r reading) statement() string {
	if r.from == "" && r.columns == nil && len(r.where) == 0 {
		return r.query
	}
	list := "*"
	if r.columns != nil {
		list = quoteAll(r.columns)
	}
	return "SELECT " + list + r.tail()
}

// tail is the statement from FROM on.
func (r reading) tail() string {
	from := r.from
	if from == "" {
		from = "(\n" + r.query + "\n) AS firth"
	}
	s := " FROM " + from
	for i, w := range r.where {
		if i == 0 {
			s += " WHERE "
		} else {
			s += " AND "
		}
		s += w
	}
	return s
}

// userCondition puts brackets around a condition of the user, which may end in a comment.
func userCondition(where string) string { return "(" + where + "\n)" }

// trimQuery takes semicolons off the end of a query.
func trimQuery(q string) string { return strings.TrimRight(strings.TrimSpace(q), "; \t\r\n") }

// inRange is the condition for a piece of a table; key is its first key column.
func inRange(key string, r source.Range) ([]string, bool) {
	var out []string
	for _, bound := range []struct {
		operator string
		value    vector.Value
	}{{" >= ", r.Lo}, {" < ", r.Hi}} {
		if bound.value.Kind == vector.Null {
			continue
		}
		text, ok := constant(bound.value)
		if !ok || key == "" {
			return nil, false
		}
		out = append(out, quote(key)+bound.operator+text)
	}
	return out, true
}

// constant writes a value as SQL, of its own type; NULL, infinite ones and lists have none.
func constant(v vector.Value) (string, bool) {
	switch v.Kind {
	case vector.Bool, vector.Int:
		return strconv.FormatInt(v.Num, 10), true
	case vector.Uint:
		return strconv.FormatUint(uint64(v.Num), 10), true
	case vector.Float:
		f := math.Float64frombits(uint64(v.Num))
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return "", false
		}
		return strconv.FormatFloat(f, 'e', -1, 64), true
	case vector.Decimal:
		return v.Text, isDecimal([]byte(v.Text))
	case vector.Text, vector.JSON, vector.TimeTZ:
		return literal(v.Text), true
	case vector.Blob:
		return "x'" + hex.EncodeToString([]byte(v.Text)) + "'", true
	case vector.UUID:
		return literal(uuidText(v.Text)), len(v.Text) == 16
	case vector.Date:
		if v.Num == vector.PosInfinity || v.Num == vector.NegInfinity {
			return "", false
		}
		return "'" + time.Unix(v.Num*86400, 0).UTC().Format("2006-01-02") + "'", true
	case vector.Time:
		return "'" + clockText(v.Num) + "'", true
	case vector.Timestamp, vector.TimestampTZ:
		if v.Num == vector.PosInfinity || v.Num == vector.NegInfinity {
			return "", false
		}
		return "'" + time.UnixMicro(v.Num).UTC().Format("2006-01-02 15:04:05.000000") + "'", true
	}
	return "", false
}

func uuidText(id string) string {
	if len(id) != 16 {
		return ""
	}
	h := hex.EncodeToString([]byte(id))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func clockText(micros int64) string {
	s := micros / 1e6
	return fmt.Sprintf("%02d:%02d:%02d.%06d", s/3600, s/60%60, s%60, micros%1e6)
}

// constantOf is constant for comparing with a column of the type given: numbers in a text and texts of numbers are written as the
// column has them, since the server would compare both as floats. ok is false where no value of the column can be equal.
func constantOf(v vector.Value, t vector.Type) (string, bool) {
	text, isText := "", v.Kind == vector.Text
	switch v.Kind {
	case vector.Text, vector.Decimal:
		text = v.Text
	case vector.Int, vector.Uint:
		text, _ = constant(v)
	}
	switch t.Kind {
	case vector.Int, vector.Uint, vector.Bool:
		if v.Kind == vector.Float {
			return "", false
		}
		if isText || v.Kind == vector.Decimal {
			return text, isInteger(text)
		}
	case vector.Decimal:
		if isText {
			return text, isDecimal([]byte(text))
		}
	case vector.Text:
		if text != "" && !isText {
			return literal(text), true
		}
		if v.Kind == vector.UUID {
			return literal(uuidText(v.Text)), true
		}
	}
	return constant(v)
}

// isInteger tells canonical integers: those that a number is written as.
func isInteger(s string) bool {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || len(digits) > 20 || len(digits) > 1 && digits[0] == '0' || s == "-0" {
		return false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// fillIDs puts the ids where the query has :ids, outside of its strings, names and comments.
func fillIDs(query, ids string) (filled string, found bool) {
	var b strings.Builder
	for i := 0; i < len(query); {
		if end := skip(query, i); end > i {
			b.WriteString(query[i:end])
			i = end
			continue
		}
		if strings.HasPrefix(query[i:], ":ids") && (i+4 == len(query) || !isWord(query[i+4])) {
			b.WriteString(ids)
			found = true
			i += 4
			continue
		}
		b.WriteByte(query[i])
		i++
	}
	return b.String(), found
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// skip is where the string, name or comment that begins at i ends; i where none does.
func skip(s string, i int) int {
	until := func(end string, from int) int {
		if at := strings.Index(s[min(from, len(s)):], end); at >= 0 {
			return min(from, len(s)) + at + len(end)
		}
		return len(s)
	}
	switch c := s[i]; {
	case c == '\'' || c == '"' || c == '`':
		for j := i + 1; j < len(s); j++ {
			if s[j] == '\\' && c != '`' {
				j++
			} else if s[j] == c {
				return j + 1
			}
		}
		return len(s)
	case c == '#', strings.HasPrefix(s[i:], "-- "), strings.HasPrefix(s[i:], "--\n"):
		return until("\n", i)
	case strings.HasPrefix(s[i:], "/*"):
		return until("*/", i+2)
	}
	return i
}

// fill puts literals into a statement of the catalogue.
func fill(statement string, r relation) string {
	return strings.NewReplacer("{{schema}}", literal(r.schema), "{{table}}", literal(r.name)).Replace(statement)
}
