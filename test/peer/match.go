package peer

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// rank is the place of a type in the order of all values; types of the same place compare with each other.
// https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/
func rank(t bson.Type) int {
	switch t {
	case bson.TypeMinKey:
		return 0
	case bson.TypeUndefined, bson.TypeNull:
		return 1
	case bson.TypeDouble, bson.TypeInt32, bson.TypeInt64, bson.TypeDecimal128:
		return 2
	case bson.TypeString, bson.TypeSymbol:
		return 3
	}
	order := []bson.Type{
		bson.TypeEmbeddedDocument, bson.TypeArray, bson.TypeBinary, bson.TypeObjectID, bson.TypeBoolean, bson.TypeDateTime, bson.TypeTimestamp,
		bson.TypeRegex, bson.TypeDBPointer, bson.TypeJavaScript, bson.TypeCodeWithScope, bson.TypeMaxKey,
	}
	return 4 + slices.Index(order, t)
}

// Compare orders two values as MongoDB sorts them.
func Compare(a, b bson.RawValue) int {
	if c := cmp.Compare(rank(a.Type), rank(b.Type)); c != 0 {
		return c
	}
	switch a.Type {
	case bson.TypeDouble, bson.TypeInt32, bson.TypeInt64, bson.TypeDecimal128:
		return compareNumbers(a, b)
	case bson.TypeEmbeddedDocument, bson.TypeArray:
		return compareDocuments(a.Value, b.Value)
	case bson.TypeBinary:
		_, x := a.Binary()
		_, y := b.Binary()
		if c := cmp.Compare(len(x), len(y)); c != 0 {
			return c
		}
		return bytes.Compare(a.Value[4:], b.Value[4:])
	case bson.TypeDateTime:
		return cmp.Compare(a.DateTime(), b.DateTime())
	case bson.TypeTimestamp:
		t, i := a.Timestamp()
		u, j := b.Timestamp()
		return cmp.Or(cmp.Compare(t, u), cmp.Compare(i, j))
	case bson.TypeString, bson.TypeSymbol, bson.TypeJavaScript:
		return bytes.Compare(a.Value[4:], b.Value[4:])
	}
	return bytes.Compare(a.Value, b.Value)
}

func compareDocuments(a, b bson.Raw) int {
	x, _ := a.Elements()
	y, _ := b.Elements()
	for i := range min(len(x), len(y)) {
		c := cmp.Or(cmp.Compare(rank(x[i].Value().Type), rank(y[i].Value().Type)), cmp.Compare(x[i].Key(), y[i].Key()))
		if c == 0 {
			c = Compare(x[i].Value(), y[i].Value())
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

// compareNumbers compares exactly; NaN is before all others.
func compareNumbers(a, b bson.RawValue) int {
	x, nanX := number(a)
	y, nanY := number(b)
	switch {
	case nanX && nanY:
		return 0
	case nanX:
		return -1
	case nanY:
		return 1
	}
	return x.Cmp(y)
}

func number(v bson.RawValue) (f *big.Float, nan bool) {
	f = new(big.Float).SetPrec(400)
	switch v.Type {
	case bson.TypeDouble:
		if math.IsNaN(v.Double()) {
			return nil, true
		}
		return f.SetFloat64(v.Double()), false
	case bson.TypeDecimal128:
		if v.Decimal128().IsNaN() {
			return nil, true
		}
		if sign := v.Decimal128().IsInf(); sign != 0 {
			return f.SetInf(sign < 0), false
		}
		f.SetString(v.Decimal128().String()) //nolint:errcheck // it is a number
		return f, false
	}
	return f.SetInt64(v.AsInt64()), false
}

// matches reports whether a document meets a filter of $and, $or and comparisons of top-level fields.
func matches(d, filter bson.Raw) (bool, error) {
	elements, err := filter.Elements()
	if err != nil && len(filter) > 0 {
		return false, err
	}
	for _, e := range elements {
		var met bool
		switch e.Key() {
		case "$and", "$or":
			met, err = matchesList(d, e.Value().Array(), e.Key() == "$or")
		default:
			met, err = matchesField(d.Lookup(e.Key()), e.Value())
		}
		if err != nil || !met {
			return false, err
		}
	}
	return true, nil
}

func matchesList(d bson.Raw, list bson.RawArray, oneIsEnough bool) (bool, error) {
	values, err := list.Values()
	if err != nil {
		return false, err
	}
	for _, v := range values {
		met, err := matches(d, v.Document())
		if err != nil || met == oneIsEnough {
			return met, err
		}
	}
	return !oneIsEnough, nil
}

func matchesField(v, condition bson.RawValue) (bool, error) {
	operators, isDocument := condition.DocumentOK()
	elements, _ := operators.Elements()
	if !isDocument || len(elements) == 0 || elements[0].Key()[:1] != "$" {
		return Compare(v, condition) == 0, nil
	}
	for _, e := range elements {
		met, err := meets(v, e.Key(), e.Value())
		if err != nil || !met {
			return false, err
		}
	}
	return true, nil
}

// meets is one operator. Comparisons other than equality meet values of the operand's own kind alone, and NaN nothing but NaN.
func meets(v bson.RawValue, operator string, operand bson.RawValue) (bool, error) {
	switch operator {
	case "$not":
		met, err := matchesField(v, operand)
		return !met, err
	case "$in", "$type":
		values, err := operand.Array().Values()
		for _, o := range values {
			if operator == "$type" && byte(v.Type) == byte(o.AsInt64()) || operator == "$in" && Compare(v, o) == 0 {
				return true, nil
			}
		}
		return false, err
	}
	if rank(v.Type) != rank(operand.Type) {
		return false, nil
	}
	c := Compare(v, operand)
	if rank(v.Type) == 2 && c != 0 {
		if _, nan := number(v); nan {
			return false, nil
		}
		if _, nan := number(operand); nan {
			return false, nil
		}
	}
	switch operator {
	case "$eq":
		return c == 0, nil
	case "$gt":
		return c > 0, nil
	case "$gte":
		return c >= 0, nil
	case "$lt":
		return c < 0, nil
	case "$lte":
		return c <= 0, nil
	}
	return false, fmt.Errorf("unknown operator: %s", operator)
}
