package app

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firth/internal/disk"
	"firth/internal/lake"
)

// purgeRequest says who is to be forgotten. It names people: it is sent over a socket that only the owner can reach, and lies in the file of
// the job until that is done.
type purgeRequest struct {
	Users      []string      `json:"users,omitempty"`
	Anonymous  []string      `json:"anonymous,omitempty"`
	Where      string        `json:"where,omitempty"`
	Source     string        `json:"source,omitempty"`
	Mentions   bool          `json:"mentions,omitempty"`
	NoSuppress bool          `json:"no_suppress,omitempty"`
	Grace      time.Duration `json:"grace"` // nanoseconds
}

// same reports whether another request asks for the same.
func (r *purgeRequest) same(o *purgeRequest) bool {
	return slices.Equal(r.Users, o.Users) && slices.Equal(r.Anonymous, o.Anonymous) && r.Where == o.Where && r.Source == o.Source &&
		r.Mentions == o.Mentions && r.NoSuppress == o.NoSuppress
}

// suppresses reports whether calls that come later are not stored.
func (r *purgeRequest) suppresses() bool { return !r.NoSuppress && len(r.Users)+len(r.Anonymous) > 0 }

// The steps of a purge, in their order. A step that was begun is taken again after a kill.
const (
	purgeRecord  = "record"
	purgeJournal = "journal"
	purgeLake    = "lake"
	purgeForget  = "warehouses"
	purgeGrace   = "grace"
	purgeDone    = "done"
)

const purgeVersion = 1

// purgeJob is a purge as it is kept in <data>/purge/<id>.json. Once it is done it names nobody and is the receipt.
type purgeJob struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended,omitzero"`
	Step    string    `json:"step"`

	Request *purgeRequest       `json:"request,omitempty"` // nil once it is done
	Rows    map[string][]string `json:"rows,omitempty"`    // message ids by table that go too; the same

	Log        string    `json:"journal,omitempty"` // and the offset from which on it holds
	Offset     uint64    `json:"offset"`
	SweepAfter time.Time `json:"sweep_after,omitzero"`

	Suppressed []purgeHash       `json:"suppressed,omitempty"`
	Who        []purgeHash       `json:"who"` // keyed hashes of the ids
	Source     string            `json:"source,omitempty"`
	Mentions   bool              `json:"mentions_too,omitempty"`
	Where      bool              `json:"where,omitempty"`
	Lake       *lake.PurgeReport `json:"lake,omitempty"`
	Linked     int               `json:"linked_anonymous_ids,omitempty"`
	Warehouses forgetReport      `json:"warehouses"`
	Removed    *lake.Buried      `json:"removed_files,omitempty"`
	Notices    []string          `json:"notices,omitempty"`
}

// purgeHash stands for an id: HMAC-SHA256 with the key in <data>/purge/key.
type purgeHash struct {
	Kind string `json:"kind"`
	Hash string `json:"hash"`
}

// purge is the folder of purges.
func (f folders) purge() string { return filepath.Join(f.root, "purge") }

// newPurgeID names a purge; it tells of nobody.
func newPurgeID(now time.Time) (string, error) {
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("name a purge: %w", err)
	}
	return now.UTC().Format("20060102-150405-") + hex.EncodeToString(b[:]), nil
}

// purgeBox reads and writes the files of purges.
type purgeBox struct{ dir string }

func (b purgeBox) path(id string) string { return filepath.Join(b.dir, id+".json") }

// save makes a job durable. What stood in the file before is gone from the folder.
func (b purgeBox) save(j *purgeJob) error {
	text, err := json.MarshalIndent(j, "", " ")
	if err != nil {
		return fmt.Errorf("write purge: %w", err)
	}
	if err := disk.MakeDir(disk.OS{}, b.dir, 0o700); err != nil {
		return err
	}
	return disk.WriteFile(disk.OS{}, b.path(j.ID), append(text, '\n'), 0o600)
}

// read reads a job; errNoPurge: there is none of that name.
func (b purgeBox) read(id string) (*purgeJob, error) {
	if id != filepath.Base(id) || strings.HasPrefix(id, ".") {
		return nil, fmt.Errorf("%w: %s", errNoPurge, id)
	}
	text, err := os.ReadFile(b.path(id))
	if errors.Is(err, os.ErrNotExist) {
		return nil, hint(fmt.Errorf("%w: %s", errNoPurge, id), "firth lake purge --list shows those that there are")
	}
	if err != nil {
		return nil, fmt.Errorf("read purge: %w", err)
	}
	j := &purgeJob{}
	if err := json.Unmarshal(text, j); err != nil {
		return nil, fmt.Errorf("read purge %s: %w", b.path(id), err)
	}
	if j.Version != purgeVersion {
		return nil, fmt.Errorf("purge %s has version %d and this version of Firth reads %d: run the version that wrote it, or a newer one", id, j.Version, purgeVersion)
	}
	return j, nil
}

var errNoPurge = errors.New("there is no such purge")

// names of files in the folder that are no purges.
var notPurges = []string{"suppressed.json"} //nolint:gochecknoglobals // a constant list

// all are the jobs, the oldest first.
func (b purgeBox) all() ([]*purgeJob, error) {
	entries, err := os.ReadDir(b.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list purges: %w", err)
	}
	var out []*purgeJob
	for _, e := range entries {
		id, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok || slices.Contains(notPurges, e.Name()) {
			continue
		}
		j, err := b.read(id)
		if err != nil {
			return nil, err
		}
		out = append(out, j)
	}
	slices.SortFunc(out, func(x, y *purgeJob) int { return x.Began.Compare(y.Began) })
	return out, nil
}

// pending are those that are not done.
func (b purgeBox) pending() ([]*purgeJob, error) {
	all, err := b.all()
	return slices.DeleteFunc(all, func(j *purgeJob) bool { return j.Step == purgeDone }), err
}
