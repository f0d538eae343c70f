// Package document holds values without a schema as MongoDB, Redis, programs and web services give them: every BSON type, and what
// JSON has. Package infer makes columns of them.
package document

// Kind is the type of a value. The names are BSON's.
type Kind uint8

// The kinds, each with the part of a Value that holds it.
const (
	Missing    Kind = iota // no such field; the zero Value
	Null                   //
	Bool                   // Num: 0 or 1
	Int32                  // Num
	Int64                  // Num; integers of JSON that fit, too
	Double                 // Num: IEEE 754 bits
	Decimal                // Bytes: text as it came, exponent included; BSON decimal128, and numbers of JSON that no int64 or double holds exactly
	String                 // Bytes: UTF-8
	ObjectID               // Bytes: 12
	DateTime               // Num: milliseconds since 1970
	Timestamp              // Num: seconds<<32 | ordinal, as MongoDB's oplog has them
	Binary                 // Bytes, Sub: the subtype; 3 and 4 are UUIDs
	Object                 // Fields
	Array                  // Items
	Regex                  // Bytes: the pattern; Extra: the options
	JavaScript             // Bytes; with scope: Fields is the scope
	Symbol                 // Bytes
	DBPointer              // Extra: the namespace; Bytes: the 12 of the id
	Undefined              //
	MinKey                 //
	MaxKey                 //
)

// Value is one value. What it points to belongs to the reader that made it and is valid until that reads on.
type Value struct {
	Kind   Kind
	Sub    byte
	Num    int64
	Bytes  []byte
	Extra  string
	Fields []Field
	Items  []Value
}

// Field is one field of an object, in the order of the source. A name may come twice.
type Field struct {
	Name  string
	Value Value
}

// Find is the first field of that name; Missing where there is none.
func (v *Value) Find(name string) *Value {
	for i := range v.Fields {
		if v.Fields[i].Name == name {
			return &v.Fields[i].Value
		}
	}
	return &Value{}
}
