package window

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
	"sort"

	"firth/internal/disk"
)

// A generation file is a header, a Bloom filter, the fences (the first eight bytes of the first id of each block) and the
// blocks of entries sorted by id. Every part ends with the CRC32C of what it holds; numbers are little-endian, fences
// big-endian numbers of the ids' own bytes. docs/lake-format.md has the table.
const (
	magic        = "FirthIDs"
	version      = 1
	headerBytes  = 256
	maxLogBytes  = 64
	entryBytes   = len(ID{}) + 8
	blockEntries = 128
	blockBytes   = blockEntries*entryBytes + crcBytes
	crcBytes     = 4
	maxFilter    = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type header struct {
	count                    uint64
	minOffset, endOffset     uint64 // of the ids of this log; equal when there are none
	minReceived, maxReceived int64
	filterBytes              uint64
	log                      string
}

func (h *header) blocks() int { return int((h.count + blockEntries - 1) / blockEntries) }

func (h *header) encode() []byte {
	b := append(make([]byte, 0, headerBytes), magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, blockEntries)
	for _, v := range []uint64{h.count, h.minOffset, h.endOffset, uint64(h.minReceived), uint64(h.maxReceived), h.filterBytes} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(append(b, byte(len(h.log))), h.log...)
	b = append(b, make([]byte, headerBytes-crcBytes-len(b))...)
	return appendCRC(b)
}

func decodeHeader(b []byte) (header, error) {
	var h header
	body, err := checkCRC(b)
	if err != nil {
		return h, err
	}
	if string(body[:8]) != magic {
		return h, fmt.Errorf("%w: not a file of ids", ErrCorrupt)
	}
	if v := binary.LittleEndian.Uint32(body[8:]); v != version {
		return h, newer(int(v))
	}
	if binary.LittleEndian.Uint32(body[12:]) != blockEntries {
		return h, fmt.Errorf("%w: unknown block size", ErrCorrupt)
	}
	at := func(i int) uint64 { return binary.LittleEndian.Uint64(body[16+8*i:]) }
	h = header{
		count: at(0), minOffset: at(1), endOffset: at(2),
		minReceived: int64(at(3)), maxReceived: int64(at(4)), filterBytes: at(5),
	}
	n := int(body[64])
	if n > maxLogBytes || h.count > math.MaxInt32 || h.filterBytes > maxFilter || h.filterBytes%filterBlock != 0 || h.filterBytes == 0 {
		return h, fmt.Errorf("%w: header out of bounds", ErrCorrupt)
	}
	h.log = string(body[65 : 65+n])
	return h, nil
}

func appendCRC(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func checkCRC(b []byte) ([]byte, error) {
	body := b[:len(b)-crcBytes]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, fmt.Errorf("%w: checksum", ErrCorrupt)
	}
	return body, nil
}

type entry struct {
	id     ID
	offset uint64
}

// writeGeneration writes a generation durably under its name.
func writeGeneration(fsys disk.FS, name, log string, ids map[ID]uint64, oldest, newest int64) error {
	if len(log) > maxLogBytes {
		return fmt.Errorf("name of the log is longer than %d bytes", maxLogBytes)
	}
	entries := make([]entry, 0, len(ids))
	for id, offset := range ids {
		entries = append(entries, entry{id, offset})
	}
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.id[:], b.id[:]) })
	f := newFilter(len(entries))
	for i := range entries {
		f.add(entries[i].id)
	}
	lo, end := bounds(ids)
	h := header{
		count: uint64(len(entries)), minOffset: lo, endOffset: end,
		minReceived: oldest, maxReceived: newest, filterBytes: uint64(len(f)), log: log,
	}
	return disk.Replace(fsys, name, 0o644, func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 256<<10)
		var fences []byte
		for block := range slices.Chunk(entries, blockEntries) {
			fences = append(fences, block[0].id[:8]...)
		}
		for _, part := range [][]byte{h.encode(), appendCRC(f), appendCRC(fences)} {
			if _, err := out.Write(part); err != nil {
				return err
			}
		}
		var b []byte
		for block := range slices.Chunk(entries, blockEntries) {
			b = b[:0]
			for i := range block {
				b = append(b, block[i].id[:]...)
				b = binary.LittleEndian.AppendUint64(b, block[i].offset)
			}
			if _, err := out.Write(appendCRC(b)); err != nil {
				return err
			}
		}
		return out.Flush()
	})
}

