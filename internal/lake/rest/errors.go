package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Error is a refusal in the specification's words: the status, the name of the exception that clients raise for it, and a sentence.
type Error struct {
	Status  int
	Type    string
	Message string

	allow string
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

func fault(status int, kind, format string, args ...any) *Error {
	return &Error{Status: status, Type: kind, Message: fmt.Sprintf(format, args...)}
}

// WriteError answers with an error in the body that the specification gives (ErrorModel).
func WriteError(w http.ResponseWriter, e *Error) {
	if e.allow != "" {
		w.Header().Set("Allow", e.allow)
	}
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	type inner struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Code    int    `json:"code"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(map[string]inner{"error": {e.Message, e.Type, e.Status}}) // the client may be gone
}

func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = h.broken(r, err)
	}
	WriteError(w, e)
}

// reply sends an answer.
func reply(w http.ResponseWriter, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(body, '\n')) // the client may be gone
	return nil
}
