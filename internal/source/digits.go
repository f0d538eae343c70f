package source

import (
	"bytes"

	"firth/internal/vector"
)

// Digits is how many digits the values of a decimal column have at most.
type Digits struct {
	Whole int // before the point; 0: all are less than 1
	Scale int // behind it, as they are written
	Least int // behind it, without zeros at the end
	// Others is how many values are no numbers: NaN, Infinity.
	Others int64
}

// Add counts one more value, as vector.Vector has decimals.
func (d *Digits) Add(text []byte) {
	whole, least, ok := vector.Digits(text)
	if !ok {
		d.Others++
		return
	}
	written := least
	if i := bytes.IndexByte(text, '.'); i >= 0 && !bytes.ContainsAny(text, "eE") {
		written = max(written, len(text)-i-1)
	}
	d.Whole, d.Least, d.Scale = max(d.Whole, whole), max(d.Least, least), max(d.Scale, written)
}
