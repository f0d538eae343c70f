package rest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"
)

// A token is "firth." and, in base64url without padding, when it ends (8 bytes, Unix seconds, big-endian), 8 random bytes, a MAC (32 bytes,
// HMAC-SHA256) and the user's name. The MAC is over all else and a digest of the password, so that a password that was changed ends the tokens that
// were given for it. Nothing is kept of a token.
const (
	tokenMark = "firth."
	tokenLife = time.Hour
	endLen    = 8
	noiseLen  = 8
	macLen    = sha256.Size
	// KeyLen is the length in bytes of a good [Options.Key].
	KeyLen = 32
)

func (h *Handler) newToken(u User) (string, error) {
	head := binary.BigEndian.AppendUint64(nil, uint64(h.o.Now().Add(tokenLife).Unix()))
	noise := make([]byte, noiseLen)
	from := h.o.Rand
	if from == nil {
		from = rand.Reader
	}
	if _, err := io.ReadFull(from, noise); err != nil {
		return "", fmt.Errorf("make a token: %w", err)
	}
	head = append(head, noise...)
	text := append(head, h.mac(u, head)...)
	return tokenMark + base64.RawURLEncoding.EncodeToString(append(text, u.Name...)), nil
}

func (h *Handler) mac(u User, head []byte) []byte {
	password := sha256.Sum256([]byte(u.Password))
	m := hmac.New(sha256.New, h.o.Key)
	m.Write(head)
	m.Write(password[:])
	m.Write([]byte(u.Name))
	return m.Sum(nil)
}

// openToken takes a token apart; not ok if it cannot be one.
func openToken(token string) (text []byte, ok bool) {
	packed, ok := strings.CutPrefix(token, tokenMark)
	if !ok {
		return nil, false
	}
	text, err := base64.RawURLEncoding.DecodeString(packed)
	return text, err == nil && len(text) >= endLen+noiseLen+macLen
}

// tokenName is the user that a token claims to be of.
func tokenName(token string) (string, bool) {
	text, ok := openToken(token)
	if !ok {
		return "", false
	}
	return string(text[endLen+noiseLen+macLen:]), true
}

// signed says whether a token was given to the user, and has not ended.
func (h *Handler) signed(u User, token string) bool {
	text, ok := openToken(token)
	if !ok || len(h.o.Key) < KeyLen {
		return false
	}
	head, mac := text[:endLen+noiseLen], text[endLen+noiseLen:endLen+noiseLen+macLen]
	if !hmac.Equal(mac, h.mac(u, head)) {
		return false
	}
	return h.o.Now().Unix() < int64(binary.BigEndian.Uint64(head[:endLen]))
}
