package postgres

import (
	"context"
	_ "embed"
	"fmt"

	"firth/internal/vector"
)

var (
	//go:embed sql/types.sql
	typesSQL string
	//go:embed sql/formats.sql
	formatsSQL string
)

// field is one column that is read.
type field struct {
	vector.Column
	ref  string // how SQL names it
	expr string // what is selected: the column itself, or what makes text or JSON of it
	form form
	elem form   // of formArray
	raw  string // the type that is selected; empty where a warehouse has no such column for it
}

// described is a column as the catalogue has it.
type described struct {
	name   string
	oid    uint32
	mod    int32
	dims   int
	source string
}

// builtin is how a type of the server itself is carried.
type builtin struct {
	form form
	typ  vector.Type
	raw  string
}

// Types of the server by their numbers, which never change.
const (
	oidText    = 25
	oidJSON    = 114
	oidMoney   = 790
	oidVarchar = 1043
	oidNumeric = 1700
	oidJSONB   = 3802
	oidRecord  = 2249
)

var builtins = map[uint32]builtin{ //nolint:gochecknoglobals // a constant table
	16:         {formBool, vector.Type{Kind: vector.Bool}, "boolean"},
	17:         {formBytes, vector.Type{Kind: vector.Blob}, "bytea"},
	19:         {formText, vector.Type{Kind: vector.Text}, "text"}, // name
	20:         {formInt8, vector.Type{Kind: vector.Int, Bits: 64}, "bigint"},
	21:         {formInt2, vector.Type{Kind: vector.Int, Bits: 16}, "smallint"},
	23:         {formInt4, vector.Type{Kind: vector.Int, Bits: 32}, "integer"},
	oidText:    {formText, vector.Type{Kind: vector.Text}, "text"},
	26:         {formUint4, vector.Type{Kind: vector.Uint, Bits: 32}, ""}, // oid
	28:         {formUint4, vector.Type{Kind: vector.Uint, Bits: 32}, ""}, // xid
	oidJSON:    {formText, vector.Type{Kind: vector.JSON}, "json"},
	700:        {formFloat4, vector.Type{Kind: vector.Float, Bits: 32}, "real"},
	701:        {formFloat8, vector.Type{Kind: vector.Float, Bits: 64}, "double precision"},
	1042:       {formText, vector.Type{Kind: vector.Text}, "text"}, // character(n), with its blanks
	oidVarchar: {formText, vector.Type{Kind: vector.Text}, "text"},
	1082:       {formDate, vector.Type{Kind: vector.Date}, "date"},
	1083:       {formTime, vector.Type{Kind: vector.Time}, "time without time zone"},
	1114:       {formTimestamp, vector.Type{Kind: vector.Timestamp}, "timestamp without time zone"},
	1184:       {formTimestampTZ, vector.Type{Kind: vector.TimestampTZ}, "timestamp with time zone"},
	1186:       {formInterval, vector.Type{Kind: vector.Interval}, "interval"},
	1266:       {formTimeTZ, vector.Type{Kind: vector.TimeTZ}, "time with time zone"},
	oidNumeric: {formNumeric, vector.Type{Kind: vector.Decimal}, "numeric"},
	2950:       {formBytes, vector.Type{Kind: vector.UUID}, "uuid"},
	oidJSONB:   {formJSONB, vector.Type{Kind: vector.JSON}, "jsonb"},
	5069:       {formInt8, vector.Type{Kind: vector.Uint, Bits: 64}, ""}, // xid8
}

var builtinArrays = map[uint32]uint32{ //nolint:gochecknoglobals // a constant table
	1000: 16, 1001: 17, 1003: 19, 1016: 20, 1005: 21, 1007: 23, 1009: 25, 1028: 26, 199: oidJSON, 1021: 700, 1022: 701, 1014: 1042, 1015: 1043, 1182: 1082,
	1183: 1083, 1115: 1114, 1185: 1184, 1187: 1186, 1270: 1266, 1231: oidNumeric, 2951: 2950, 3807: oidJSONB, 791: oidMoney,
}

