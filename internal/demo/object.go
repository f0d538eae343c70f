package demo

import "strconv"

// object writes a JSON object field by field. Texts and names must need no escape, as all of the demo's do.
type object struct {
	b     []byte
	comma bool
}

func (o *object) name(name string) *object {
	if o.comma {
		o.b = append(o.b, ',')
	}
	o.comma = true
	o.b = append(append(append(o.b, '"'), name...), `":`...)
	return o
}

func (o *object) quoted(s string) *object {
	o.b = append(append(append(o.b, '"'), s...), '"')
	return o
}

func (o *object) text(name, value string) *object { return o.name(name).quoted(value) }

func (o *object) number(name string, value int) *object {
	o.name(name).b = strconv.AppendInt(o.b, int64(value), 10)
	return o
}

func (o *object) float(name string, value float64) *object {
	o.name(name).b = strconv.AppendFloat(o.b, value, 'f', -1, 64)
	return o
}

func (o *object) flag(name string, value bool) *object {
	o.name(name).b = strconv.AppendBool(o.b, value)
	return o
}

func (o *object) list(name string, values ...string) *object {
	o.name(name).b = append(o.b, '[')
	for i, v := range values {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.quoted(v)
	}
	o.b = append(o.b, ']')
	return o
}

// open begins an object within the object; close ends it.
func (o *object) open(name string) *object {
	o.name(name).b = append(o.b, '{')
	o.comma = false
	return o
}

func (o *object) close() *object {
	o.b, o.comma = append(o.b, '}'), true
	return o
}
