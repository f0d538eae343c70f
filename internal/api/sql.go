package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"firth/internal/query"
)

// maxBody bounds the body of POST /api/sql in bytes.
const maxBody = 1 << 20

// slowReader is how long, beyond the time a query may take, a client may take to read the reply.
const slowReader = 30 * time.Second

// Trailers of a streamed reply.
const (
	errorTrailer     = "Firth-Error"     // the code of the error that cut the reply
	truncatedTrailer = "Firth-Truncated" // "true" if the row cap cut it
)

// sqlRequest is the body of POST /api/sql.
type sqlRequest struct {
	SQL    string            `json:"sql"`
	Params []json.RawMessage `json:"params"`
	Format string            `json:"format"`
}

func (h *Handler) serveSQL(w http.ResponseWriter, r *http.Request) {
	req, format, err := readSQL(w, r)
	if err != nil {
		h.fail(w, query.AsError(err))
		return
	}
	res, err := h.engine.Query(r.Context(), userOf(r), req)
	if err != nil {
		h.fail(w, query.AsError(err))
		return
	}
	defer func() {
		if err := res.Close(); err != nil {
			h.log().Warn("could not clean up after a query", "error", err)
		}
	}()
	h.reply(w, format, res)
}

// readSQL reads the whole body, which is also what lets the server notice that a client goes away.
func readSQL(w http.ResponseWriter, r *http.Request) (query.Request, query.Format, error) {
	bad := func(message, hint string) *query.Error {
		return &query.Error{Code: "bad_request", Status: http.StatusBadRequest, Message: message, Hint: hint}
	}
	const example = `send {"sql": "SELECT 1", "params": [], "format": "json"}`
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		e := bad("the body could not be read", "")
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			e = bad("the body has more than 1 MiB", "put long lists of values into a table")
		}
		return query.Request{}, "", e
	}
	var in sqlRequest
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return query.Request{}, "", bad("the body is not the JSON that is due: "+err.Error(), example)
	}
	if d.More() {
		return query.Request{}, "", bad("the body goes on after its JSON object", example)
	}
	if in.SQL == "" {
		return query.Request{}, "", bad("sql is missing", example)
	}
	format := query.Accepted(r.Header.Get("Accept"))
	if in.Format != "" || format == "" {
		if format, err = query.ParseFormat(in.Format); err != nil {
			return query.Request{}, "", err
		}
	}
	params, err := query.Params(in.Params)
	return query.Request{SQL: in.SQL, Params: params}, format, err
}

// reply writes a result. What fails while the first bytes are held back is an ordinary error reply.
// Later, JSON and NDJSON carry the error in the reply itself; the other formats have no room for one, so
// the connection is broken off: a cut file must not pass for a whole one.
func (h *Handler) reply(w http.ResponseWriter, format query.Format, res *query.Result) {
	if d, ok := h.engine.(interface{ Deadline() time.Duration }); ok {
		// What has no deadline for writes, as in tests, has no client that hangs either.
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Now().Add(d.Deadline() + slowReader))
		defer func() { _ = control.SetWriteDeadline(time.Time{}) }() // the connection may serve other requests
	}
	w.Header().Set("Content-Type", format.MediaType())
	w.Header().Set("Trailer", errorTrailer+", "+truncatedTrailer)
	out := &counted{w: w}
	err := writeResult(out, format, res)
	if err == nil {
		if res.Truncated() {
			w.Header().Set(truncatedTrailer, "true")
		}
		return
	}
	var e *query.Error
	switch failed := errors.As(err, &e); {
	case failed && out.n == 0:
		h.fail(w, e)
	case failed && (format == query.FormatJSON || format == query.FormatNDJSON):
		w.Header().Set(errorTrailer, string(e.Code))
	default:
		if failed && e.Code != query.CodeCanceled {
			h.log().Warn("reply broken off", "format", format, "code", e.Code, "error", err)
		}
		panic(http.ErrAbortHandler) //nolint:forbidigo // the server's way to break a connection off
	}
}

func writeResult(w io.Writer, format query.Format, res *query.Result) error {
	switch format {
	case query.FormatNDJSON:
		return query.WriteNDJSON(w, res)
	case query.FormatCSV:
		return query.WriteCSV(w, res, "\r\n")
	case query.FormatArrow:
		return query.WriteArrow(w, res)
	case query.FormatParquet:
		return query.WriteParquet(w, res)
	default:
		return query.WriteJSON(w, res)
	}
}

// counted counts what was sent.
type counted struct {
	w io.Writer
	n int64
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