// typeInfo is what the catalogue knows of a type.
type typeInfo struct {
	oid          uint32
	schema, name string
	kind         string // of pg_type.typtype: b, c, d, e, m, p, r
	base         uint32 // of a domain
	mod          int32
	dims         int
	delimiter    string
	elem         uint32 // of an array
	output       string // the function that makes text of it
	geometry     bool
}

// types is the catalogue's knowledge of the types that a plan meets.
type types struct {
	known      map[uint32]*typeInfo
	moneyScale uint16
}

// loadTypes asks for all types that are not among the common ones, down to the bases of domains and the elements of arrays.
func (l *link) loadTypes(ctx context.Context, columns []described) (*types, error) {
	out := &types{known: map[uint32]*typeInfo{}, moneyScale: 2}
	money := false
	var wanted []uint32
	need := func(oid uint32) {
		if elem, ok := builtinArrays[oid]; ok {
			oid = elem
		}
		money = money || oid == oidMoney
		if _, ok := builtins[oid]; !ok && oid != 0 && out.known[oid] == nil {
			wanted = append(wanted, oid)
		}
	}
	for _, c := range columns {
		need(c.oid)
	}
	for len(wanted) > 0 {
		found, err := l.typesOf(ctx, wanted)
		if err != nil {
			return nil, err
		}
		wanted = wanted[:0]
		for _, i := range found {
			out.known[i.oid] = i
		}
		for _, i := range found {
			need(i.base)
			need(i.elem)
		}
	}
	if money {
		if err := l.conn.QueryRow(ctx, "SELECT pg_catalog.scale('0'::pg_catalog.money::pg_catalog.numeric)").Scan(&out.moneyScale); err != nil {
			return nil, fmt.Errorf("ask for the digits of money: %w", err)
		}
	}
	return out, nil
}

func (l *link) typesOf(ctx context.Context, oids []uint32) ([]*typeInfo, error) {
	asked := make([]int64, len(oids))
	for i, o := range oids {
		asked[i] = int64(o)
	}
	rows, err := l.conn.Query(ctx, typesSQL, asked)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*typeInfo
	for rows.Next() {
		var i typeInfo
		var oid, base, elem int64
		var schema, function string
		if err := rows.Scan(&oid, &i.schema, &i.name, &i.kind, &base, &i.mod, &i.dims, &i.delimiter, &elem, &schema, &function, &i.geometry); err != nil {
			return nil, err
		}
		i.oid, i.base, i.elem, i.output = uint32(oid), uint32(base), uint32(elem), quote(schema)+"."+quote(function)
		out = append(out, &i)
	}
	return out, rows.Err()
}

// formats names types as the server does.
func (l *link) formats(ctx context.Context, columns []described) error {
	oids, mods := make([]int64, len(columns)), make([]int32, len(columns))
	for i, c := range columns {
		oids[i], mods[i] = int64(c.oid), c.mod
	}
	rows, err := l.conn.Query(ctx, formatsSQL, oids, mods)
	if err != nil {
		return err
	}
	defer rows.Close()
	for i := 0; rows.Next(); i++ {
		if err := rows.Scan(&columns[i].source); err != nil {
			return err
		}
	}
	return rows.Err()
}

// base resolves domains.
func (t *types) base(oid uint32, mod int32, dims int) (uint32, int32, int) {
	for range 100 { // domains on domains end
		i := t.known[oid]
		if i == nil || i.kind != "d" {
			break
		}
		oid, mod = i.base, i.mod
		dims = max(dims, i.dims)
	}
	return oid, mod, dims
}

func (t *types) elem(oid uint32) uint32 {
	if elem, ok := builtinArrays[oid]; ok {
		return elem
	}
	if i := t.known[oid]; i != nil {
		return i.elem
	}
	return 0
}

// field decides how a column is carried.
func (t *types) field(c described, ref string) field {
	f := field{Column: vector.Column{Name: c.name, Path: c.name, Source: c.source}, ref: ref, expr: ref}
	oid, mod, dims := t.base(c.oid, c.mod, c.dims)
	if elem := t.elem(oid); elem != 0 {
		t.list(&f, elem, mod, dims, t.known[oid])
		return f
	}
	t.scalar(&f, oid, mod)
	return f
}

