package lake

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"firth/internal/disk"
	"firth/internal/event"
)

// ErrOtherKey says that a lake suppresses people by another key than the backup that is to be restored into it: hashes of the one mean nothing
// under the other.
var ErrOtherKey = errors.New("the lake and the backup suppress people by different keys")

// keptSuppressions are suppressions in a backup, with the key that their hashes are made with. They name nobody.
type keptSuppressions struct {
	Key  string        `json:"key"` // hexadecimal
	List []Suppression `json:"list"`
}

// kept is what a backup keeps; nil: nobody was ever suppressed.
func (s *suppressions) kept() *keptSuppressions {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		return nil
	}
	return &keptSuppressions{Key: hex.EncodeToString(s.key), List: s.list()}
}

// adopt takes over, durably, what a backup keeps, where the lake has nothing of its own. With the same key what the lake knows is newer and
// stays as it is.
func (s *suppressions) adopt(k *keptSuppressions) error {
	if k == nil {
		return nil
	}
	key, err := hex.DecodeString(k.Key)
	if err != nil || len(key) != keyBytes {
		return fmt.Errorf("%w: the key of the backup's suppressions does not have %d bytes", ErrDamaged, keyBytes)
	}
	all := map[event.Hash][]Suppression{}
	for _, one := range k.List {
		h, err := ParseHash(one.Kind, one.Hash)
		if err != nil {
			return fmt.Errorf("%w: the backup's suppressions: %w", ErrDamaged, err)
		}
		all[h] = append(all[h], one)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.all) == 0 && len(all) > 0 && (s.key == nil || bytes.Equal(s.key, key) && !s.listed()):
	case len(all) == 0 || bytes.Equal(s.key, key):
		return nil
	default:
		return fmt.Errorf("%w: restore into a fresh data folder, and purge there who was purged in %s", ErrOtherKey, s.dir)
	}
	if s.dir != "" {
		if err := disk.MakeDir(s.fs, s.dir, 0o700); err != nil {
			return err
		}
		if err := disk.WriteFile(s.fs, filepath.Join(s.dir, suppressKeyName), []byte(k.Key+"\n"), 0o600); err != nil {
			return err
		}
	}
	s.key, s.all, s.saved = key, all, false
	s.orders++
	clear(s.recent)
	return s.write()
}

// listed reports whether a list of suppressions was ever kept. mu is held.
func (s *suppressions) listed() bool {
	_, err := s.fs.Stat(filepath.Join(s.dir, suppressName))
	return err == nil
}
