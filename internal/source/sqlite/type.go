package sqlite

import (
	"context"
	"encoding/hex"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"firth/internal/vector"
)

// affinity is what SQLite prefers for a declared type; https://www.sqlite.org/datatype3.html section 3.1.
func affinity(typ string) string {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(typ, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has("INT"):
		return "INTEGER"
	case has("CHAR", "CLOB", "TEXT"):
		return "TEXT"
	case typ == "", has("BLOB"):
		return "BLOB"
	case has("REAL", "FLOA", "DOUB"): //nolint:misspell // SQLite looks for these four letters
		return "REAL"
	}
	return "NUMERIC"
}

var declaredDecimal = regexp.MustCompile(`^(?:DECIMAL|NUMERIC|NUMBER|DEC)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)$`)

// candidates are the types that a column of a declared type may have, the likeliest first. fixed: it has the first, whatever its values
// are.
func candidates(typ string) (types []vector.Type, fixed bool) {
	one := func(k vector.Kind) []vector.Type { return []vector.Type{{Kind: k}} }
	name, _, _ := strings.Cut(typ, "(")
	switch strings.TrimSpace(name) {
	case "BOOL", "BOOLEAN":
		return one(vector.Bool), false
	case "DATE":
		return []vector.Type{{Kind: vector.Date}, {Kind: vector.Timestamp}, {Kind: vector.TimestampTZ}}, false
	case "DATETIME", "TIMESTAMP", "TIMESTAMP WITHOUT TIME ZONE":
		return []vector.Type{{Kind: vector.Timestamp}, {Kind: vector.TimestampTZ}, {Kind: vector.Date}}, false
	case "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE", "DATETIMETZ":
		return []vector.Type{{Kind: vector.TimestampTZ}, {Kind: vector.Timestamp}}, false
	case "TIME":
		return one(vector.Time), false
	case "JSON":
		return one(vector.JSON), false
	case "UUID", "GUID":
		return one(vector.UUID), false
	case "ANY", "":
		return nil, false
	}
	if m := declaredDecimal.FindStringSubmatch(typ); m != nil {
		out := one(vector.Decimal)
		width, err := strconv.ParseUint(m[1], 10, 16)
		scale, _ := strconv.ParseUint(m[2], 10, 16) // none is 0
		if err == nil && width > 0 && width <= 38 && scale <= width {
			out = []vector.Type{{Kind: vector.Decimal, Width: uint16(width), Scale: uint16(scale)}, out[0]}
		}
		return out, false
	}
	switch affinity(typ) {
	case "INTEGER":
		return []vector.Type{{Kind: vector.Int, Bits: 64}}, true
	case "REAL":
		return []vector.Type{{Kind: vector.Float, Bits: 64}}, true
	case "TEXT":
		return one(vector.Text), true
	case "BLOB":
		return one(vector.Blob), true
	}
	return one(vector.Decimal), false
}

// looks are how many rows are looked at, from either end, before a type is chosen that the declaration does not settle.
const looks = 5000

// decide chooses the types of all fields.
func (p *plan) decide(ctx context.Context, q querier) error {
	var open []field
	var guesses []*guess
	for i := range p.fields {
		f := &p.fields[i]
		types, fixed := candidates(strings.ToUpper(f.Source))
		if fixed {
			f.Type = types[0]
			continue
		}
		g := &guess{types: types, field: f}
		for _, t := range types {
			g.tries = append(g.tries, vector.New(t))
		}
		open, guesses = append(open, *f), append(guesses, g)
	}
	if len(open) == 0 {
		return nil
	}
	looking := []string{p.selection(open, p.where) + " LIMIT " + strconv.Itoa(looks)}
	if p.rowid != "" {
		looking = append(looking, p.selection(open, p.where)+" ORDER BY "+p.rowid+" DESC LIMIT "+strconv.Itoa(looks))
	}
	for _, query := range looking {
		if err := look(ctx, q, query, guesses); err != nil {
			return err
		}
	}
	for _, g := range guesses {
		g.field.Type = g.choose()
	}
	return nil
}

func look(ctx context.Context, q querier, query string, guesses []*guess) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	values, places := make([]any, len(guesses)), make([]any, len(guesses))
	for i := range values {
		places[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(places...); err != nil {
			return err
		}
		for i, g := range guesses {
			g.add(values[i])
		}
	}
	return rows.Err()
}

