package rowfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

const spillChunk = 64 << 10

// pagePool holds packed pages until their row group is whole: in memory up to a limit, beyond it in files that have no name, so
// that nothing is left of them after a crash. It is safe for concurrent use; a buffer serves one goroutine.
type pagePool struct {
	limit int
	temp  string

	mu      sync.Mutex
	used    int
	free    [][]byte
	files   map[*os.File]struct{}
	spilled int64
	err     error // of closing files
}

func newPagePool(limit int, temp string) *pagePool {
	return &pagePool{limit: limit, temp: temp, files: map[*os.File]struct{}{}}
}

// close closes what was not given back, which is so after an error.
func (p *pagePool) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.files {
		p.err = errors.Join(p.err, f.Close())
	}
	clear(p.files)
	return p.err
}

// GetBuffer implements the library's pool of buffers.
func (p *pagePool) GetBuffer() io.ReadWriteSeeker { return &pageBuffer{pool: p} }

// PutBuffer implements the library's pool of buffers.
func (p *pagePool) PutBuffer(b io.ReadWriteSeeker) {
	buffer, ok := b.(*pageBuffer)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, buffer.chunks...)
	p.used -= len(buffer.chunks) * spillChunk
	if buffer.file != nil {
		delete(p.files, buffer.file)
		p.err = errors.Join(p.err, buffer.file.Close())
	}
	*buffer = pageBuffer{pool: p}
}

// chunk returns memory, or nil when there is no more to be had.
func (p *pagePool) chunk() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used+spillChunk > p.limit {
		return nil
	}
	p.used += spillChunk
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c
	}
	return make([]byte, spillChunk)
}

// pageBuffer is written to its end, and then read from its start, as often as one likes.
type pageBuffer struct {
	pool   *pagePool
	chunks [][]byte
	size   int // of what is in memory
	file   *os.File
	behind int64 // what is in the file
	at     int64
}

// Write implements io.Writer.
func (b *pageBuffer) Write(data []byte) (n int, err error) {
	for len(data) > 0 && b.file == nil {
		used := b.size % spillChunk
		if used == 0 {
			c := b.pool.chunk()
			if c == nil {
				if err := b.spill(); err != nil {
					return n, err
				}
				break
			}
			b.chunks = append(b.chunks, c)
		}
		k := copy(b.chunks[len(b.chunks)-1][used:], data)
		b.size += k
		n += k
		data = data[k:]
	}
	if len(data) > 0 {
		k, err := b.file.WriteAt(data, b.behind)
		b.behind += int64(k)
		n += k
		if err != nil {
			return n, fmt.Errorf("spill: %w", err)
		}
		b.pool.mu.Lock()
		b.pool.spilled += int64(k)
		b.pool.mu.Unlock()
	}
	b.at = int64(b.size) + b.behind
	return n, nil
}

func (b *pageBuffer) spill() error {
	f, err := os.CreateTemp(b.pool.temp, "firth-merge-*")
	if err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return errors.Join(fmt.Errorf("spill: %w", err), f.Close())
	}
	b.file = f
	b.pool.mu.Lock()
	b.pool.files[f] = struct{}{}
	b.pool.mu.Unlock()
	return nil
}

// Read implements io.Reader.
func (b *pageBuffer) Read(p []byte) (int, error) {
	if b.at < int64(b.size) {
		c := b.chunks[b.at/spillChunk]
		end := min(int64(spillChunk), int64(b.size)-b.at/spillChunk*spillChunk)
		n := copy(p, c[b.at%spillChunk:end])
		b.at += int64(n)
		return n, nil
	}
	if b.file == nil || b.at-int64(b.size) >= b.behind {
		return 0, io.EOF
	}
	left := b.behind - (b.at - int64(b.size))
	n, err := b.file.ReadAt(p[:min(int64(len(p)), left)], b.at-int64(b.size))
	b.at += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (b *pageBuffer) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += int64(b.size) + b.behind
	}
	if offset < 0 || offset > int64(b.size)+b.behind {
		return 0, fmt.Errorf("seek to %d of %d bytes", offset, int64(b.size)+b.behind)
	}
	b.at = offset
	return offset, nil
}
