package table

// String returns the type's name as the catalogue, the discards and the API write it.
func (t Type) String() string {
	switch t {
	case Boolean:
		return "boolean"
	case Integer:
		return "integer"
	case Float:
		return "float"
	case Timestamp:
		return "timestamp"
	case String:
		return "string"
	}
	return "null"
}

// ParseType is the inverse of Type.String.
func ParseType(s string) (Type, bool) {
	for t := Null; t <= String; t++ {
		if t.String() == s {
			return t, true
		}
	}
	return Null, false
}

// Join returns the least type that holds the values of both: integer within float within string, boolean and timestamp each
// within string. Null, the type of nothing, is within all. It is associative, commutative and idempotent.
func Join(a, b Type) Type {
	switch {
	case a == b || b == Null:
		return a
	case a == Null:
		return b
	case a == Integer && b == Float, a == Float && b == Integer:
		return Float
	}
	return String
}

// Widens reports whether a column of type from, which exists already, is altered to type to when such values come: integer to
// float, and any type to take the place of Null. Every other conflict is a matter of Value.Cast.
func Widens(from, to Type) bool {
	return from == Integer && to == Float || from == Null && to != Null
}
