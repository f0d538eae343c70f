package iceberg

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// safeLength bounds the names of folders.
const safeLength = 80

// safeName is a name as that of a folder, which every file system, store and engine takes: one that has other characters than letters of
// ASCII, digits and underscores, or that is long, gets a part of its checksum.
func safeName(name string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, name)
	if safe == name && len(safe) <= safeLength && safe != "" {
		return safe
	}
	sum := sha256.Sum256([]byte(name))
	return safe[:min(len(safe), safeLength)] + "-" + hex.EncodeToString(sum[:4])
}
