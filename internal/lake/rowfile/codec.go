package rowfile

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/format"
)

// Level is how hard a writer tries to make pages small.
type Level int

// The levels of zstd that are worth their time.
const (
	// Fast is the default: with pages of 1 MiB as small as the level above it, at half the CPU.
	Fast Level = iota
	// Balanced is zstd's own default.
	Balanced
	// Small takes two to three times the CPU of Balanced.
	Small
)

func (l Level) encoder() zstd.EncoderLevel {
	switch l {
	case Balanced:
		return zstd.SpeedDefault
	case Small:
		return zstd.SpeedBetterCompression
	default:
		return zstd.SpeedFastest
	}
}

// maxPage bounds what a damaged page may ask for when it is unpacked.
const maxPage = 512 << 20

// codec packs pages with zstd and its content checksum, which every reader of zstd verifies: a bit that is flipped in a page is an
// error in any engine. The library's own codec leaves the checksum out. It is safe for concurrent use.
type codec struct {
	level    Level
	encoders sync.Pool // of *zstd.Encoder
	decoders sync.Pool // of *zstd.Decoder
}

var _ compress.Codec = (*codec)(nil)

func (*codec) String() string                            { return "ZSTD" }
func (*codec) CompressionCodec() format.CompressionCodec { return format.Zstd }

// Encode implements the library's codec.
func (c *codec) Encode(dst, src []byte) ([]byte, error) {
	e, ok := c.encoders.Get().(*zstd.Encoder)
	if !ok {
		var err error
		e, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(c.level.encoder()),
			zstd.WithZeroFrames(true), zstd.WithEncoderCRC(true))
		if err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
	}
	defer c.encoders.Put(e)
	return e.EncodeAll(src, dst[:0]), nil
}

// Decode implements the library's codec.
func (c *codec) Decode(dst, src []byte) ([]byte, error) {
	d, ok := c.decoders.Get().(*zstd.Decoder)
	if !ok {
		var err error
		if d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPage)); err != nil {
			return nil, fmt.Errorf("zstd: %w", err)
		}
	}
	defer c.decoders.Put(d)
	return d.DecodeAll(src, dst[:0])
}

// At returns the same shape for writers that pack at another level. Files of all levels are read alike.
func (t *Table[T]) At(level Level) *Table[T] {
	own := *t
	own.schema = schemaOf(t.schema.Name(), t.columns, level)
	return &own
}

func schemaOf[T any](name string, columns []Column[T], level Level) *parquet.Schema {
	root, pack := &record{}, &codec{level: level}
	for i := range columns {
		c := &columns[i]
		node := parquet.Compressed(parquet.Encoded(leaf(c.Kind), encodingOf(c)), pack)
		root.fields = append(root.fields, &field{parquet.Optional(parquet.FieldID(node, c.ID)), c.Name})
	}
	return parquet.NewSchema(name, root)
}
