package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"github.com/apache/iceberg-go"

	"firth/internal/event"
	"firth/internal/lake/rowfile"
)

// knownLetters are the dead letters of archives that the lake has: an archive that is imported again, with files more, has them again.
type knownLetters struct {
	read   bool
	hashes map[[16]byte]bool
}

// mostLetters bounds what is known of them: beyond it the same line may become two dead letters, by two imports.
const mostLetters = 1 << 20

func hashLetter(d *event.DeadLetter) [16]byte {
	h := sha256.New()
	h.Write([]byte(d.Source))
	h.Write([]byte{0})
	h.Write([]byte(d.Reason))
	h.Write([]byte{0})
	h.Write(d.Payload)
	return [16]byte(h.Sum(nil))
}

// load reads the dead letters of archives, once.
func (k *knownLetters) load(im *importing) error {
	if k.read {
		return nil
	}
	k.hashes = map[[16]byte]bool{}
	snap, err := im.dead.snapshot()
	if err != nil {
		return err
	}
	mark := []byte(`{"archive":`)
	for _, f := range snap.Files {
		err := withFile(im.l.verifier, im.l.dead, f, func(file *rowfile.File[event.DeadLetter]) error {
			return file.Scan(rowfile.Scan{Columns: []string{"source", "reason", "payload"}}, nil, func(d *event.DeadLetter) error {
				if bytes.HasPrefix(d.Payload, mark) && len(k.hashes) < mostLetters {
					k.hashes[hashLetter(d)] = true
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	k.read = true
	return nil
}

// writeLetters commits the dead letters of a step, those that are there already apart.
func (im *importing) writeLetters(ctx context.Context, s *importStep) error {
	if len(s.letters) == 0 {
		return nil
	}
	if err := im.letters.load(im); err != nil {
		return err
	}
	im.dead.flushing.Lock()
	defer im.dead.flushing.Unlock()
	position, err := im.dead.position(im.log)
	if err != nil || position >= s.to {
		return err
	}
	var rows []*event.DeadLetter
	for _, d := range s.letters {
		if im.l.suppressedLetter(d, true) {
			continue
		}
		if h := hashLetter(d); !im.letters.hashes[h] && d.Offset >= position {
			rows = append(rows, d)
			if len(im.letters.hashes) < mostLetters {
				im.letters.hashes[h] = true
			}
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := im.l.o.step("import letters"); err != nil {
		return err
	}
	sp := span{log: im.log, from: s.from, to: s.to}
	file, described, err := writeFile(im.dead, im.deadOut, dayOf(rows[0].ReceivedAt), rows, s.from)
	if err != nil {
		return err
	}
	if err := im.dead.commit(ctx, []iceberg.DataFile{described}, sp); err != nil {
		there, rerr := im.dead.landed(ctx, sp)
		if rerr != nil {
			return errors.Join(err, rerr)
		}
		if !there {
			return errors.Join(err, file.discard())
		}
		if err := im.l.catalog.Confirm(ctx); err != nil {
			return err
		}
	}
	file.release()
	return nil
}
