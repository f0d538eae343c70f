package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// MaxLine is how long a line may be, in bytes. A longer one is a fault, and is passed over.
const MaxLine = 16 << 20

// blockBytes is how much text goes from the goroutine that unpacks to the one that reads, at once; blocks is how many there are.
const (
	blockBytes = 512 << 10
	blocks     = 4
)

// block is whole lines of a file. Behind them there may be a fault, with what is left of its line.
type block struct {
	file  int
	line  int64 // number of the first one
	text  []byte
	fault error
	rest  []byte
}

// Walk hands fn the lines of the files from first on, blank ones left out: text, without its end, is good until fn returns, line counts
// from 1. A goroutine of its own unpacks meanwhile; it has ended when Walk returns. Damage is told by fault, in words, where it is met:
// a stream that ends too early or is broken, a line that is too long, a file that is empty or has changed since it was listed; text is
// what is left of the line, and the next file follows. The error is that of fn, of ctx, or of a disk or store that cannot be read.
func (a *Archive) Walk(ctx context.Context, first int, fn func(file int, line int64, text []byte, fault error) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	full, free := make(chan *block), make(chan *block, blocks)
	for range blocks {
		free <- &block{text: make([]byte, 0, blockBytes)}
	}
	p := &producer{a: a, ctx: ctx, full: full, free: free}
	var failed error
	var wait sync.WaitGroup
	wait.Go(func() {
		run := func() { failed = p.run(first) }
		if a.Thread != nil {
			a.Thread(run)
		} else {
			run()
		}
		close(full)
	})
	var err error
	for b := range full {
		if err == nil {
			if err = b.each(fn); err != nil {
				cancel()
			}
		}
		if b.text, b.rest, b.fault = b.text[:0], nil, nil; cap(b.text) > 4*blockBytes {
			b.text = make([]byte, 0, blockBytes) // a line was very long
		}
		free <- b
	}
	wait.Wait()
	if err != nil {
		return err
	}
	return failed
}

// each hands out the lines of a block.
func (b *block) each(fn func(file int, line int64, text []byte, fault error) error) error {
	text, line := b.text, b.line
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		of := text
		if end < 0 {
			text = nil
		} else {
			of, text = text[:end], text[end+1:]
		}
		if of = bytes.TrimSpace(of); len(of) > 0 {
			if err := fn(b.file, line, of, nil); err != nil {
				return err
			}
		}
		line++
	}
	if b.fault != nil {
		return fn(b.file, line, b.rest, b.fault)
	}
	return nil
}

// producer unpacks files into blocks.
type producer struct {
	a    *Archive
	ctx  context.Context //nolint:containedctx // of the one Walk that it lives in
	full chan<- *block
	free <-chan *block

	file int
	line int64  // of the next block's first line
	left []byte // beginning of the line that the last block ended in
}

func (p *producer) run(first int) error {
	var before int64
	for _, f := range p.a.files[:min(first, len(p.a.files))] {
		before += f.Size
	}
	p.a.read.Store(before)
	for i := first; i < len(p.a.files); i++ {
		f := p.a.files[i]
		p.file, p.line, p.left = i, 1, p.left[:0]
		if err := p.one(f); err != nil {
			return fmt.Errorf("read archive %s/%s: %w", p.a.place, f.Name, err)
		}
		before += f.Size
		p.a.read.Store(before)
	}
	return nil
}

