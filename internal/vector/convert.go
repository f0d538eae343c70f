package vector

import (
	"encoding/json"
	"math"
	"strconv"
)

// AppendConverted adds the value of a row of another vector, of any type. The reason is empty where that was done exactly, or the value
// was NULL; otherwise it says in words why it cannot be, and NULL was added. Exact means that the value is the same: 5 is 5.0, a day is
// its midnight (of UTC, where the column has a zone), a float is the decimal that is its shortest text, any value is its canonical
// text. Text becomes what ParseInto reads in it.
func (v *Vector) AppendConverted(from *Vector, row int) (reason string) {
	if !from.Valid[row] {
		v.AppendNull()
		return ""
	}
	if v.Type.Equal(from.Type) {
		v.AppendFrom(from, row)
		return ""
	}
	before := v.Len()
	reason = v.convert(from, row)
	if reason != "" && v.Len() == before {
		if v.Type.Kind == List {
			v.Items.Truncate(v.Offsets[before])
		}
		v.AppendNull()
	}
	return reason
}

func (v *Vector) convert(from *Vector, row int) string {
	switch from.Type.Kind {
	case Text:
		return v.fromText(string(from.Bytes(row)))
	case JSON:
		if v.Type.Kind != Text {
			return v.fromJSON(from.Bytes(row))
		}
	}
	switch v.Type.Kind {
	case Text:
		v.Data = from.AppendText(v.Data, row)
		v.Valid, v.Offsets = append(v.Valid, true), append(v.Offsets, len(v.Data))
		return ""
	case JSON:
		v.Data = from.AppendJSON(v.Data, row)
		v.Valid, v.Offsets = append(v.Valid, true), append(v.Offsets, len(v.Data))
		return ""
	case Int, Uint, Float, Decimal, Bool:
		return v.toNumber(from, row)
	case Date, Time, TimeTZ, Timestamp, TimestampTZ, Interval:
		return v.toTime(from, row)
	case UUID:
		if from.Type.Kind == Blob && len(from.Bytes(row)) == 16 {
			v.AppendBytes(from.Bytes(row))
			return ""
		}
	case Blob:
		if from.Type.Kind == UUID {
			v.AppendBytes(from.Bytes(row))
			return ""
		}
	case List:
		if from.Type.Kind == List {
			return v.toList(from, row)
		}
	}
	return v.isNo(from)
}

// isNo is the reason where a type has nothing in common with another.
func (v *Vector) isNo(from *Vector) string {
	return article(from.Type) + " is not " + article(v.Type)
}

func article(t Type) string {
	name := t.String()
	switch name[0] {
	case 'a', 'e', 'i', 'o':
		return "an " + name
	case 'u':
		if t.Kind == Uint {
			return "an " + name
		}
	}
	return "a " + name
}

func (v *Vector) fromText(text string) string {
	n := v.Len()
	if ParseInto(v, text) {
		return ""
	}
	v.Truncate(n)
	switch v.Type.Kind {
	case Decimal:
		_, reason := normalDecimal([]byte(text), v.Type)
		return reason
	case Int, Uint:
		if d, reason := normalDecimal([]byte(text), Type{Kind: Decimal}); reason == "" {
			return v.wholeDecimal(d)
		}
	case Float:
		if DecimalText(text) {
			return "has more digits than a " + v.Type.String() + " holds"
		}
	case Text:
		return "is not UTF-8"
	}
	if text == "" {
		return "is empty text, not " + article(v.Type)
	}
	return "the text is not " + article(v.Type)
}

// fromJSON takes strings for their text, and all other JSON for what it looks like.
func (v *Vector) fromJSON(raw []byte) string {
	text := string(raw)
	switch {
	case text == "null":
		v.AppendNull()
		return ""
	case len(raw) > 0 && raw[0] == '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			return "is not JSON"
		}
	case len(raw) > 0 && raw[0] == '{' || len(raw) > 0 && raw[0] == '[' && v.Type.Kind != List:
		return "JSON of several values is not " + article(v.Type)
	}
	return v.fromText(text)
}

func (v *Vector) toList(from *Vector, row int) string {
	lo, hi := from.ListAt(row)
	for i := lo; i < hi; i++ {
		if reason := v.Items.AppendConverted(from.Items, i); reason != "" {
			return "element " + strconv.Itoa(i-lo+1) + ": " + reason
		}
	}
	v.EndList()
	return ""
}

func (v *Vector) toTime(from *Vector, row int) string {
	k := v.Type.Kind
	switch {
	case day(k) && day(from.Type.Kind):
		return v.toDay(from.Type.Kind, from.Nums[row])
	case k == Interval && from.Type.Kind == Time:
		v.AppendSpan(Span{Micros: from.Nums[row]})
		return ""
	case k == Time && from.Type.Kind == Interval:
		s := from.Spans[row]
		if s.Months != 0 || s.Days != 0 || s.Micros < 0 || s.Micros > microsPerDay {
			return "is no time of a day"
		}
		v.AppendNum(s.Micros)
		return ""
	}
	return v.isNo(from)
}

func (v *Vector) toDay(from Kind, n int64) string {
	if n == PosInfinity || n == NegInfinity {
		v.AppendNum(n)
		return ""
	}
	switch {
	case v.Type.Kind == Date && from != Date:
		days := floorDiv(n, microsPerDay)
		if days*microsPerDay != n {
			return "has a time of day"
		}
		n = days
	case v.Type.Kind != Date && from == Date:
		if n > math.MaxInt64/microsPerDay || n < math.MinInt64/microsPerDay {
			return "is outside the years that a timestamp holds"
		}
		n *= microsPerDay
	}
	v.AppendNum(n)
	return ""
}
