package vector

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParseInto adds the value that a text stands for: the canonical text of AppendText, and what else is written for the same value
// without doubt (T between date and time, Z, offsets, 1e3, t and f). It is exact: a number with more digits than the type holds, a time
// with more than microseconds or a zone where the type has none is not ok. Empty text is a value of text alone, space around a value is
// never taken off. Where it is not ok a NULL was added.
func ParseInto(v *Vector, text string) (ok bool) {
	n := v.Len()
	if parse(v, text) {
		return true
	}
	if v.Type.Kind == List {
		v.Items.Truncate(v.Offsets[n])
	}
	v.AppendNull()
	return false
}

func parse(v *Vector, text string) bool {
	switch v.Type.Kind {
	case Text:
		return utf8.ValidString(text) && add(v, text)
	case JSON:
		return json.Valid([]byte(text)) && add(v, text)
	case Bool:
		return parseBool(v, text)
	case Int:
		n, err := strconv.ParseInt(text, 10, int(v.Type.Bits))
		return err == nil && num(v, n)
	case Uint:
		n, err := strconv.ParseUint(text, 10, int(v.Type.Bits))
		return err == nil && num(v, int64(n))
	case Float:
		f, ok := parseFloat(text, v.Type.Bits)
		return ok && num(v, int64(math.Float64bits(f)))
	case Decimal:
		d, reason := normalDecimal([]byte(text), v.Type)
		return reason == "" && add(v, string(d))
	case Blob:
		h, ok := strings.CutPrefix(text, `\x`)
		b, err := hex.DecodeString(h)
		return ok && err == nil && add(v, string(b))
	case UUID:
		b, ok := parseUUID(text)
		return ok && add(v, string(b))
	case List:
		return parseList(v, text)
	}
	return parseTimes(v, text)
}

func add(v *Vector, s string) bool {
	v.AppendString(s)
	return true
}

func num(v *Vector, n int64) bool {
	v.AppendNum(n)
	return true
}

func parseBool(v *Vector, text string) bool {
	switch text {
	case "true", "t", "True", "TRUE", "1":
		v.AppendBool(true)
	case "false", "f", "False", "FALSE", "0":
		v.AppendBool(false)
	default:
		return false
	}
	return true
}

// parseFloat reads a float whose own text is the text again, as a number: 0.10 is 0.1, but 0.1000000000000000000001 is no float.
func parseFloat(text string, bits uint8) (float64, bool) {
	switch text {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	size := 64
	if bits == 32 {
		size = 32
	}
	if !DecimalText(text) {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, size)
	if err != nil {
		return 0, false
	}
	return f, sameNumber([]byte(text), AppendFloat(nil, f, bits))
}

func parseUUID(text string) ([]byte, bool) {
	if len(text) == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-' {
		text = text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	}
	if len(text) != 32 {
		return nil, false
	}
	b, err := hex.DecodeString(text)
	return b, err == nil
}

// parseList reads a JSON array whose elements are as AppendJSON writes them.
func parseList(v *Vector, text string) bool {
	var items []json.RawMessage
	if json.Unmarshal([]byte(text), &items) != nil || items == nil {
		return false
	}
	for _, item := range items {
		if !parseItem(v.Items, item) {
			return false
		}
	}
	v.EndList()
	return true
}

func parseItem(v *Vector, item json.RawMessage) bool {
	if v.Type.Kind == JSON {
		return add(v, string(item))
	}
	if string(item) == "null" {
		v.AppendNull()
		return true
	}
	text := string(item)
	if item[0] == '"' {
		if json.Unmarshal(item, &text) != nil {
			return false
		}
	} else if v.Type.Kind == Text {
		return false
	}
	return v.Type.Kind != Null && ParseInto(v, text)
}

func parseTimes(v *Vector, text string) bool {
	switch v.Type.Kind {
	case Date:
		n, ok := parseDate(text)
		return ok && num(v, n)
	case Time:
		n, rest, ok := readClock(text)
		return ok && rest == "" && n <= microsPerDay && num(v, n)
	case TimeTZ:
		n, rest, ok := readClock(text)
		offset, zoned, ok2 := readZone(rest)
		return ok && ok2 && zoned && n <= microsPerDay && add(v, formatTimeTZ(n, offset))
	case Timestamp:
		n, ok := parseTimestamp(text, false)
		return ok && num(v, n)
	case TimestampTZ:
		n, ok := parseTimestamp(text, true)
		return ok && num(v, n)
	case Interval:
		s, ok := parseSpan(text)
		if ok {
			v.AppendSpan(s)
		}
		return ok
	}
	return false
}
