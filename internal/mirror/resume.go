package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"firth/internal/source"
	"firth/internal/vector"
	"firth/internal/warehouse"
)

// digest stands for some rows whatever their order: their number and the sum of a hash of each.
type digest struct {
	Rows int64
	Sum  uint64
}

func (d *digest) add(hash uint64) { d.Rows++; d.Sum += hash }

func (d *digest) join(e digest) { d.Rows += e.Rows; d.Sum += e.Sum }

// MarshalJSON writes the sum as text: readers of JSON would round it.
func (d digest) MarshalJSON() ([]byte, error) {
	return json.Marshal(digestJSON{d.Rows, strconv.FormatUint(d.Sum, 16)})
}

type digestJSON struct {
	Rows int64  `json:"rows"`
	Sum  string `json:"sum"`
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *digest) UnmarshalJSON(b []byte) error {
	var j digestJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	sum, err := strconv.ParseUint(j.Sum, 16, 64)
	d.Rows, d.Sum = j.Rows, sum
	return err
}

// staged is the progress of a stage, stored with every write.
type staged struct {
	Version int            `json:"version"`
	Ranges  []source.Range `json:"ranges"`
	Done    []part         `json:"done"` // by range
	// Rejects are those that writing found so far. Unsound: there were too many to keep here, so nothing can go on with this stage.
	Rejects []warehouse.MirrorReject `json:"rejects,omitempty"`
	Unsound bool                     `json:"unsound,omitempty"`
	// Last is the write that this is stored with: what it rejected is told with the next.
	Last    *span           `json:"last,omitempty"`
	Raw     bool            `json:"raw,omitempty"`  // the digests are of tuples as PostgreSQL sends them
	Plan    json.RawMessage `json:"plan,omitempty"` // of documents
	Columns []vector.Column `json:"columns,omitempty"`
}

const (
	stagedVersion = 1
	// maxStagedRejects is how many rejects the progress carries with each write, and maxStagedBytes how many bytes of their values.
	maxStagedRejects = 1000
	maxStagedBytes   = 256 << 10
)

// span is some rows of a range, in the order in which they were read.
type span struct {
	At int   `json:"at"` // of the range
	Lo int64 `json:"lo"`
	Hi int64 `json:"hi"`
}

// part is what of a range is staged: its first rows, in the order in which they were read.
type part struct {
	Digest digest `json:"digest,omitzero"`
	Whole  bool   `json:"whole,omitempty"`
}

// readStaged reads the progress of what an earlier run left; nil where that cannot be gone on with.
func readStaged(s *warehouse.Staged, id string) *staged {
	if s == nil || s.Run != id || len(s.Progress) == 0 {
		return nil
	}
	p := new(staged)
	if json.Unmarshal(s.Progress, p) != nil || p.Version != stagedVersion || p.Unsound || len(p.Done) != len(p.Ranges) || len(p.Ranges) == 0 {
		return nil
	}
	var rows int64
	for i := range p.Done {
		rows += p.Done[i].Digest.Rows
	}
	if s.Rows >= 0 && rows != s.Rows {
		return nil
	}
	return p
}

// runID stands for everything that what is staged depends on.
func runID(parts ...any) (string, error) {
	h := sha256.New()
	for _, p := range parts {
		b, err := json.Marshal(p)
		if err != nil {
			return "", fmt.Errorf("name the run: %w", err)
		}
		fmt.Fprintf(h, "%d:%s", len(b), b)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// errAnew says that what is staged is not what the source has now: the copy begins anew.
var errAnew = errors.New("what was copied before has changed since")

// errChanged is errAnew for a range.
func errChanged(r source.Range) error {
	if r.Label == "" {
		return errAnew
	}
	return fmt.Errorf("%s: %w", r.Label, errAnew)
}
