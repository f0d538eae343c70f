package rest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// user says who asks; not ok if that is nobody who may. How long it takes tells nothing of names, passwords and tokens: all are compared, by
// digests of equal length. Without users any header will do: PyIceberg without a token sends "Bearer None".
func (h *Handler) user(r *http.Request) (User, bool) {
	if len(h.o.Users) == 0 {
		return User{}, true
	}
	if name, password, ok := r.BasicAuth(); ok {
		return h.login(name, password)
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		return User{}, false
	}
	return h.bearer(strings.TrimSpace(token))
}

// login finds a user by name and password.
func (h *Handler) login(name, password string) (User, bool) {
	found := -1
	for i, u := range h.o.Users {
		if equal(u.Name, name)&equal(u.Password, password) == 1 && u.Password != "" {
			found = i
		}
	}
	if found < 0 {
		return User{}, false
	}
	return h.o.Users[found], true
}

// bearer finds a user by a token: one of the configuration, or one that was handed out.
func (h *Handler) bearer(token string) (User, bool) {
	found := -1
	for i, u := range h.o.Users {
		if equal(u.Token, token) == 1 && u.Token != "" {
			found = i
		}
	}
	if found >= 0 {
		return h.o.Users[found], true
	}
	name, ok := tokenName(token)
	if !ok {
		return User{}, false
	}
	for _, u := range h.o.Users {
		if u.Name == name && h.signed(u, token) {
			return u, true
		}
	}
	return User{}, false
}

func equal(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}

// The grants of RFC 6749 and RFC 8693 that are understood, and the one kind of token there is.
const (
	grantCredentials = "client_credentials"
	grantExchange    = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType  = "urn:ietf:params:oauth:token-type:access_token"
)

// maxForm bounds the body of a request for a token.
const maxForm = 64 << 10

// serveToken hands out a token for a name and a password, or for a token that is good still.
func (h *Handler) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		e := fault(http.StatusMethodNotAllowed, "MethodNotAllowedException", "%s takes POST", r.URL.Path)
		e.allow = http.MethodPost
		WriteError(w, e)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		refuseToken(w, http.StatusBadRequest, "invalid_request", "the body is no form of at most 64 KiB")
		return
	}
	var user User
	var ok bool
	switch grant := r.PostForm.Get("grant_type"); grant {
	case grantCredentials:
		name, password := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
		if n, p, basic := r.BasicAuth(); basic && name == "" {
			name, password = n, p
		}
		user, ok = h.login(name, password)
	case grantExchange:
		user, ok = h.bearer(r.PostForm.Get("subject_token"))
	default:
		refuseToken(w, http.StatusBadRequest, "unsupported_grant_type", "grant_type is client_credentials, with a user of firth.yaml as client_id and the password as client_secret")
		return
	}
	if len(h.o.Users) == 0 {
		ok = true
	}
	if !ok {
		refuseToken(w, http.StatusUnauthorized, "invalid_client", "name and password are missing or wrong: client_id is a user of users: in firth.yaml, client_secret the password")
		return
	}
	token, err := h.newToken(user)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if err := reply(w, struct {
		Token  string `json:"access_token"`
		Type   string `json:"token_type"`
		Issued string `json:"issued_token_type"`
		Life   int    `json:"expires_in"`
		Scope  string `json:"scope"`
	}{token, "bearer", accessTokenType, int(tokenLife / time.Second), "catalog"}); err != nil {
		h.fail(w, r, err)
	}
}

// refuseToken answers as RFC 6749, 5.2 says.
func refuseToken(w http.ResponseWriter, status int, code, words string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="firth", charset="UTF-8"`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": words}) // the client may be gone
}
