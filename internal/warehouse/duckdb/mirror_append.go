package duckdb

import (
	"context"
	"errors"
	"fmt"
	"math"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"

	"firth/internal/vector"
)

// mirrorLogical makes the engine's type; whoever calls destroys it.
func mirrorLogical(t vector.Type) bindings.LogicalType {
	switch t.Kind {
	case vector.Decimal:
		if bounded(t) {
			return bindings.CreateDecimalType(uint8(t.Width), uint8(t.Scale))
		}
	case vector.JSON:
		json := bindings.CreateLogicalType(bindings.TypeVarchar)
		bindings.LogicalTypeSetAlias(json, "JSON")
		return json
	case vector.List:
		elem := mirrorLogical(elemOf(t))
		defer bindings.DestroyLogicalType(&elem)
		return bindings.CreateListType(elem)
	}
	if id, ok := map[string]bindings.Type{
		"BOOLEAN": bindings.TypeBoolean, "TINYINT": bindings.TypeTinyInt, "SMALLINT": bindings.TypeSmallInt, "INTEGER": bindings.TypeInteger, "BIGINT": bindings.TypeBigInt,
		"UTINYINT": bindings.TypeUTinyInt, "USMALLINT": bindings.TypeUSmallInt, "UINTEGER": bindings.TypeUInteger, "UBIGINT": bindings.TypeUBigInt,
		"FLOAT": bindings.TypeFloat, "DOUBLE": bindings.TypeDouble, "BLOB": bindings.TypeBlob, "UUID": bindings.TypeUUID, "DATE": bindings.TypeDate, "TIME": bindings.TypeTime,
		"TIMETZ": bindings.TypeTimeTZ, "TIMESTAMP": bindings.TypeTimestamp, "TIMESTAMPTZ": bindings.TypeTimestampTZ, "INTERVAL": bindings.TypeInterval,
	}[mirrorType(t)]; ok {
		return bindings.CreateLogicalType(id)
	}
	return bindings.CreateLogicalType(bindings.TypeVarchar)
}

// appendVectors appends rows of columns to the named columns of a table, in the transaction of the connection. What is no value of its
// type must have been taken out by fit.
func appendVectors(ctx context.Context, conn bindings.Connection, texts *arena, catalog, schema, name string, columns []string, values []fitting, rows int) error {
	a := &appender{conn: conn, texts: texts}
	if bindings.AppenderCreateExt(conn, catalog, schema, name, &a.handle) == bindings.StateError {
		return a.abandon()
	}
	types := make([]bindings.LogicalType, len(columns))
	defer destroy(types)
	for i, c := range columns {
		types[i] = mirrorLogical(values[i].v.Type)
		if bindings.AppenderAddColumn(a.handle, c) == bindings.StateError {
			return a.abandon()
		}
	}
	a.chunk = bindings.CreateDataChunk(types)
	size := int(bindings.VectorSize())
	for at := 0; at < rows; at += size {
		end := min(at+size, rows)
		bindings.DataChunkReset(a.chunk)
		texts.reset()
		for i := range values {
			if err := fill(texts, bindings.DataChunkGetVector(a.chunk, bindings.IdxT(i)), &values[i], at, end); err != nil {
				return a.cancel(fmt.Errorf("column %s: %w", columns[i], err))
			}
		}
		bindings.DataChunkSetSize(a.chunk, bindings.IdxT(end-at))
		if bindings.AppendDataChunk(a.handle, a.chunk) == bindings.StateError {
			return a.cancel(a.failure())
		}
		if ctx.Err() != nil {
			return a.cancel(ctx.Err())
		}
	}
	return a.close(ctx)
}

// fill writes the rows from to before end into the engine's vector, from its beginning.
func fill(texts *arena, to bindings.Vector, f *fitting, from, end int) error {
	rows := end - from
	bindings.VectorEnsureValidityWritable(to)
	valid := unsafe.Slice((*uint64)(bindings.VectorGetValidity(to)), (rows+63)/64)
	clear(valid)
	for i := range rows {
		if f.valid(from + i) {
			valid[i/64] |= 1 << (i % 64)
		}
	}
	data := bindings.VectorGetData(to)
	v := f.v
	switch v.Type.Kind {
	case vector.Null:
		return nil
	case vector.List:
		return fillLists(texts, to, f, from, end)
	case vector.Decimal:
		if bounded(v.Type) {
			fillDecimals(data, f, from, end)
			return nil
		}
		return fillTexts(texts, data, f, from, end)
	case vector.Text, vector.JSON, vector.Blob:
		return fillTexts(texts, data, f, from, end)
	case vector.UUID, vector.TimeTZ:
		return fillPacked(data, f, from, end)
	case vector.Interval:
		copy(unsafe.Slice((*vector.Span)(data), rows), v.Spans[from:end])
		return nil
	}
	fillNums(data, v, v.Nums[from:end])
	return nil
}

// put stores a number of any width.
func put[T any](data unsafe.Pointer, nums []int64, as func(int64) T) {
	to := unsafe.Slice((*T)(data), len(nums))
	for i, n := range nums {
		to[i] = as(n)
	}
}

