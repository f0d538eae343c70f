// Package purge purges people with the real binary, kills it at each step, and searches what is left on the disk byte by byte.
package purge

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/parquet-go/parquet-go"
)

// Traces lists the files below folders that hold one of the texts: as bytes, or in what they pack. Compressed pages of Parquet files are
// unpacked, metadata that is gzipped too, and of other files every s2 block that a frame of the journal may hold.
func Traces(texts []string, roots ...string) (found []string, err error) {
	for _, root := range roots {
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			content, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				return nil
			}
			if err != nil {
				return err
			}
			views, err := unpacked(path, content)
			if err != nil {
				return err
			}
			for _, text := range texts {
				if strings.Contains(path, text) || slices.ContainsFunc(views, func(v []byte) bool { return bytes.Contains(v, []byte(text)) }) {
					found = append(found, fmt.Sprintf("%q in %s", text, path))
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// unpacked are the ways to look at a file.
func unpacked(path string, content []byte) ([][]byte, error) {
	views := [][]byte{content}
	switch {
	case bytes.HasPrefix(content, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		plain, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		views = append(views, plain)
	case bytes.HasPrefix(content, []byte("PAR1")) && bytes.HasSuffix(content, []byte("PAR1")):
		values, err := columns(content)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		views = append(views, values)
	case strings.HasSuffix(path, ".seg"):
		views = append(views, bodies(content))
	}
	return views, nil
}

// columns are all values of all columns of a Parquet file, dictionaries among them.
func columns(content []byte) ([]byte, error) {
	f, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, g := range f.RowGroups() {
		for _, chunk := range g.ColumnChunks() {
			pages := chunk.Pages()
			for {
				page, err := pages.ReadPage()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					return nil, err
				}
				if d := page.Dictionary(); d != nil {
					for i := range d.Len() {
						out.WriteString(d.Index(int32(i)).String() + "\n")
					}
				}
				values := make([]parquet.Value, page.NumValues())
				n, err := page.Values().ReadValues(values)
				if err != nil && !errors.Is(err, io.EOF) {
					return nil, err
				}
				for _, v := range values[:n] {
					out.WriteString(v.String() + "\n")
				}
				parquet.Release(page)
			}
			if err := pages.Close(); err != nil {
				return nil, err
			}
		}
	}
	return out.Bytes(), nil
}

// bodies are the s2 blocks of a journal's frames.
func bodies(segment []byte) []byte {
	var out []byte
	for at := 0; ; {
		next := bytes.Index(segment[at:], []byte("FRM1"))
		if next < 0 {
			return out
		}
		at += next
		if at+40 > len(segment) {
			return out
		}
		size := int(segment[at+8]) | int(segment[at+9])<<8 | int(segment[at+10])<<16 | int(segment[at+11])<<24
		payload := segment[at+40 : min(len(segment), at+40+max(size, 0))]
		for start := range min(len(payload), 256) { // the block begins behind a header of some bytes
			if plain, err := s2.Decode(nil, payload[start:]); err == nil {
				out = append(out, plain...)
			}
		}
		at += 40
	}
}
