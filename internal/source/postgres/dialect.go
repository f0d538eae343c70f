package postgres

import (
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"firth/internal/vector"
)

// selection is the SELECT of some fields, where all conditions hold; an empty one is none.
func (p *plan) selection(fields []field, conditions ...string) string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for i, f := range fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.expr)
	}
	b.WriteString(" FROM " + p.from)
	word := " WHERE "
	for _, c := range conditions {
		if c != "" {
			b.WriteString(word + c)
			word = " AND "
		}
	}
	return b.String()
}

// copyOut is the statement whose rows come in the binary format.
func copyOut(selection string) string { return "COPY (" + selection + ") TO STDOUT (FORMAT binary)" }

// identifier is a part of a table's name as it was written.
type identifier struct {
	text   string
	quoted bool
}

// forms are the names that may be meant, the likelier first.
func (i identifier) forms() []string {
	if low := strings.ToLower(i.text); !i.quoted && low != i.text {
		return []string{i.text, low}
	}
	return []string{i.text}
}

// splitName reads [database.][schema.]table, each part in double quotes or bare.
func splitName(text, database string) (schema, table identifier, err error) {
	bad := &advised{fmt.Errorf("the table's name %q cannot be read", text), `write table, schema.table, or "Schema"."Table" where names have dots or quotes`}
	var parts []identifier
	rest := strings.TrimSpace(text)
	for {
		var part identifier
		if strings.HasPrefix(rest, `"`) {
			end := 1
			for end < len(rest) && (rest[end] != '"' || end+1 < len(rest) && rest[end+1] == '"') {
				if rest[end] == '"' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				return schema, table, bad
			}
			part = identifier{strings.ReplaceAll(rest[1:end], `""`, `"`), true}
			rest = rest[end+1:]
		} else {
			end := strings.IndexByte(rest, '.')
			if end < 0 {
				end = len(rest)
			}
			part = identifier{strings.TrimSpace(rest[:end]), false}
			rest = rest[end:]
		}
		if part.text == "" {
			return schema, table, bad
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != '.' {
			return schema, table, bad
		}
		rest = rest[1:]
	}
	if len(parts) == 3 && parts[0].text == database {
		parts = parts[1:]
	}
	switch len(parts) {
	case 1:
		return schema, parts[0], nil
	case 2:
		return parts[0], parts[1], nil
	}
	return schema, table, bad
}

// arrayText is an array of texts as the server reads it.
func arrayText(values []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

// listText are values for IN (...); none is a list that nothing is in.
func listText(values []string) string {
	if len(values) == 0 {
		return "NULL"
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = literal(v)
	}
	return strings.Join(quoted, ", ")
}

// valueText is a value as the server reads it; ok is false where no column of the server can hold it.
func valueText(v vector.Value) (text string, ok bool) {
	switch v.Kind {
	case vector.Null, vector.Interval, vector.List:
		return "", false
	case vector.Bool:
		return strconv.FormatBool(v.Num != 0), true
	case vector.Int:
		return strconv.FormatInt(v.Num, 10), true
	case vector.Uint:
		return strconv.FormatUint(uint64(v.Num), 10), true
	case vector.Float:
		return floatText(math.Float64frombits(uint64(v.Num)), v.Bits), true
	case vector.UUID, vector.Blob:
		if v.Kind == vector.UUID {
			return hex.EncodeToString([]byte(v.Text)), true
		}
		return `\x` + hex.EncodeToString([]byte(v.Text)), true
	case vector.Date, vector.Timestamp, vector.TimestampTZ, vector.Time:
		return timeText(v), true
	}
	return v.Text, utf8.ValidString(v.Text) && strings.IndexByte(v.Text, 0) < 0
}

func floatText(f float64, bits uint8) string {
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case bits == 32:
		return strconv.FormatFloat(f, 'g', -1, 32)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// timeText is a date or time as the server reads it, by the calendar of the server.
func timeText(v vector.Value) string {
	if v.Kind == vector.Time {
		return string(appendTime(nil, v.Num))
	}
	switch v.Num {
	case vector.PosInfinity:
		return "infinity"
	case vector.NegInfinity:
		return "-infinity"
	}
	if v.Kind == vector.Date {
		out, bc := appendDate(nil, v.Num)
		return string(out) + bc
	}
	days, rest := v.Num/microsADay, v.Num%microsADay
	if rest < 0 {
		days, rest = days-1, rest+microsADay
	}
	out, bc := appendDate(nil, days)
	out = appendTime(append(out, ' '), rest)
	if v.Kind == vector.TimestampTZ {
		out = append(out, "+00"...)
	}
	return string(out) + bc
}

// fits reports whether a text can be a value of the key: an id that cannot be has no rows, and must not fail the others of its batch.
func (f *field) fits(text string) bool {
	switch f.form {
	case formInt2, formInt4, formInt8:
		_, err := strconv.ParseInt(text, 10, map[form]int{formInt2: 16, formInt4: 32, formInt8: 64}[f.form])
		return err == nil
	case formUint4:
		_, err := strconv.ParseUint(text, 10, 32)
		return err == nil
	case formBytes:
		if f.Type.Kind == vector.UUID {
			bare := strings.ReplaceAll(text, "-", "")
			_, err := hex.DecodeString(bare)
			return err == nil && len(bare) == 32 && (len(text) == 32 || len(text) == 36)
		}
	}
	return true
}
