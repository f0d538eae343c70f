package redis

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

// errReply is a reply that is not what the protocol has (RESP2, redis.io/docs/latest/develop/reference/protocol-spec).
var errReply = errors.New("the server's reply cannot be understood")

// reply reads the replies of a pipeline one value after the other. What it hands out points into them.
type reply struct {
	b   []byte
	pos int
}

// next reads one value, of an array its head alone: kind is the first byte of the reply. n is the number of an integer, or of the
// elements of an array; -1 with the kinds $ and * is nil. text is that of a string, a status or an error.
func (r *reply) next() (kind byte, n int64, text []byte, err error) {
	end := bytes.Index(r.b[r.pos:], crlf)
	if end < 1 {
		return 0, 0, nil, errReply
	}
	line := r.b[r.pos : r.pos+end]
	r.pos += end + 2
	kind, line = line[0], line[1:]
	switch kind {
	case '+', '-':
		return kind, 0, line, nil
	case ':', '*', '$':
	default:
		return 0, 0, nil, errReply
	}
	if n, err = parseInt(line); err != nil {
		return 0, 0, nil, err
	}
	if kind == ':' || n == -1 {
		return kind, n, nil, nil
	}
	if n < 0 || n > int64(len(r.b)-r.pos) {
		return 0, 0, nil, errReply
	}
	if kind == '*' {
		return kind, n, nil, nil
	}
	text = r.b[r.pos : r.pos+int(n) : r.pos+int(n)]
	r.pos += int(n)
	if !bytes.HasPrefix(r.b[r.pos:], crlf) {
		return 0, 0, nil, errReply
	}
	r.pos += 2
	return kind, n, text, nil
}

var crlf = []byte("\r\n") //nolint:gochecknoglobals // a constant

func parseInt(b []byte) (int64, error) {
	if len(b) == 1 && b[0]-'0' <= 9 {
		return int64(b[0] - '0'), nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil {
		return 0, errReply
	}
	return n, nil
}

// bulk reads a string; nil is nil.
func (r *reply) bulk() ([]byte, error) {
	kind, _, text, err := r.next()
	if err == nil && kind != '$' {
		err = errReply
	}
	return text, err
}

// array reads the head of an array and returns how many elements follow; -1: nil.
func (r *reply) array() (int, error) {
	kind, n, _, err := r.next()
	if err == nil && kind != '*' {
		err = errReply
	}
	return int(n), err
}

// sink holds the replies of a pipeline.
type sink struct {
	b     []byte
	limit int // replies that begin behind it are let go, so that the memory is bounded; the first one always stays
}

// slot is where in the sink the reply to one command is. It is an io.Writer for that command alone.
type slot struct {
	s     *sink
	at    int
	begun bool
	gone  bool // beyond the limit
}

func (o *slot) begin() {
	if !o.begun {
		o.begun, o.at = true, len(o.s.b)
		o.gone = o.at > o.s.limit
	}
}

func (o *slot) Write(p []byte) (int, error) {
	o.begin()
	if !o.gone {
		o.s.b = append(o.s.b, p...)
	}
	return len(p), nil
}

// ReadFrom takes the bytes of a string without a buffer in between.
func (o *slot) ReadFrom(r io.Reader) (int64, error) {
	o.begin()
	l, ok := r.(*io.LimitedReader)
	if o.gone || !ok {
		return io.Copy(struct{ io.Writer }{o}, r)
	}
	have, want := len(o.s.b), int(l.N)
	if cap(o.s.b)-have < want {
		grown := make([]byte, have, max(2*cap(o.s.b), have+want))
		copy(grown, o.s.b)
		o.s.b = grown
	}
	n, err := io.ReadFull(l, o.s.b[have:have+want])
	o.s.b = o.s.b[:have+n]
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF // as io.CopyN has it
	}
	return int64(n), err
}

// reply is the reader of the reply.
func (o *slot) reply() reply { return reply{b: o.s.b, pos: o.at} }
