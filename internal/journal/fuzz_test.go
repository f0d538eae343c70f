package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"firth/internal/disk/disktest"
	"firth/internal/journal"
)

// FuzzRecover opens a journal whose only segment is arbitrary bytes, or a real one with changes: each 5 bytes of edits are a
// position and what is xored there, and cut is taken off the end. It never panics, refuses in words, and whatever it reads
// back is a beginning of what was written.
func FuzzRecover(f *testing.F) {
	const segments = 3
	fsys, written := written(f)
	var valid [segments][]byte
	for i := range valid {
		valid[i] = fsys.Content(segment(i + 1))
		f.Add(valid[i], []byte{}, uint16(0))
	}
	f.Add([]byte{}, []byte{}, uint16(0))
	f.Add([]byte{}, []byte{1, 0, 0, 0, 0xff}, uint16(3))
	f.Add([]byte{}, []byte{150, 0, 0, 0, 1, 90, 1, 0, 0, 8}, uint16(40))
	f.Add(journal.NewerSegment(), []byte{}, uint16(0))
	f.Fuzz(func(t *testing.T, raw, edits []byte, cut uint16) {
		damaged := disktest.New()
		if len(raw) > 0 {
			damaged.SetContent(segment(1), raw)
		} else {
			spoil(damaged, valid[:], edits, int(cut))
		}
		_, frames, err := openAndRead(t, damaged)
		var damage *journal.DamageError
		var newer *journal.VersionError
		if err != nil && !errors.As(err, &damage) && !errors.As(err, &newer) {
			t.Fatalf("an error without a place: %v", err)
		}
		if len(raw) > 0 {
			return
		}
		for i, got := range frames {
			want := written[i]
			if got.Offset != want.Offset || got.Count != want.Count || got.ReceivedAt != want.ReceivedAt || !bytes.Equal(got.Payload, want.Payload) {
				t.Fatalf("frame %d: read %v, written %v", i, got, want)
			}
		}
	})
}

// spoil puts segments there with the edits made and the last one cut short.
func spoil(fsys *disktest.FS, valid [][]byte, edits []byte, cut int) {
	var all []byte
	var ends []int
	for _, content := range valid {
		all = append(all, content...)
		ends = append(ends, len(all))
	}
	for ; len(edits) >= 5; edits = edits[5:] {
		all[int(binary.LittleEndian.Uint32(edits))%len(all)] ^= edits[4]
	}
	begin := 0
	for i, end := range ends {
		content := slices.Clone(all[begin:end])
		if i == len(ends)-1 {
			content = content[:len(content)-cut%(len(content)+1)]
		}
		fsys.SetContent(segment(i+1), content)
		begin = end
	}
}
