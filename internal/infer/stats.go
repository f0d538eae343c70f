package infer

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"

	"firth/internal/document"
	"firth/internal/vector"
)

const kinds = int(document.MaxKey) + 1

// maxExamples is how many values of each type are kept of a field, each cut to maxExampleText bytes.
const (
	maxExamples    = 3
	maxExampleText = 60
)

// Example is one value of a document.
type Example struct {
	ID    string `json:"id"` // of the document
	Value string `json:"value"`
}

// stats are what was seen of one path. Their size is bounded whatever is seen.
type stats struct {
	counts   [kinds]int64
	seen     int64 // values of any kind
	examples map[document.Kind][]Example
	unfit    []Example // dates and texts that the type of dates and texts does not hold
	distinct *sketch

	minInt, maxInt int64
	bigInts        int64 // beyond 2^53 either way
	zeroOne        int64 // integers that are 0 or 1

	minFloat, maxFloat float64
	integral           int64 // doubles that are whole and at most 2^53
	odd                int64 // doubles and decimals that are NaN or infinite

	whole, scale int // digits of the decimals

	minTime, maxTime int64 // milliseconds
	farTimes         int64 // outside what a timestamp holds

	bytes, chars                    int // of the longest text or binary
	blanks, badText, numeric, dates int64
	uuids, oldUUIDs, vectors        int64
	emptyObjects                    int64
	elements                        [kinds]int64 // of arrays
}

func (s *stats) add(o *Options, v *document.Value, f filter, id func() string) {
	s.seen++
	s.counts[v.Kind]++
	s.keepExample(v, f, id)
	if !nothing(v.Kind) && !nested(v.Kind) {
		if s.distinct == nil {
			s.distinct = &sketch{}
		}
		s.distinct.add(hashScalar(v))
	}
	switch v.Kind {
	case document.Int32, document.Int64:
		s.addInt(v.Num)
	case document.Double:
		s.addDouble(math.Float64frombits(uint64(v.Num)))
	case document.Decimal:
		whole, scale, ok := digits(v.Bytes)
		if !ok {
			s.odd++
		}
		s.whole, s.scale = max(s.whole, whole), max(s.scale, scale)
	case document.DateTime:
		if s.addTime(v.Num); v.Num > maxMillis || v.Num < minMillis {
			s.keepUnfit(v, id)
		}
	case document.Timestamp:
		s.addTime(int64(uint64(v.Num)>>32) * 1000)
	case document.String:
		if s.addText(v.Bytes); !utf8.Valid(v.Bytes) {
			s.keepUnfit(v, id)
		}
	case document.Binary:
		s.bytes = max(s.bytes, len(v.Bytes))
		switch {
		case o.uuid(v):
			s.uuids++
		case isVector(v):
			s.vectors++
		case v.Sub == subOldUUID && len(v.Bytes) == 16:
			s.oldUUIDs++
		}
	case document.Object:
		if len(v.Fields) == 0 {
			s.emptyObjects++
		}
	case document.Array:
		for i := range v.Items {
			s.elements[v.Items[i].Kind]++
		}
	}
}

func (s *stats) keepExample(v *document.Value, f filter, id func() string) {
	if v.Kind == document.Null || v.Kind == document.Missing {
		return
	}
	have := s.examples[v.Kind]
	if len(have) >= maxExamples {
		return
	}
	if s.examples == nil {
		s.examples = map[document.Kind][]Example{}
	}
	s.examples[v.Kind] = append(have, Example{ID: id(), Value: exampleText(v, f)})
}

func (s *stats) keepUnfit(v *document.Value, id func() string) {
	if len(s.unfit) < maxExamples {
		s.unfit = append(s.unfit, Example{ID: id(), Value: exampleText(v, filter{})})
	}
}

// exampleText is the beginning of a value, on one line; of nested values their size alone decides how much is looked at.
func exampleText(v *document.Value, f filter) string {
	b := v.Bytes
	if v.Kind != document.String {
		if nested(v.Kind) && len(v.Fields)+len(v.Items) > maxExampleText || len(v.Bytes) > 1<<16 {
			return kindName(v.Kind)
		}
		b = []byte(valueText(v, f))
	}
	out := bytes.ToValidUTF8(b[:min(len(b), maxExampleText)], []byte("\ufffd"))
	if len(b) > maxExampleText {
		for len(out) > 0 && !utf8.Valid(out) {
			out = out[:len(out)-1]
		}
		out = append(bytes.Clone(out), "..."...)
	}
	if v.Kind == document.String {
		return strconv.Quote(string(out))
	}
	return string(out)
}

func (s *stats) ints() int64 { return s.counts[document.Int32] + s.counts[document.Int64] }

func (s *stats) addInt(n int64) {
	if s.ints() == 1 {
		s.minInt, s.maxInt = n, n
	}
	s.minInt, s.maxInt = min(s.minInt, n), max(s.maxInt, n)
	if n > maxExact || n < -maxExact {
		s.bigInts++
	}
	if n == 0 || n == 1 {
		s.zeroOne++
	}
}

func (s *stats) addDouble(f float64) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		s.odd++
		return
	}
	if s.counts[document.Double] == 1 {
		s.minFloat, s.maxFloat = f, f
	}
	s.minFloat, s.maxFloat = min(s.minFloat, f), max(s.maxFloat, f)
	if f == math.Trunc(f) && math.Abs(f) <= maxExact {
		s.integral++
	}
}

func (s *stats) addTime(ms int64) {
	if ms > maxMillis || ms < minMillis {
		s.farTimes++
		return
	}
	if s.times()-s.farTimes == 1 {
		s.minTime, s.maxTime = ms, ms
	}
	s.minTime, s.maxTime = min(s.minTime, ms), max(s.maxTime, ms)
}

func (s *stats) times() int64 { return s.counts[document.DateTime] + s.counts[document.Timestamp] }

func (s *stats) addText(b []byte) {
	s.bytes = max(s.bytes, len(b))
	s.chars = max(s.chars, utf8.RuneCount(b))
	switch {
	case !utf8.Valid(b):
		s.badText++
	case len(bytes.TrimSpace(b)) == 0:
		s.blanks++
	case len(b) <= 40 && (b[0] <= '9' && b[0] >= '+') && vector.DecimalText(string(b)):
		s.numeric++
	case looksLikeDate(b):
		s.dates++
	}
}

// looksLikeDate is true of text that begins with year-month-day.
func looksLikeDate(b []byte) bool {
	if len(b) < 10 || len(b) > 40 || b[4] != '-' || b[7] != '-' {
		return false
	}
	for i, c := range b[:10] {
		if i != 4 && i != 7 && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// scalars is how many values there are that are neither null nor nested.
func (s *stats) scalars() int64 {
	n := int64(0)
	for k, c := range s.counts {
		if !nothing(document.Kind(k)) && !nested(document.Kind(k)) {
			n += c
		}
	}
	return n
}

// values is scalars with objects and arrays.
func (s *stats) values() int64 {
	return s.scalars() + s.counts[document.Object] + s.counts[document.Array]
}
