package disktest

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"syscall"
)

// file is an open file.
type file struct {
	fs       *FS
	in       *inode
	writable bool
	closed   bool
	at       int64
}

// begin checks the handle and the injected faults. The file system's lock is held.
func (h *file) begin(op Op) error {
	op.Path = h.in.name
	switch {
	case h.closed:
		return fs.ErrClosed
	case !h.writable && (op.Kind == Write || op.Kind == Truncate):
		return syscall.EBADF
	}
	return h.fs.op(op)
}

func (h *file) ReadAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.begin(Op{Kind: Read, Len: len(p)}); err != nil {
		return 0, pathError("read", h.in.name, err)
	}
	if off >= int64(len(h.in.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.in.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (h *file) Write(p []byte) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	n, err := h.writeAt(p, h.at)
	h.at += int64(n)
	return n, err
}

func (h *file) WriteAt(p []byte, off int64) (int, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	return h.writeAt(p, off)
}

// writeAt writes what an injected fault and the capacity leave of p.
func (h *file) writeAt(p []byte, off int64) (int, error) {
	err := h.begin(Op{Kind: Write, Len: len(p)})
	if err != nil {
		var torn *Torn
		if !errors.As(err, &torn) {
			return 0, pathError("write", h.in.name, err)
		}
		p = p[:min(len(p), torn.Keep)]
	}
	grow := max(0, off+int64(len(p))-int64(len(h.in.data)))
	if over := grow - (h.fs.capacity - h.fs.used()); over > 0 {
		p = p[:max(0, int64(len(p))-over)]
		err = syscall.ENOSPC
	}
	h.in.write(p, off)
	if err != nil {
		return len(p), pathError("write", h.in.name, err)
	}
	return len(p), nil
}

func (h *file) Truncate(size int64) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.begin(Op{Kind: Truncate, Len: int(size)}); err != nil {
		return pathError("truncate", h.in.name, err)
	}
	if grow := size - int64(len(h.in.data)); grow > 0 && grow > h.fs.capacity-h.fs.used() {
		return pathError("truncate", h.in.name, syscall.ENOSPC)
	}
	h.in.resize(size)
	return nil
}

func (h *file) Sync() error     { return h.sync("fsync") }
func (h *file) Datasync() error { return h.sync("fdatasync") }

func (h *file) sync(word string) error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.begin(Op{Kind: Sync}); err != nil {
		// The kernel reports a failed write-back once and takes the pages for clean: what was pending is lost to the disk,
		// stays readable, and a later sync says nothing about it.
		if !errors.Is(err, ErrPowerOff) {
			h.in.pending = nil
		}
		return pathError(word, h.in.name, err)
	}
	for _, w := range h.in.pending {
		h.in.kept = w.apply(h.in.kept)
	}
	h.in.pending = nil
	return nil
}

func (h *file) Stat() (fs.FileInfo, error) {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if err := h.begin(Op{Kind: Stat}); err != nil {
		return nil, pathError("stat", h.in.name, err)
	}
	return h.fs.info(h.in.name, h.in), nil
}

// Close closes the handle; closing costs nothing and never fails on an open one.
func (h *file) Close() error {
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	if h.closed {
		return pathError("close", h.in.name, fs.ErrClosed)
	}
	h.closed = true
	return nil
}

func (in *inode) write(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	w := write{at: off, data: slices.Clone(p)}
	in.data = w.apply(in.data)
	in.pending = append(in.pending, w)
}

func (in *inode) resize(size int64) {
	w := write{at: size}
	in.data = w.apply(in.data)
	in.pending = append(in.pending, w)
}

// apply carries the change out on content, which it may use.
func (w write) apply(to []byte) []byte {
	if w.data == nil {
		if w.at <= int64(len(to)) {
			return to[:w.at:w.at]
		}
		return append(to, make([]byte, w.at-int64(len(to)))...)
	}
	if gap := w.at - int64(len(to)); gap > 0 {
		to = append(to, make([]byte, gap)...)
	}
	n := copy(to[w.at:], w.data)
	return append(to, w.data[n:]...)
}
