package vector

// maxWidth is the most digits of a bounded decimal: what DuckDB, Redshift and Parquet hold. Wider ones are Decimal without a width.
const maxWidth = 38

// A decimal that was made for MySQL, and is wider, stays bounded as far as decimals of MySQL go.
const widest, widestScale = 65, 30

// Join is the narrowest type that holds the values of both. Within a family (numbers, dates and timestamps, lists) it widens; types of
// different families meet in Text, lists and JSON in JSON. It is commutative, and associative but for numbers: there the order decides
// which of several types that hold all of them it comes to.
//
// Lossless is false where a value would not be the same afterwards: a float in a Decimal is its shortest text, no longer the binary
// number, and an integer beyond 2^53 is in no float. It is true for scalars that become Text by their canonical text, although that
// changes what the column means.
func Join(a, b Type) (t Type, lossless bool) {
	switch {
	case a.Equal(b):
		return a, true
	case a.Kind == Null:
		return b, true
	case b.Kind == Null:
		return a, true
	case number(a.Kind) && number(b.Kind):
		return joinNumbers(a, b)
	case day(a.Kind) && day(b.Kind):
		if t, ok := joinDays(a.Kind, b.Kind); ok {
			return t, true
		}
	case a.Kind == List && b.Kind == List:
		elem, lossless := Join(elem(a), elem(b))
		return Type{Kind: List, Elem: &elem}, lossless
	case (a.Kind == List || a.Kind == JSON) && (b.Kind == List || b.Kind == JSON):
		return Type{Kind: JSON}, true
	}
	return Type{Kind: Text}, a.Kind != List && b.Kind != List && (a.Kind != JSON || b.Kind == Text) && (b.Kind != JSON || a.Kind == Text)
}

// Grow is Join for a column of a table that has values and gets a type which was chosen with those in mind: integers become floats of 64 bits
// where that is asked for, because whoever asks has seen that none is beyond 2^53.
func Grow(have, to Type) (t Type, lossless bool) {
	if have.Kind == Int && to.Kind == Float && to.Bits != 32 {
		return to, true
	}
	return Join(have, to)
}

// Widens reports whether a column can become the wider type without a value of it changing.
func Widens(from, to Type) bool {
	t, lossless := Join(from, to)
	return lossless && t.Equal(to)
}

func elem(t Type) Type {
	if t.Elem == nil {
		return Type{}
	}
	return *t.Elem
}

func number(k Kind) bool { return k == Int || k == Uint || k == Float || k == Decimal }

func day(k Kind) bool { return k == Date || k == Timestamp || k == TimestampTZ }

// joinDays: a date is midnight, in UTC where the other has a zone. A time without a zone and an instant have no common type.
func joinDays(a, b Kind) (Type, bool) {
	if a == Date {
		return Type{Kind: b}, true
	}
	return Type{Kind: a}, b == Date
}

func joinNumbers(a, b Type) (Type, bool) {
	if a.Kind == Float || b.Kind == Float {
		return joinFloat(a, b)
	}
	if a.Kind == b.Kind && a.Kind != Decimal {
		return Type{Kind: a.Kind, Bits: max(a.Bits, b.Bits)}, true
	}
	if a.Kind != Decimal && b.Kind != Decimal {
		if a.Kind == Uint {
			a, b = b, a
		}
		if bits := max(a.Bits, 2*min(b.Bits, 64)); b.Bits < 64 {
			return Type{Kind: Int, Bits: bits}, true
		}
	}
	wa, sa := digits(a)
	wb, sb := digits(b)
	if wa == 0 || wb == 0 {
		return Type{Kind: Decimal}, true
	}
	scale := max(sa, sb)
	width := max(wa-sa, wb-sb) + scale
	if most := max(wa, wb); width > maxWidth && (most <= maxWidth || width > widest || scale > widestScale) {
		return Type{Kind: Decimal}, true
	}
	return Type{Kind: Decimal, Width: width, Scale: scale}, true
}

// joinFloat: floats of 32 bits hold integers of 24 bits, those of 64 bits integers of 53.
func joinFloat(a, b Type) (Type, bool) {
	if a.Kind != Float {
		a, b = b, a
	}
	switch {
	case b.Kind == Float:
		return Type{Kind: Float, Bits: max(a.Bits, b.Bits)}, true
	case b.Kind == Decimal || b.Bits > 32:
		return Type{Kind: Decimal}, false
	case b.Bits > 16:
		return Type{Kind: Float, Bits: 64}, true
	}
	return a, true
}

// digits are those of the widest value of a number type that is no float; 0: unbounded.
func digits(t Type) (width, scale uint16) {
	switch {
	case t.Kind == Decimal:
		return t.Width, t.Scale
	case t.Bits <= 8:
		return 3, 0
	case t.Bits <= 16:
		return 5, 0
	case t.Bits <= 32:
		return 10, 0
	case t.Kind == Int:
		return 19, 0
	}
	return 20, 0
}
