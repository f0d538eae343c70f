package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The kinds of messages: the first hello of a connection comes as a query of old.
const (
	opReply   = 1
	opQuery   = 2004
	opMessage = 2013
)

const longest = 48 << 20

// message is one request.
type message struct {
	id, kind int32
	command  bson.Raw
}

func readMessage(r io.Reader) (*message, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(int32(binary.LittleEndian.Uint32(head[:])))
	if n < 16+4 || n > longest {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	m := &message{id: int32(binary.LittleEndian.Uint32(head[4:])), kind: int32(binary.LittleEndian.Uint32(head[12:]))}
	b := make([]byte, n-16)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	var err error
	switch m.kind {
	case opMessage:
		m.command, err = section(b[4:])
	case opQuery:
		m.command, err = query(b)
	default:
		err = fmt.Errorf("an opcode %d", m.kind)
	}
	return m, err
}

// section is the document of a message; sequences of documents, which no reading has, are not taken.
func section(b []byte) (bson.Raw, error) {
	if len(b) < 6 || b[0] != 0 {
		return nil, errors.New("a message without a command")
	}
	return document(b[1:])
}

// query is the document of a query: behind the flags, the name of the collection and two numbers.
func query(b []byte) (bson.Raw, error) {
	i := 4
	for i < len(b) && b[i] != 0 {
		i++
	}
	if i+9 > len(b) {
		return nil, errors.New("a query that ends early")
	}
	return document(b[i+9:])
}

func document(b []byte) (bson.Raw, error) {
	if len(b) < 5 {
		return nil, errors.New("a document that ends early")
	}
	n := int64(binary.LittleEndian.Uint32(b))
	if n > int64(len(b)) || n < 5 {
		return nil, errors.New("a document that ends early")
	}
	return bson.Raw(b[:n]), bson.Raw(b[:n]).Validate()
}

// reply is the bytes of an answer.
func (m *message) reply(d bson.D) []byte {
	body, err := bson.Marshal(d)
	if err != nil { // documents that the test put in are sent as they are, so this is about the peer's own
		body, _ = bson.Marshal(failure(8, "UnknownError", err.Error()))
	}
	b := make([]byte, 16, 64+len(body))
	kind := uint32(opMessage)
	if m.kind == opQuery {
		kind = opReply
		b = append(b, make([]byte, 16)...)
		b = binary.LittleEndian.AppendUint32(b, 1)
	} else {
		b = append(b, 0, 0, 0, 0, 0)
	}
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint32(b[8:], uint32(m.id))
	binary.LittleEndian.PutUint32(b[12:], kind)
	return b
}
