package lake

import (
	"bytes"
	encoding "encoding/json" // the package has a helper named json
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"firth/internal/lake/catalog"
)

// NewCheck makes a check of a file of the lake, by what its name or its content tells of it, for who copies files to this machine: what is
// written to w is the whole content, then done says whether it is that of the file, or an [ErrDamaged]. w is nil for a file that tells nothing.
func NewCheck(path string) (w io.Writer, done func() error) {
	if sums, ok := sumsOf(path); ok {
		h := crc32.New(castagnoli)
		return h, func() error {
			if got := h.Sum32(); got != sums.whole {
				return damaged(path, "its checksum is %08x, its name says %08x", got, sums.whole)
			}
			return nil
		}
	}
	var sound func([]byte) error
	switch {
	case strings.HasSuffix(path, ".avro"):
		sound = func(content []byte) error { return catalog.VerifyAvro(path, content) }
	case strings.HasSuffix(path, ".gz.metadata.json"):
		sound = func(content []byte) error {
			r, err := gzip.NewReader(bytes.NewReader(content))
			if err == nil {
				_, err = io.Copy(io.Discard, r)
			}
			if err != nil {
				return fmt.Errorf("%w: %s: %w", ErrDamaged, path, err)
			}
			return nil
		}
	case strings.HasSuffix(path, ".metadata.json"):
		sound = func(content []byte) error {
			if !encoding.Valid(content) {
				return fmt.Errorf("%w: %s: %w", ErrDamaged, path, errors.New("it is no JSON"))
			}
			return nil
		}
	default:
		return nil, nil
	}
	var all bytes.Buffer
	return &all, func() error { return sound(all.Bytes()) }
}