// one reads a file.
func (p *producer) one(f File) (err error) {
	if f.Size == 0 {
		return p.end(errors.New("the file is empty"))
	}
	in, err := p.a.open(p.ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	raw := &source{in: io.LimitReader(in, f.Size), read: &p.a.read}
	text, done, err := unpack(raw)
	if err == nil {
		defer done()
		err = p.lines(text)
	}
	var pass *passing
	switch {
	case raw.err != nil && !errors.Is(raw.err, io.EOF):
		return raw.err
	case errors.As(err, &pass):
		return pass.err
	}
	return p.end(p.judge(f, raw, err))
}

// passing is an error that is not the file's.
type passing struct{ err error }

func (e *passing) Error() string { return e.err.Error() }

// judge says what is wrong with a file that has been read as far as it goes.
func (p *producer) judge(f File, raw *source, err error) error {
	if p.a.size != nil {
		if now, serr := p.a.size(f); serr == nil && now != f.Size {
			return fmt.Errorf("the file has changed from %d to %d bytes since it was listed: import it again once it is whole", f.Size, now)
		}
	}
	if raw.n < f.Size && err == nil {
		return fmt.Errorf("%d bytes were listed and %d are there", f.Size, raw.n)
	}
	return inWords(err)
}

// end hands over what is left of the file: a last line without an end, or the fault.
func (p *producer) end(fault error) error {
	if fault == nil && len(p.left) == 0 {
		return nil
	}
	b, err := p.take()
	if err != nil {
		return err
	}
	b.file, b.line = p.file, p.line
	if b.fault = fault; fault != nil {
		b.rest = bytes.Clone(p.left)
	} else {
		b.text = append(b.text, p.left...)
	}
	p.left = p.left[:0]
	return p.give(b)
}

func (p *producer) take() (*block, error) {
	select {
	case b := <-p.free:
		return b, nil
	case <-p.ctx.Done():
		return nil, &passing{p.ctx.Err()}
	}
}

func (p *producer) give(b *block) error {
	select {
	case p.full <- b:
		return nil
	case <-p.ctx.Done():
		return &passing{p.ctx.Err()}
	}
}

// lines hands over the whole lines of a text; the beginning of the last one is left.
func (p *producer) lines(in io.Reader) error {
	for {
		b, err := p.take()
		if err != nil {
			return err
		}
		b.file, b.line = p.file, p.line
		b.text = append(b.text[:0], p.left...)
		p.left = p.left[:0]
		more, err := p.fill(b, in)
		if gerr := p.give(b); gerr != nil {
			return gerr
		}
		if err != nil || !more {
			return err
		}
	}
}

// fill reads until the block is full and leaves what stands behind its last line. Of a line that is too long it keeps the beginning.
func (p *producer) fill(b *block, in io.Reader) (more bool, err error) {
	from := 0 // where the search for the end of a line goes on
	for {
		if len(b.text) == cap(b.text) {
			if len(b.text) >= MaxLine {
				return p.skip(b, in)
			}
			b.text = append(make([]byte, 0, min(2*len(b.text), MaxLine)), b.text...)
		}
		var n int
		n, err = in.Read(b.text[len(b.text):cap(b.text)])
		b.text = b.text[:len(b.text)+n]
		if err == nil && len(b.text) < cap(b.text) {
			continue
		}
		end := bytes.LastIndexByte(b.text[from:], '\n')
		if end < 0 && err == nil {
			from = len(b.text)
			continue
		}
		end += from + 1
		p.left = append(p.left[:0], b.text[end:]...)
		b.text = b.text[:end]
		p.line += int64(bytes.Count(b.text, []byte{'\n'}))
		if errors.Is(err, io.EOF) {
			err = nil
		} else if err == nil {
			more = true
		}
		return more, err
	}
}

// skip passes over the rest of a line that is too long.
func (p *producer) skip(b *block, in io.Reader) (more bool, err error) {
	b.fault = fmt.Errorf("the line is longer than %d bytes", MaxLine)
	b.rest, b.text = bytes.Clone(b.text[:64<<10]), b.text[:0]
	p.line++
	buf := make([]byte, blockBytes)
	for {
		n, err := in.Read(buf)
		if end := bytes.IndexByte(buf[:n], '\n'); end >= 0 {
			p.left = append(p.left[:0], buf[end+1:n]...)
			return err == nil || errors.Is(err, io.EOF), ignoreEnd(err)
		}
		if err != nil {
			return false, ignoreEnd(err)
		}
	}
}

func ignoreEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
