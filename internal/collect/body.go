package collect

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// drainMost is how much of a body over the limit is read away, so that the caller is done sending and sees the answer.
const drainMost = 4 << 20

// read gives the body of the request, decompressed, in one of the call's buffers, or the reply that refuses it; then the bytes are the
// beginning of what came.
func (h *Handler) read(w http.ResponseWriter, r *http.Request, c *call) ([]byte, *reply) {
	conn := h.deadline(w)
	body, refused := h.readRaw(r, c)
	if refused != nil {
		// The deadline stays: before it answers, the server reads what is left of the body.
		return body, refused
	}
	if conn != nil {
		// An error means that the connection is gone, which the answer will find out.
		_ = conn.SetReadDeadline(time.Time{})
	}
	encoding := ""
	if e := r.Header["Content-Encoding"]; len(e) > 0 {
		encoding = strings.ToLower(strings.TrimSpace(strings.Join(e, ",")))
	}
	if encoding == "" && isGzip(body) {
		encoding = "gzip" // sent compressed without saying so; JSON never begins like that
	}
	switch encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		body, refused = h.gunzip(c, body)
	case "deflate":
		body, refused = h.inflate(c, body)
	default:
		return body, h.replies.badEncoding
	}
	return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), refused
}

func isGzip(b []byte) bool { return len(b) > 2 && b[0] == 0x1f && b[1] == 0x8b }

type readDeadliner interface{ SetReadDeadline(time.Time) error }

// deadline bounds the time of reading the body; the bound is lifted on what it returns, nil where the writer has no connection.
func (h *Handler) deadline(w http.ResponseWriter) readDeadliner {
	// The server's own writer is asked directly, wrapped ones through the controller.
	conn, ok := w.(readDeadliner)
	if !ok {
		conn = http.NewResponseController(w)
	}
	if err := conn.SetReadDeadline(time.Now().Add(h.o.BodyTimeout)); err != nil {
		return nil
	}
	return conn
}

// readRaw reads the body as it came.
func (h *Handler) readRaw(r *http.Request, c *call) ([]byte, *reply) {
	if n := r.ContentLength; n >= 0 && n <= int64(h.o.MaxBody) {
		c.raw = grow(c.raw, int(n))
		got, err := io.ReadFull(r.Body, c.raw)
		if err != nil {
			return c.raw[:got], h.broken(err)
		}
		return c.raw, nil
	}
	c.raw = grow(c.raw, firstRead)[:0]
	body, err := readMost(r.Body, c.raw, h.o.MaxBody)
	c.raw = body
	switch {
	case errors.Is(err, errTooLong):
		_, _ = io.CopyN(io.Discard, r.Body, drainMost) // the answer is the same whether or not the rest comes
		return body, h.replies.bodyTooLarge
	case err != nil:
		return body, h.broken(err)
	}
	return body, nil
}

// broken tells a body that was too slow from one that ended early.
func (h *Handler) broken(err error) *reply {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return h.replies.bodyTimeout
	}
	return h.replies.bodyIncomplete
}

// firstRead is the size of the buffer for a body of unknown length.
const firstRead = 16 << 10

var errTooLong = errors.New("more bytes than allowed")

// readMost appends what r has to buf; over most bytes it stops with errTooLong.
func readMost(r io.Reader, buf []byte, most int) ([]byte, error) {
	for {
		if len(buf) > most {
			return buf[:most], errTooLong
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):min(cap(buf), most+1)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			if len(buf) > most {
				return buf[:most], errTooLong
			}
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// grow gives a slice of n bytes, in b where it is large enough.
func grow(b []byte, n int) []byte {
	if cap(b) >= n {
		return b[:n]
	}
	return make([]byte, n, n+n/4+512)
}

// gunzip decompresses up to the limit of a body, which is what a bomb can cost.
func (h *Handler) gunzip(c *call, packed []byte) ([]byte, *reply) {
	c.packed.Reset(packed)
	if c.gzip == nil {
		c.gzip = new(gzip.Reader)
	}
	if err := c.gzip.Reset(&c.packed); err != nil {
		return packed, h.replies.badEncoding
	}
	return h.unpack(c, c.gzip)
}

// inflate decompresses deflate, which is zlib by the standard and bare in practice.
func (h *Handler) inflate(c *call, packed []byte) ([]byte, *reply) {
	c.packed.Reset(packed)
	z, err := zlib.NewReader(&c.packed)
	if err != nil {
		c.packed.Reset(packed)
		z = flate.NewReader(&c.packed)
	}
	return h.unpack(c, z)
}

func (h *Handler) unpack(c *call, r io.Reader) ([]byte, *reply) {
	if cap(c.plain) == 0 {
		c.plain = make([]byte, 0, firstRead)
	}
	body, err := readMost(r, c.plain[:0], h.o.MaxBody)
	c.plain = body
	switch {
	case errors.Is(err, errTooLong):
		return body, h.replies.bodyTooLarge
	case err != nil:
		return body, h.replies.badEncoding
	}
	return body, nil
}
