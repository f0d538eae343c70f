package query

import (
	"encoding/json"
	"math/big"
	"strings"
)

// Params reads the values of parameters as JSON: null, true, numbers, texts. A number without point
// and exponent stays an integer, up to 128 bits. A list or an object has no one SQL type; it is refused.
func Params(raw []json.RawMessage) ([]any, error) {
	var out []any
	for i, text := range raw {
		value, err := param(strings.TrimSpace(string(text)))
		if err != nil {
			err.Message = "$" + big.NewInt(int64(i+1)).String() + ": " + err.Message
			return nil, err
		}
		out = append(out, value)
	}
	return out, nil
}

func param(text string) (any, *Error) {
	switch {
	case text == "" || text == "null":
		return nil, nil
	case text == "true" || text == "false":
		return text == "true", nil
	case text[0] == '"':
		var s string
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return nil, fail(CodeBadParam, "", "%s", err)
		}
		return s, nil
	case text[0] == '[' || text[0] == '{':
		return nil, fail(CodeBadParam, `pass it as text and take it apart in SQL: from_json($1, '["VARCHAR"]')`, "a list or an object cannot be a parameter")
	case strings.ContainsAny(text, ".eE"):
		var f float64
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			return nil, fail(CodeBadParam, "pass it as text", "%s is too large for a number", text)
		}
		return f, nil
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.BitLen() > 127 {
		return nil, fail(CodeBadParam, "pass it as text", "%s is not an integer of 128 bits", text)
	}
	if n.IsInt64() {
		return n.Int64(), nil
	}
	return n, nil
}
