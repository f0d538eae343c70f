package mongo

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"firth/internal/vector"
)

// The subtypes of binary values that are UUIDs: in the standard's order of bytes, and in that of whichever driver wrote them.
const (
	oldUUID = 3
	newUUID = 4
)

// forms are the values of a collection that a value of the warehouse may stand for: a text of 24 hexadecimal digits is an ObjectID as
// well as that text. From that a comparison meets the type that the field really has, be it mixed.
func forms(v vector.Value) []any {
	switch v.Kind {
	case vector.Bool:
		return []any{v.Num != 0}
	case vector.Int, vector.Uint:
		if v.Kind == vector.Uint && v.Num < 0 { // beyond the integers of BSON
			d, err := bson.ParseDecimal128(uintText(uint64(v.Num)))
			return only(d, err)
		}
		return []any{v.Num}
	case vector.Float:
		return []any{float(v.Num)}
	case vector.Decimal:
		d, err := bson.ParseDecimal128(v.Text)
		return only(d, err)
	case vector.UUID:
		return uuids([]byte(v.Text))
	case vector.Blob:
		return blobs([]byte(v.Text))
	case vector.Date:
		return []any{bson.DateTime(v.Num * msPerDay)}
	case vector.Timestamp, vector.TimestampTZ:
		ms := floor(v.Num, 1000)
		out := []any{bson.DateTime(ms)}
		if s := floor(v.Num, 1e6); s >= 0 && s <= 1<<32-1 {
			out = append(out, bson.Timestamp{T: uint32(s)})
		}
		return out
	case vector.Text:
		return texts(v.Text)
	}
	return nil
}

const msPerDay = 24 * 60 * 60 * 1000

// floor divides and rounds down: a bound may include a little more, never less.
func floor(n, by int64) int64 {
	q := n / by
	if n%by < 0 {
		q--
	}
	return q
}

func only(d bson.Decimal128, err error) []any {
	if err != nil {
		return nil
	}
	return []any{d}
}

// texts are what a text may stand for.
func texts(s string) []any {
	out := []any{s}
	if id, err := bson.ObjectIDFromHex(s); err == nil && len(s) == 24 {
		out = append(out, id)
	}
	if id, ok := parseUUID(s); ok {
		out = append(out, uuids(id)...)
	}
	return out
}

// idForms are the values that an id may stand for. An id that was listed among others of several types is text by now, so a text may be
// a number, a time, or an object as JSON.
func idForms(v vector.Value) []any {
	out := forms(v)
	if v.Kind != vector.Text {
		return out
	}
	s := v.Text
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return append(out, n)
	}
	switch f, err := strconv.ParseFloat(s, 64); {
	case s == "true" || s == "false":
		out = append(out, s == "true")
	case err == nil:
		out = append(out, f)
		if d, err := bson.ParseDecimal128(s); err == nil {
			out = append(out, d)
		}
	case strings.HasPrefix(s, "{"):
		var d bson.D
		if bson.UnmarshalExtJSON([]byte(s), false, &d) == nil {
			out = append(out, d)
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil && at.Nanosecond()%1e6 == 0 {
		out = append(out, bson.NewDateTimeFromTime(at))
	}
	return out
}

// blobs are binary values of these bytes, by their subtypes: two of different ones are not equal.
func blobs(b []byte) []any {
	out := []any{bson.Binary{Data: b}, bson.Binary{Subtype: 0x80, Data: b}}
	if len(b) == 16 {
		out = append(out, bson.Binary{Subtype: oldUUID, Data: b}, bson.Binary{Subtype: newUUID, Data: b}, bson.Binary{Subtype: 5, Data: b})
	}
	return out
}

// parseUUID reads 8-4-4-4-12 hexadecimal digits.
func parseUUID(s string) ([]byte, bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return nil, false
	}
	return unhex(strings.ReplaceAll(s, "-", ""))
}

// uuids are the ways in which drivers have stored a UUID: as the standard has it, and with subtype 3 in that order, in that of the old
// drivers for C#, and in that of the old ones for Java. Which of them a collection has is not to be seen in it.
func uuids(b []byte) []any {
	if len(b) != 16 {
		return nil
	}
	turned := func(parts ...int) bson.Binary {
		out := append([]byte{}, b...)
		for i := 0; i < len(parts); i += 2 {
			for l, r := parts[i], parts[i+1]-1; l < r; l, r = l+1, r-1 {
				out[l], out[r] = out[r], out[l]
			}
		}
		return bson.Binary{Subtype: oldUUID, Data: out}
	}
	return []any{
		bson.Binary{Subtype: newUUID, Data: append([]byte{}, b...)},
		turned(), turned(0, 4, 4, 6, 6, 8), turned(0, 8, 8, 16),
	}
}

// takes leaves out the forms that a server which does not know the rare types would break off the connection for.
func takes(forms []any, known bool) []any {
	if known {
		return forms
	}
	return slices.DeleteFunc(forms, func(f any) bool {
		_, decimal := f.(bson.Decimal128)
		b, binary := f.(bson.Binary)
		return decimal || binary && b.Subtype == 5
	})
}

// amongIDs is the condition that a field equals one of the ids; nil where it cannot.
func amongIDs(field string, ids []vector.Value, known bool) bson.D {
	in := bson.A{}
	for _, id := range ids {
		in = append(in, takes(idForms(id), known)...)
	}
	if len(in) == 0 {
		return nil
	}
	return is(field, "$in", in)
}

// from is the condition that a field is at least a value, in the bracket of each form of it; nil where there is no bound.
func from(field string, v vector.Value, known bool) bson.D {
	if v.Kind == vector.Null || field == "" {
		return nil
	}
	var conditions []bson.D
	for _, form := range takes(forms(v), known) {
		if b, ok := form.(bson.Binary); ok && b.Subtype != 0 && b.Subtype != newUUID {
			continue // its order is not that of the text
		}
		conditions = append(conditions, is(field, "$gte", form))
	}
	if conditions == nil {
		return nil
	}
	return or(conditions...)
}

func unhex(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	return b, err == nil
}

func uintText(n uint64) string { return strconv.FormatUint(n, 10) }

func float(bits int64) float64 { return math.Float64frombits(uint64(bits)) }