// guess is what was seen of a column whose type is not settled.
type guess struct {
	field *field
	types []vector.Type
	tries []*vector.Vector // nil: a value did not fit

	ints, wide, reals, texts, blobs int // wide: integers that a float64 does not hold
}

func (g *guess) add(value any) {
	switch x := value.(type) {
	case nil:
		return
	case int64:
		g.ints++
		if int64(float64(x)) != x || x == math.MaxInt64 {
			g.wide++
		}
	case float64:
		g.reals++
	case string:
		g.texts++
	case []byte:
		g.blobs++
	}
	for i, v := range g.tries {
		if v == nil {
			continue
		}
		if take(v, value) != "" {
			g.tries[i] = nil
			continue
		}
		v.Reset()
	}
}

// choose takes the likeliest type that all values fit, else the one that they have.
func (g *guess) choose() vector.Type {
	for i, v := range g.tries {
		if v != nil {
			return g.types[i]
		}
	}
	switch {
	case g.texts > 0 || g.ints+g.reals+g.blobs == 0:
		return vector.Type{Kind: vector.Text}
	case g.blobs > 0 && g.ints+g.reals == 0:
		return vector.Type{Kind: vector.Blob}
	case g.blobs > 0:
		return vector.Type{Kind: vector.Text}
	case g.reals == 0:
		return vector.Type{Kind: vector.Int, Bits: 64}
	case g.wide > 0:
		return vector.Type{Kind: vector.Decimal}
	}
	return vector.Type{Kind: vector.Float, Bits: 64}
}

// take appends a value where it fits. Where it does not, nothing is appended and the reason is returned.
func take(v *vector.Vector, value any) (reason string) {
	switch x := value.(type) {
	case nil:
		v.AppendNull()
		return ""
	case int64:
		return takeInt(v, x)
	case float64:
		return takeReal(v, x)
	case string:
		return takeText(v, x)
	case []byte:
		return takeBlob(v, x)
	}
	return "a value of an unknown class"
}

func takeInt(v *vector.Vector, n int64) string {
	switch v.Type.Kind {
	case vector.Int:
		v.AppendNum(n)
		return ""
	case vector.Bool:
		if n == 0 || n == 1 {
			v.AppendNum(n)
			return ""
		}
	case vector.Float:
		if int64(float64(n)) == n && n != math.MaxInt64 {
			v.AppendFloat(float64(n))
			return ""
		}
	case vector.Decimal, vector.Text, vector.JSON:
		if parsed(v, strconv.FormatInt(n, 10)) {
			return ""
		}
	}
	return "an integer in a column of type " + v.Type.String()
}

func takeReal(v *vector.Vector, f float64) string {
	switch v.Type.Kind {
	case vector.Float:
		v.AppendFloat(f)
		return ""
	case vector.Decimal, vector.Text, vector.JSON:
		if parsed(v, string(vector.AppendFloat(nil, f, 64))) {
			return ""
		}
	}
	return "a real number in a column of type " + v.Type.String()
}

func takeText(v *vector.Vector, s string) string {
	switch v.Type.Kind {
	case vector.Text:
		if !utf8.ValidString(s) {
			return "the text is not UTF-8"
		}
		v.AppendString(s)
		return ""
	case vector.Blob:
		v.AppendString(s)
		return ""
	case vector.Int, vector.Float:
		// What reads as a number SQLite has made one already.
	default:
		if parsed(v, s) {
			return ""
		}
	}
	return "a text in a column of type " + v.Type.String()
}

func takeBlob(v *vector.Vector, b []byte) string {
	if v.Type.Kind == vector.Blob || v.Type.Kind == vector.UUID && len(b) == 16 {
		v.AppendBytes(b)
		return ""
	}
	return "a blob in a column of type " + v.Type.String()
}

// parsed appends what a text stands for, where it stands for a value of the type exactly.
func parsed(v *vector.Vector, s string) bool {
	n := v.Len()
	if vector.ParseInto(v, s) {
		return true
	}
	v.Truncate(n)
	return false
}

// text is a value as people read it.
func text(value any) string {
	switch x := value.(type) {
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return string(vector.AppendFloat(nil, x, 64))
	case string:
		if utf8.ValidString(x) {
			return x
		}
		return strconv.QuoteToASCII(x)
	case []byte:
		return `\x` + hex.EncodeToString(x)
	}
	return ""
}
