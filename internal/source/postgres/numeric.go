package postgres

import (
	"encoding/binary"
	"errors"

	"firth/internal/vector"
)

// Signs of a numeric, and what stands in their place.
const (
	numericPositive = 0x0000
	numericNegative = 0x4000
	numericNaN      = 0xc000
	numericPosInf   = 0xd000
	numericNegInf   = 0xf000
)

// appendNumericTo appends a numeric to a vector as the server prints it.
func appendNumericTo(v *vector.Vector, b []byte) error {
	was := len(v.Data)
	data, err := appendNumeric(v.Data, b)
	if err != nil {
		v.Data = data[:was]
		return err
	}
	v.Data = data
	v.Offsets = append(v.Offsets, len(data))
	v.Valid = append(v.Valid, true)
	return nil
}

// appendNumeric writes a numeric as the server prints it: its digits come in groups of four, the first of them worth 10000^weight.
func appendNumeric(dst, b []byte) ([]byte, error) {
	if len(b) < 8 {
		return dst, errors.New("the server sent a numeric without a head")
	}
	be := binary.BigEndian
	groups, weight, sign, scale := int(be.Uint16(b)), int(int16(be.Uint16(b[2:]))), be.Uint16(b[4:]), int(be.Uint16(b[6:]))
	switch sign {
	case numericNaN:
		return append(dst, "NaN"...), nil
	case numericPosInf:
		return append(dst, "Infinity"...), nil
	case numericNegInf:
		return append(dst, "-Infinity"...), nil
	case numericNegative:
		dst = append(dst, '-')
	case numericPositive:
	default:
		return dst, errors.New("the server sent a numeric of an unknown kind")
	}
	if len(b) != 8+2*groups || scale > 16383 {
		return dst, errors.New("the server sent a numeric that is cut off")
	}
	for i := range groups {
		if be.Uint16(b[8+2*i:]) > 9999 {
			return dst, errors.New("the server sent a numeric with an impossible digit")
		}
	}
	if weight < 0 {
		dst = append(dst, '0')
	}
	for i := 0; i <= weight; i++ {
		n := group(b, i, groups)
		if i > 0 {
			dst = append(dst, digit(n/1000), digit(n/100%10), digit(n/10%10), digit(n%10))
			continue
		}
		dst = appendLeading(dst, n)
	}
	if scale == 0 {
		return dst, nil
	}
	dst = append(dst, '.')
	for i := weight + 1; scale > 0; i++ {
		n := group(b, i, groups)
		four := [4]byte{digit(n / 1000), digit(n / 100 % 10), digit(n / 10 % 10), digit(n % 10)}
		take := min(scale, 4)
		dst = append(dst, four[:take]...)
		scale -= take
	}
	return dst, nil
}

// group is the i-th group of digits, counted from the first one that is written.
func group(b []byte, i, groups int) uint16 {
	if i < 0 || i >= groups {
		return 0
	}
	return binary.BigEndian.Uint16(b[8+2*i:])
}

func digit(n uint16) byte { return '0' + byte(n) }

// appendLeading writes a group without zeros before it.
func appendLeading(dst []byte, n uint16) []byte {
	if n >= 1000 {
		dst = append(dst, digit(n/1000))
	}
	if n >= 100 {
		dst = append(dst, digit(n/100%10))
	}
	if n >= 10 {
		dst = append(dst, digit(n/10%10))
	}
	return append(dst, digit(n%10))
}