func fillNums(data unsafe.Pointer, v *vector.Vector, nums []int64) {
	switch v.Type.Kind {
	case vector.Bool:
		put(data, nums, func(n int64) bool { return n != 0 })
	case vector.Float:
		if v.Type.Bits == 32 {
			put(data, nums, func(n int64) float32 { return float32(math.Float64frombits(uint64(n))) })
			return
		}
		copy(unsafe.Slice((*int64)(data), len(nums)), nums)
	case vector.Date:
		put(data, nums, func(n int64) int32 {
			return int32(max(min(n, math.MaxInt32), -math.MaxInt32))
		})
	case vector.Timestamp, vector.TimestampTZ:
		put(data, nums, func(n int64) int64 { return max(n, -math.MaxInt64) })
	case vector.Int, vector.Uint:
		switch v.Type.Bits {
		case 8:
			put(data, nums, func(n int64) int8 { return int8(n) })
		case 16:
			put(data, nums, func(n int64) int16 { return int16(n) })
		case 32:
			put(data, nums, func(n int64) int32 { return int32(n) })
		default:
			copy(unsafe.Slice((*int64)(data), len(nums)), nums)
		}
	default:
		copy(unsafe.Slice((*int64)(data), len(nums)), nums)
	}
}

// fillTexts copies the texts of all rows at once to where the engine may read them.
func fillTexts(texts *arena, data unsafe.Pointer, f *fitting, from, end int) error {
	v := f.v
	first := v.Offsets[from]
	all := v.Data[first:v.Offsets[end]]
	base, err := texts.keep(unsafe.String(unsafe.SliceData(all), len(all)))
	if err != nil {
		return err
	}
	to := unsafe.Slice((*stringHeader)(data), end-from)
	for i := range to {
		h := &to[i]
		*h = stringHeader{}
		if !f.valid(from + i) {
			continue
		}
		b := v.Bytes(from + i)
		if len(b) > math.MaxUint32 {
			return fmt.Errorf("a text of %d bytes", len(b))
		}
		h.length = uint32(len(b))
		if len(b) <= inlineText {
			copy(h.inline[:], b)
			continue
		}
		copy(h.inline[:prefixText], b)
		*(*uintptr)(unsafe.Pointer(&h.inline[prefixText])) = base + uintptr(v.Offsets[from+i]-first)
	}
	return nil
}

// wide is the engine's integer of 128 bits.
type wide struct {
	low  uint64
	high int64
}

func fillDecimals(data unsafe.Pointer, f *fitting, from, end int) {
	for i := range end - from {
		var x wide
		if f.valid(from + i) {
			x.low, x.high, _ = decimal128(f.v.Bytes(from+i), f.v.Type)
		}
		switch {
		case f.v.Type.Width <= 4:
			*(*int16)(unsafe.Add(data, 2*i)) = int16(x.low)
		case f.v.Type.Width <= 9:
			*(*int32)(unsafe.Add(data, 4*i)) = int32(x.low)
		case f.v.Type.Width <= 18:
			*(*int64)(unsafe.Add(data, 8*i)) = int64(x.low)
		default:
			*(*wide)(unsafe.Add(data, 16*i)) = x
		}
	}
}

func fillPacked(data unsafe.Pointer, f *fitting, from, end int) error {
	for i := range end - from {
		if !f.valid(from + i) {
			continue
		}
		b := f.v.Bytes(from + i)
		if f.v.Type.Kind == vector.TimeTZ {
			*(*uint64)(unsafe.Add(data, 8*i)), _ = timeTZ(b)
			continue
		}
		if len(b) != 16 {
			return fmt.Errorf("a UUID of %d bytes", len(b))
		}
		var x wide
		for j := range 8 {
			x.high = x.high<<8 | int64(b[j])
			x.low = x.low<<8 | uint64(b[8+j])
		}
		x.high ^= math.MinInt64 // so that they sort as numbers
		*(*wide)(unsafe.Add(data, 16*i)) = x
	}
	return nil
}

// fillLists: the values of the rows' lists stand one behind the other in the child vector.
func fillLists(texts *arena, to bindings.Vector, f *fitting, from, end int) error {
	v := f.v
	first, last := v.Offsets[from], v.Offsets[end]
	entries := unsafe.Slice((*[2]uint64)(bindings.VectorGetData(to)), end-from)
	for i := range entries {
		lo, hi := v.ListAt(from + i)
		entries[i] = [2]uint64{uint64(lo - first), uint64(hi - lo)}
	}
	if bindings.ListVectorReserve(to, bindings.IdxT(last-first)) == bindings.StateError || bindings.ListVectorSetSize(to, bindings.IdxT(last-first)) == bindings.StateError {
		return errors.New("no memory for the values of lists")
	}
	if last == first {
		return nil
	}
	items := fitting{v: v.Items}
	if f.nulls != nil {
		// What does not fit is in lists that are NULL; it must not be written all the same.
		items, _ = fit(v.Items)
	}
	return fill(texts, bindings.ListVectorGetChild(to), &items, first, last)
}
