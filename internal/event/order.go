package event

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Order is a record of the journal that is no call: it says which people's calls are not stored from its offset on, or again are. It takes
// up one offset. A person is told by a keyed hash of an id, so that the record names nobody.
type Order struct {
	Op     uint8
	Source string // the one source that it is about; "" for all
	Hashes []Hash
}

// Hash is a keyed hash of an id. Kind tells what the id is.
type Hash struct {
	Kind byte
	Sum  [32]byte
}

// What orders do. OrderMark does nothing: its place in the journal is what it is for.
const (
	OrderMark uint8 = iota
	OrderSuppress
	OrderLift
)

// Kinds of ids.
const (
	HashUser      byte = 'u'
	HashAnonymous byte = 'a'
)

// orderVersion stands where a journaled request has its version.
const orderVersion = 2

var errOrder = errors.New("not an order of the journal")

// IsOrder reports whether a record of the journal is an order rather than a request.
func IsOrder(b []byte) bool { return len(b) > 0 && b[0] == orderVersion }

// AppendTo appends the binary form: the version, the operation, the source as a uvarint and text, and the hashes, each its kind and 32 bytes.
func (o *Order) AppendTo(dst []byte) []byte {
	dst = append(dst, orderVersion, o.Op)
	dst = binary.AppendUvarint(dst, uint64(len(o.Source)))
	dst = append(dst, o.Source...)
	dst = binary.AppendUvarint(dst, uint64(len(o.Hashes)))
	for i := range o.Hashes {
		dst = append(append(dst, o.Hashes[i].Kind), o.Hashes[i].Sum[:]...)
	}
	return dst
}

// DecodeOrder is the inverse of AppendTo. It never panics, whatever the bytes.
func DecodeOrder(b []byte) (Order, error) {
	var o Order
	if !IsOrder(b) || len(b) < 2 || b[1] > OrderLift {
		return o, errOrder
	}
	o.Op = b[1]
	in := input{b: b[2:]}
	o.Source = in.text()
	n := in.uvarint(uint64(len(in.b)))
	if in.bad || n*33 != uint64(len(in.b)) {
		return Order{}, fmt.Errorf("%w: %d bytes for %d hashes", errOrder, len(in.b), n)
	}
	for rest := in.b; len(rest) > 0; rest = rest[33:] {
		o.Hashes = append(o.Hashes, Hash{Kind: rest[0], Sum: [32]byte(rest[1:33])})
	}
	return o, nil
}
