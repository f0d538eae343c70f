package archive

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"firth/internal/object"
)

// readBuffer is how much of a packed file is read at once.
const readBuffer = 128 << 10

// source is the bytes of a file as they lie there: it tells trouble of the disk from damage of what is packed.
type source struct {
	in   io.Reader
	n    int64
	err  error
	read *atomic.Int64
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	s.n += int64(n)
	s.read.Add(int64(n))
	s.err = err
	return n, err
}

// unpack looks at the first bytes and unpacks what they say. Done gives up what it took.
func unpack(raw io.Reader) (text io.Reader, done func(), err error) {
	in := bufio.NewReaderSize(raw, readBuffer)
	nothing := func() {}
	head, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nothing, err
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nothing, packed{"gzip", err}
		}
		return &packedText{"gzip", z}, nothing, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
		if err != nil {
			return nil, nothing, packed{"zstd", err}
		}
		return &packedText{"zstd", z}, z.Close, nil
	}
	return in, nothing, nil
}

// maxWindow bounds the memory that a zstd stream may ask for.
const maxWindow = 64 << 20

// packed is damage of a packed stream.
type packed struct {
	format string
	err    error
}

func (e packed) Error() string { return e.format + ": " + e.err.Error() }
func (e packed) Unwrap() error { return e.err }

type packedText struct {
	format string
	in     io.Reader
}

func (t *packedText) Read(p []byte) (int, error) {
	n, err := t.in.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // a wrapped one is no end
		err = packed{t.format, err}
	}
	return n, err
}

// inWords says for a person what is wrong with a packed stream.
func inWords(err error) error {
	var p packed
	if !errors.As(err, &p) {
		return err
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("the file is cut short: its %s stream ends before its end, and what came before that was taken", p.format)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, zstd.ErrCRCMismatch):
		return fmt.Errorf("the file is damaged: what its %s stream holds does not have the checksum that it states", p.format)
	}
	return fmt.Errorf("the file is damaged: its %s stream breaks off (%w), and what came before that was taken", p.format, p.err)
}

// objectTries is how often an object is opened in a row whose reading breaks off.
const objectTries = 4

// objectReader goes on where a connection broke.
type objectReader struct {
	ctx   context.Context //nolint:containedctx // of the one reading
	store *object.Store
	key   string
	body  io.ReadCloser
	at    int64
	tries int
}

func openObject(ctx context.Context, store *object.Store, f File) (io.ReadCloser, error) {
	body, err := store.Get(ctx, f.Name)
	if err != nil {
		return nil, err
	}
	return &objectReader{ctx: ctx, store: store, key: f.Name, body: body}, nil
}

func (r *objectReader) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		r.at += int64(n)
		if n > 0 {
			r.tries = 0
		}
		if err == nil || n > 0 || errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || r.ctx.Err() != nil || r.tries >= objectTries {
			if n > 0 && !errors.Is(err, io.EOF) {
				err = nil // it comes again, or the reading goes on
			}
			return n, err
		}
		if rerr := r.again(); rerr != nil {
			return 0, errors.Join(err, rerr)
		}
	}
}

// again opens the object anew and goes to where the reading broke off.
func (r *objectReader) again() error {
	select {
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-time.After(200 * time.Millisecond << r.tries):
	}
	r.tries++
	body, err := r.store.Get(r.ctx, r.key)
	if err != nil {
		return err
	}
	old := r.body
	r.body = body
	_ = old.Close() // it is broken
	_, err = io.CopyN(io.Discard, body, r.at)
	return err
}

func (r *objectReader) Close() error { return r.body.Close() }
