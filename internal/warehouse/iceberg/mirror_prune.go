package iceberg

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/iceberg-go"

	"firth/internal/vector"
	"firth/internal/warehouse"
)

// holding are the places of those files of the table that may have a row of one of the staged keys, as their bounds tell. Where all rows of the
// table matter, or the key is of several columns or of a type that is not compared here, that is all of them.
func (w *publishing) holding(ctx context.Context) ([]int, error) {
	all := make([]int, len(w.main.files))
	for i := range all {
		all[i] = i
	}
	byKey := w.p.Mode == warehouse.PublishUpsert && !w.p.DeleteMissing || w.p.Mode == warehouse.PublishAppend
	if !byKey || w.of != nil || len(w.p.Key) != 1 || len(w.p.Children) > 0 || len(all) < 2 || len(w.p.Rejects) > 0 {
		return all, nil
	}
	at := w.main.field(w.p.Key[0])
	of := func(list []vector.Column) vector.Kind {
		i := slices.IndexFunc(list, func(c vector.Column) bool { return strings.EqualFold(c.Name, w.p.Key[0]) })
		if i < 0 {
			return vector.Null
		}
		return list[i].Type.Kind
	}
	kind := of(w.columns)
	if at < 0 || kind != of(w.record.Columns) || kind != vector.Int && kind != vector.Text {
		return all, nil
	}
	rejects, err := w.m.look(ctx, w.t.Schema, w.t.Table+warehouse.RejectsSuffix)
	if err != nil || rejects != nil && len(rejects.files) > 0 {
		return all, err // which of them are settled, all keys tell
	}
	var bounds []string
	for i, f := range w.main.files {
		lower, upper := boundText(w.main.fields[at], f.LowerBoundValues()), boundText(w.main.fields[at], f.UpperBoundValues())
		if lower == "" || upper == "" {
			return all, nil
		}
		bounds = append(bounds, fmt.Sprintf("(%d, %s, %s)", i, lower, upper))
	}
	key := "s." + quote(w.p.Key[0])
	if kind == vector.Int {
		key += "::HUGEINT"
	}
	rows, err := w.shop.Query(ctx, "SELECT b.n::VARCHAR FROM (VALUES "+strings.Join(bounds, ", ")+") AS b(n, lower, upper) WHERE EXISTS (SELECT 1 FROM "+w.stage+" AS s WHERE "+key+
		" BETWEEN b.lower AND b.upper)")
	if err != nil {
		return nil, err
	}
	var out []int
	err = scanTexts(rows, func(text string) error {
		n, err := strconv.Atoi(text)
		out = append(out, n)
		return err
	})
	slices.Sort(out)
	return out, err
}

// boundText is the bound of a column as a constant of the engine; "" where there is none or it is of a type that is not compared.
func boundText(f iceberg.NestedField, bounds map[int][]byte) string {
	b, ok := bounds[f.ID]
	if !ok {
		return ""
	}
	switch f.Type.(type) {
	case iceberg.StringType:
		if utf8.Valid(b) && !slices.Contains(b, 0) {
			return literal(string(b))
		}
	case iceberg.Int32Type, iceberg.Int64Type:
		switch len(b) { // a column that was widened has bounds of the width that it had
		case 4:
			return strconv.FormatInt(int64(int32(binary.LittleEndian.Uint32(b))), 10) + "::HUGEINT"
		case 8:
			return strconv.FormatInt(int64(binary.LittleEndian.Uint64(b)), 10) + "::HUGEINT"
		}
	}
	return ""
}