// generation is an open file of ids.
type generation struct {
	name   string
	file   disk.File
	header header
	filter filter
	fences []uint64
	data   int64 // where the blocks begin
	buf    []byte
}

func openGeneration(fsys disk.FS, name string) (g *generation, err error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("open dedup window: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	g = &generation{name: name, file: f, buf: make([]byte, blockBytes)}
	b, err := g.read(make([]byte, headerBytes), 0)
	if err != nil {
		return nil, err
	}
	if g.header, err = decodeHeader(b); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("stat dedup window: %w", err)
	}
	h := &g.header
	g.data = headerBytes + int64(h.filterBytes) + crcBytes + int64(8*h.blocks()) + crcBytes
	if info.Size() != g.data+int64(h.count)*int64(entryBytes)+int64(h.blocks()*crcBytes) {
		return nil, fmt.Errorf("%w: %s has the wrong length", ErrCorrupt, name)
	}
	b, err = g.part(int(h.filterBytes), headerBytes)
	if err != nil {
		return nil, err
	}
	g.filter = filter(b)
	b, err = g.part(8*h.blocks(), headerBytes+int64(h.filterBytes)+crcBytes)
	if err != nil {
		return nil, err
	}
	for i := range h.blocks() {
		g.fences = append(g.fences, binary.BigEndian.Uint64(b[8*i:]))
	}
	return g, nil
}

func (g *generation) read(b []byte, at int64) ([]byte, error) {
	if _, err := g.file.ReadAt(b, at); err != nil && (!errors.Is(err, io.EOF) || len(b) == 0) {
		return nil, fmt.Errorf("read dedup window: %w", err)
	} else if err != nil {
		return nil, fmt.Errorf("%w: %s is cut short", ErrCorrupt, g.name)
	}
	return b, nil
}

// part reads n bytes that a checksum follows.
func (g *generation) part(n int, at int64) ([]byte, error) {
	b, err := g.read(make([]byte, n+crcBytes), at)
	if err != nil {
		return nil, err
	}
	body, err := checkCRC(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g.name, err)
	}
	return body[:n:n], nil
}

// block reads the entries of a block; they are good until the next call.
func (g *generation) block(i int) ([]byte, error) {
	n := min(blockEntries, int(g.header.count)-i*blockEntries)*entryBytes + crcBytes
	b, err := g.read(g.buf[:n], g.data+int64(i)*int64(blockBytes))
	if err != nil {
		return nil, err
	}
	body, err := checkCRC(b)
	if err != nil {
		return nil, fmt.Errorf("%s block %d: %w", g.name, i, err)
	}
	return body, nil
}

// find looks for an id in the blocks; the filter was asked before.
func (g *generation) find(id ID) (offset uint64, ok bool, err error) {
	key := binary.BigEndian.Uint64(id[:])
	// The id lies in the last block whose fence is not above it, or, where fences are equal, in one before.
	i := sort.Search(len(g.fences), func(i int) bool { return g.fences[i] > key }) - 1
	for ; i >= 0; i-- {
		b, err := g.block(i)
		if err != nil {
			return 0, false, err
		}
		n := len(b) / entryBytes
		at := sort.Search(n, func(j int) bool { return bytes.Compare(b[j*entryBytes:j*entryBytes+len(id)], id[:]) >= 0 })
		if at < n && ID(b[at*entryBytes:]) == id {
			return binary.LittleEndian.Uint64(b[at*entryBytes+len(id):]), true, nil
		}
		if g.fences[i] < key {
			break
		}
	}
	return 0, false, nil
}

func (g *generation) each(fn func(ID, uint64)) error {
	for i := range g.header.blocks() {
		b, err := g.block(i)
		if err != nil {
			return err
		}
		for ; len(b) > 0; b = b[entryBytes:] {
			fn(ID(b), binary.LittleEndian.Uint64(b[len(ID{}):]))
		}
	}
	return nil
}

func (g *generation) close() error { return g.file.Close() }