// scalar decides how a value that is no array is carried. Functions that make text are those that the server prints by: a cast to text
// is another one for some types.
func (t *types) scalar(f *field, oid uint32, mod int32) {
	if b, ok := builtins[oid]; ok {
		f.form, f.Type, f.raw = b.form, b.typ, b.raw
		if oid == oidNumeric {
			f.Type, f.raw = decimal(mod)
		}
		return
	}
	i := t.known[oid]
	f.form, f.Type, f.raw = formText, vector.Type{Kind: vector.Text}, "text"
	switch {
	case oid == oidMoney:
		f.form, f.expr = formNumeric, f.ref+"::pg_catalog.numeric"
		f.Type = vector.Type{Kind: vector.Decimal, Width: 17 + t.moneyScale, Scale: t.moneyScale}
		f.raw = fmt.Sprintf("numeric(%d,%d)", f.Type.Width, f.Type.Scale)
	case i == nil:
		f.expr = f.ref + "::pg_catalog.text"
	case i.kind == "e", i.name == "citext":
	case i.kind == "c", oid == oidRecord:
		f.expr, f.Type, f.raw = "pg_catalog.to_json("+f.ref+")", vector.Type{Kind: vector.JSON}, "json"
	case i.name == "hstore":
		f.expr, f.Type, f.raw = quote(i.schema)+".hstore_to_json("+f.ref+")", vector.Type{Kind: vector.JSON}, "json"
	case i.geometry && (i.name == "geometry" || i.name == "geography"):
		f.expr = quote(i.schema) + ".st_asewkt(" + f.ref + ")"
	default:
		f.expr = "pg_catalog.textin(" + i.output + "(" + f.ref + "))"
	}
}

// list decides how an array is carried: as a list, or as JSON where it has several dimensions or holds what has parts.
func (t *types) list(f *field, elem uint32, mod int32, dims int, self *typeInfo) {
	of, ofMod, inner := t.base(elem, mod, 0)
	i := t.known[of]
	asJSON := dims > 1 || inner > 0 || t.elem(of) != 0 || of == oidJSON || of == oidJSONB || of == oidRecord
	if i != nil {
		asJSON = asJSON || i.kind == "c" || i.name == "hstore"
	}
	if asJSON || self != nil && self.delimiter != "," {
		f.form, f.expr, f.Type, f.raw = formText, "pg_catalog.to_json("+f.ref+")", vector.Type{Kind: vector.JSON}, "json"
		return
	}
	one := field{ref: f.ref, expr: f.ref}
	t.scalar(&one, of, ofMod)
	f.form, f.elem, f.Type = formArray, one.form, vector.Type{Kind: vector.List, Elem: &one.Type}
	if one.raw != "" {
		f.raw = one.raw + "[]"
	}
	// Whoever takes the bytes of an array insists on the type of its elements, however alike another one is.
	switch {
	case of == oidMoney:
		f.expr = f.ref + "::pg_catalog.numeric[]"
	case of == oidVarchar:
		f.expr = f.ref + "::pg_catalog.text[]"
	case elem != of && one.expr == f.ref && one.form != formText && one.raw != "":
		f.expr = f.ref + "::" + one.raw + "[]"
	case one.expr != f.ref, one.form == formText && of != oidText:
		f.expr = "pg_catalog.textin(pg_catalog.array_out(" + f.ref + "))::pg_catalog.text[]"
	}
}

// decimal reads the modifier of a numeric: all digits, and those behind the point, which may be more, or less than none.
func decimal(mod int32) (vector.Type, string) {
	out := vector.Type{Kind: vector.Decimal}
	if mod < 4 {
		return out, "numeric"
	}
	width, scale := (mod-4)>>16&0xffff, (mod-4)&0x7ff
	if scale > 1023 {
		scale -= 2048
	}
	raw := fmt.Sprintf("numeric(%d,%d)", width, scale)
	switch {
	case scale < 0:
		width, scale = width-scale, 0
		raw = "numeric"
	case scale > width:
		width = scale
		raw = "numeric"
	}
	if width > 38 {
		return out, "numeric"
	}
	out.Width, out.Scale = uint16(width), uint16(scale)
	return out, raw
}
