package query

import (
	"errors"
	"io"
	"math"
	"math/big"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// A batch of an Arrow stream ends at whichever comes first.
const (
	batchRows  = 8192
	batchBytes = 4 << 20
)

// WriteArrow writes a result as an Arrow IPC stream. A query that fails on the way leaves a stream
// without its end, and the error.
func WriteArrow(w io.Writer, r *Result) error {
	schema := arrowSchema(r.Columns())
	held := newOutput(w)
	out := ipc.NewWriter(held, ipc.WithSchema(schema))
	if err := eachBatch(r, schema, func(batch arrow.RecordBatch, _ int) error { return out.Write(batch) }); err != nil {
		return err
	}
	return held.finish(out.Close())
}

// eachBatch calls write with batches of the result and the bytes of their texts.
func eachBatch(r *Result, schema *arrow.Schema, write func(arrow.RecordBatch, int) error) error {
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	columns := r.Columns()
	rows, size := 0, 0
	flush := func() error {
		batch := builder.NewRecordBatch()
		defer batch.Release()
		err := write(batch, size)
		rows, size = 0, 0
		return err
	}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			if rows == 0 {
				return nil
			}
			return flush()
		}
		if err != nil {
			return err
		}
		for i := range row {
			n, err := appendArrow(builder.Field(i), &columns[i].Type, row[i])
			if err != nil {
				return err
			}
			size += n
		}
		if rows++; rows == batchRows || size >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

func arrowSchema(columns []Column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i := range columns {
		fields[i] = arrow.Field{Name: columns[i].Name, Type: arrowType(&columns[i].Type), Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// arrowType maps a type. What Arrow or Parquet has no equal for is text: wide integers, intervals,
// unions and JSON, written as in the other formats.
func arrowType(t *Type) arrow.DataType {
	switch t.Kind {
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Int:
		return map[uint8]arrow.DataType{8: arrow.PrimitiveTypes.Int8, 16: arrow.PrimitiveTypes.Int16, 32: arrow.PrimitiveTypes.Int32, 64: arrow.PrimitiveTypes.Int64}[t.Bits]
	case Uint:
		return map[uint8]arrow.DataType{8: arrow.PrimitiveTypes.Uint8, 16: arrow.PrimitiveTypes.Uint16, 32: arrow.PrimitiveTypes.Uint32, 64: arrow.PrimitiveTypes.Uint64}[t.Bits]
	case BigInt:
		if t.Name == "HUGEINT" {
			return &arrow.Decimal128Type{Precision: 38}
		}
	case Decimal:
		return &arrow.Decimal128Type{Precision: int32(t.Width), Scale: int32(t.Scale)}
	case Float:
		return arrow.PrimitiveTypes.Float32
	case Double:
		return arrow.PrimitiveTypes.Float64
	case Blob:
		return arrow.BinaryTypes.Binary
	case Date:
		return arrow.FixedWidthTypes.Date32
	case Time:
		if t.Unit == Nanosecond {
			return arrow.FixedWidthTypes.Time64ns
		}
		return arrow.FixedWidthTypes.Time64us
	case Timestamp, TimestampTZ:
		unit := map[Unit]arrow.TimeUnit{Second: arrow.Millisecond, Millisecond: arrow.Millisecond, Microsecond: arrow.Microsecond, Nanosecond: arrow.Nanosecond}[t.Unit]
		out := &arrow.TimestampType{Unit: unit}
		if t.Kind == TimestampTZ {
			out.TimeZone = "UTC"
		}
		return out
	case List:
		return arrow.ListOf(arrowType(&t.Elem[0]))
	case Map:
		return arrow.MapOf(arrowType(&t.Elem[0]), arrowType(&t.Elem[1]))
	case Struct:
		fields := make([]arrow.Field, len(t.Elem))
		for i := range t.Elem {
			fields[i] = arrow.Field{Name: t.Fields[i], Type: arrowType(&t.Elem[i]), Nullable: true}
		}
		return arrow.StructOf(fields...)
	}
	return arrow.BinaryTypes.String
}

// appendArrow appends a value to the builder of its type and returns about how many bytes it takes.
func appendArrow(b array.Builder, t *Type, v any) (int, error) {
	if v == nil {
		b.AppendNull()
		return 1, nil
	}
	switch b := b.(type) {
	case *array.BooleanBuilder:
		b.Append(v.(bool))
	case *array.Float32Builder:
		b.Append(v.(float32))
	case *array.Float64Builder:
		b.Append(v.(float64))
	case *array.BinaryBuilder:
		b.Append(v.([]byte))
		return len(v.([]byte)), nil
	case *array.Decimal128Builder:
		n := v.(*big.Int)
		if n.CmpAbs(maxDecimal128) > 0 {
			return 0, fail(CodeFailed, "cast the column to VARCHAR or DOUBLE", "%s has more than 38 digits, which this format cannot hold", n)
		}
		b.Append(decimal128.FromBigInt(n))
		return 16, nil
	case *array.StringBuilder:
		s, ok := v.(string)
		if !ok {
			s, _ = plainText(Column{Type: *t}, AppendJSON(nil, t, v))
		}
		b.Append(s)
		return len(s) + 4, nil
	case *array.ListBuilder, *array.MapBuilder, *array.StructBuilder:
		return appendArrowNested(b, t, v.([]any))
	default:
		appendArrowInt(b, t, v)
	}
	return 8, nil
}

// maxDecimal128 is the largest number of 38 digits.
var maxDecimal128 = new(big.Int).Sub(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil), big.NewInt(1))

func appendArrowInt(b array.Builder, t *Type, v any) {
	switch b := b.(type) {
	case *array.Int8Builder:
		b.Append(int8(v.(int64)))
	case *array.Int16Builder:
		b.Append(int16(v.(int64)))
	case *array.Int32Builder:
		b.Append(int32(v.(int64)))
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.Uint8Builder:
		b.Append(uint8(v.(uint64)))
	case *array.Uint16Builder:
		b.Append(uint16(v.(uint64)))
	case *array.Uint32Builder:
		b.Append(uint32(v.(uint64)))
	case *array.Uint64Builder:
		b.Append(v.(uint64))
	case *array.Date32Builder:
		b.Append(arrow.Date32(v.(int64)))
	case *array.Time64Builder:
		b.Append(arrow.Time64(v.(int64)))
	case *array.TimestampBuilder:
		n := v.(int64)
		if t.Unit == Second && n != math.MaxInt64 && n != -math.MaxInt64 {
			n *= 1000
		}
		b.Append(arrow.Timestamp(n))
	}
}

func appendArrowNested(b array.Builder, t *Type, items []any) (int, error) {
	size := 0
	add := func(b array.Builder, t *Type, v any) error {
		n, err := appendArrow(b, t, v)
		size += n
		return err
	}
	switch b := b.(type) {
	case *array.MapBuilder: // before the list that it embeds
		b.Append(true)
		for i := 0; i < len(items); i += 2 {
			if err := errors.Join(add(b.KeyBuilder(), &t.Elem[0], items[i]), add(b.ItemBuilder(), &t.Elem[1], items[i+1])); err != nil {
				return 0, err
			}
		}
	case *array.ListBuilder:
		b.Append(true)
		for _, item := range items {
			if err := add(b.ValueBuilder(), &t.Elem[0], item); err != nil {
				return 0, err
			}
		}
	case *array.StructBuilder:
		b.Append(true)
		for i, item := range items {
			if err := add(b.FieldBuilder(i), &t.Elem[i], item); err != nil {
				return 0, err
			}
		}
	}
	return size + 8, nil
}
