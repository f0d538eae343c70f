package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"firth/internal/disk"
)

// ErrDamaged says that a file does not hold what was written to it.
var ErrDamaged = errors.New("a file is damaged")

// An Avro file repeats sixteen bytes, its sync marker, at the end of its header and of every block. Any sixteen bytes will do, so
// those of Firth's manifests and manifest lists tell a checksum: a word, and the CRC32C of the file with all markers blank in
// hexadecimal digits. Every engine reads such a file as any other.
const (
	markerLen  = 16
	markerWord = "FirthSum"
	avroExt    = ".avro"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func blankSum(content, marker []byte) string {
	sum := crc32.Checksum(bytes.ReplaceAll(content, marker, make([]byte, markerLen)), castagnoli)
	return fmt.Sprintf("%s%08x", markerWord, sum)
}

// seal gives a whole Avro file the marker that tells its checksum. The size stays.
func seal(content []byte) []byte {
	if len(content) < markerLen {
		return content
	}
	marker := content[len(content)-markerLen:]
	return bytes.ReplaceAll(content, marker, []byte(blankSum(content, marker)))
}

// verifyAvro compares an Avro file with the checksum that its marker tells; files of older versions tell none.
func verifyAvro(path string, content []byte) error {
	if !bytes.Contains(content, []byte(markerWord)) {
		return nil
	}
	if len(content) >= markerLen {
		marker := content[len(content)-markerLen:]
		if blankSum(content, marker) == string(marker) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s: its checksum is not the one that it tells", ErrDamaged, path)
}

// VerifyAvro is what reading a manifest or manifest list does with its content: a file that can tell that it was changed is [ErrDamaged].
func VerifyAvro(path string, content []byte) error { return verifyAvro(path, content) }

// readSound reads a file of a table's metadata. One that can tell that it was changed is [ErrDamaged] then.
func readSound(fsys disk.FS, path string) ([]byte, error) {
	content, err := disk.ReadFile(fsys, path)
	if err != nil || !strings.HasSuffix(path, avroExt) {
		return content, err
	}
	return content, verifyAvro(path, content)
}

// memFile is a file that was read and verified.
type memFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func (m *memFile) Stat() (fs.FileInfo, error) { return m.info, nil }
func (m *memFile) Close() error               { return nil }

// checkLocation says whether metadata belongs to the table in whose row it was found: its folder bears the table's name.
func checkLocation(name, tableLocation, metadataLocation string) error {
	if strings.HasSuffix(strings.TrimSuffix(tableLocation, "/"), "/"+name) {
		return nil
	}
	return fmt.Errorf("%w: the row of table %s names %s, which is the metadata of %s", ErrDamaged, strconv.Quote(name), metadataLocation, tableLocation)
}

// lost says whether a table that the catalog does not know has been there before: a folder that holds more than the first version of
// its metadata. It would be empty if it were made anew, and its rows forgotten.
func (c *Catalog) lost(name string) error {
	dir := filepath.Join(c.io.root, name, "metadata")
	entries, err := c.io.fs.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if n, err := number(e.Name()); err == nil && n > 0 && strings.HasSuffix(e.Name(), ".metadata.json") {
			return fmt.Errorf("%w: %s: it does not know table %s, whose files are in %s: put the catalog back from a backup, "+
				"or move that folder away", ErrDamaged, c.path, name, filepath.Dir(dir))
		}
	}
	return nil
}
