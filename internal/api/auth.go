package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"

	"firth/internal/query"
)

// user says who asks; not ok if that is nobody who may. How long it takes tells nothing of names and
// passwords: all are compared, by digests of equal length.
func (h *Handler) user(r *http.Request) (query.User, bool) {
	if len(h.users) == 0 || h.Trust != nil && h.Trust(r) {
		return query.User{Name: "everyone"}, true
	}
	name, password, given := r.BasicAuth()
	found := -1
	for i, u := range h.users {
		if equal(u.Name, name)&equal(u.Password, password) == 1 && u.Password != "" {
			found = i
		}
	}
	if !given || found < 0 {
		return query.User{}, false
	}
	return query.User{Name: h.users[found].Name, Schemas: h.users[found].Schemas}, true
}

func equal(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
