package mysql

import (
	"database/sql/driver"
	"encoding/binary"
	"math"
	"strconv"

	"firth/internal/vector"
)

// deepest is how deep collections of geometries may lie within one another.
const deepest = 32

// parseGeometry writes the server's form of a geometry, four bytes of SRID before WKB, as text: POINT(1 2), with SRID=4326; before it
// where there is one. Coordinates come in the order in which they are stored, each with as many digits as make it exact; the server's
// own ST_AsText rounds some and, on MySQL, turns the axes of geographic systems around.
func parseGeometry(v driver.Value, to *vector.Vector) string {
	b, ok := v.([]byte)
	if !ok {
		return unexpected(v, to)
	}
	text, ok := appendWKT(nil, b)
	if !ok {
		to.AppendNull()
		return "not a geometry that is known"
	}
	to.AppendBytes(text)
	return ""
}

func appendWKT(dst, b []byte) ([]byte, bool) {
	if len(b) < 9 {
		return dst, false
	}
	if srid := binary.LittleEndian.Uint32(b); srid != 0 {
		dst = append(strconv.AppendUint(append(dst, "SRID="...), uint64(srid), 10), ';')
	}
	w := &wkb{rest: b[4:], dst: dst}
	w.geometry(0)
	return w.dst, !w.bad && len(w.rest) == 0
}

// wkb reads well-known binary and writes well-known text.
type wkb struct {
	rest  []byte
	dst   []byte
	order binary.ByteOrder
	bad   bool
}

var shapes = [...]string{ //nolint:gochecknoglobals // a constant table
	1: "POINT", 2: "LINESTRING", 3: "POLYGON", 4: "MULTIPOINT", 5: "MULTILINESTRING", 6: "MULTIPOLYGON", 7: "GEOMETRYCOLLECTION",
}

func (w *wkb) take(n int) []byte {
	if w.bad || len(w.rest) < n {
		w.bad = true
		return nil
	}
	b := w.rest[:n]
	w.rest = w.rest[n:]
	return b
}

func (w *wkb) uint32() uint32 {
	if b := w.take(4); b != nil {
		return w.order.Uint32(b)
	}
	return 0
}

// head reads byte order and kind.
func (w *wkb) head() uint32 {
	b := w.take(1)
	if b == nil {
		return 0
	}
	switch b[0] {
	case 0:
		w.order = binary.BigEndian
	case 1:
		w.order = binary.LittleEndian
	default:
		w.bad = true
		return 0
	}
	kind := w.uint32()
	if kind < 1 || kind >= uint32(len(shapes)) {
		w.bad = true
	}
	return kind
}

func (w *wkb) geometry(depth int) {
	kind := w.head()
	if w.bad || depth > deepest {
		w.bad = true
		return
	}
	w.dst = append(w.dst, shapes[kind]...)
	switch kind {
	case 7:
		w.list(9, func() { w.geometry(depth + 1) })
	case 4, 5, 6:
		w.list(9, func() {
			if w.head() != kind-3 {
				w.bad = true
			}
			w.shape(kind-3, kind != 4)
		})
	default:
		w.shape(kind, true)
	}
}

// shape writes what stands behind the name of a point, a line or a polygon; points of a multipoint go without brackets.
func (w *wkb) shape(kind uint32, brackets bool) {
	switch kind {
	case 1:
		if brackets {
			w.dst = append(w.dst, '(')
		}
		w.point()
		if brackets {
			w.dst = append(w.dst, ')')
		}
	case 2:
		w.list(16, w.point)
	case 3:
		w.list(4, func() { w.list(16, w.point) })
	default:
		w.bad = true
	}
}

// list writes as many elements as a count says; least is how many bytes each takes at least.
func (w *wkb) list(least int, element func()) {
	n := int(w.uint32())
	if w.bad || n > len(w.rest)/least {
		w.bad = true
		return
	}
	if n == 0 {
		w.dst = append(w.dst, " EMPTY"...)
		return
	}
	for i := range n {
		if i == 0 {
			w.dst = append(w.dst, '(')
		} else {
			w.dst = append(w.dst, ',')
		}
		element()
		if w.bad {
			return
		}
	}
	w.dst = append(w.dst, ')')
}

func (w *wkb) point() {
	b := w.take(16)
	if b == nil {
		return
	}
	w.dst = strconv.AppendFloat(w.dst, math.Float64frombits(w.order.Uint64(b)), 'f', -1, 64)
	w.dst = append(w.dst, ' ')
	w.dst = strconv.AppendFloat(w.dst, math.Float64frombits(w.order.Uint64(b[8:])), 'f', -1, 64)
}
