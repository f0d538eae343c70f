package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"firth/internal/table"
)

// tablePath takes a whole table over the socket and puts it in the place of what was there.
const tablePath = "/internal/table"

// wholeTable is one table on its way to the warehouse.
type wholeTable struct {
	Schema string       `json:"schema"`
	Table  *table.Batch `json:"table"`
}

// sendTable replaces a table of the warehouse through the answering half's socket.
func sendTable(ctx context.Context, socket, schema string, t *table.Batch) error {
	body, err := json.Marshal(wholeTable{schema, t})
	if err != nil {
		return fmt.Errorf("write table %s: %w", t.Name, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://firth"+tablePath, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	transport := socketTransport(socket)
	defer transport.CloseIdleConnections()
	r, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("send table %s: %w", t.Name, err)
	}
	defer r.Body.Close()
	if r.StatusCode == http.StatusOK {
		return nil
	}
	var reply struct{ Error struct{ Message string } }
	if err := json.NewDecoder(r.Body).Decode(&reply); err != nil {
		return fmt.Errorf("send table %s: %s", t.Name, r.Status)
	}
	return fmt.Errorf("send table %s: %s", t.Name, reply.Error.Message)
}

// takeTable is the other end of sendTable.
func (w *worker) takeTable(rw http.ResponseWriter, r *http.Request) {
	a := w.answer.Load()
	if a == nil {
		writeError(rw, http.StatusServiceUnavailable, "unavailable", "the warehouse is not open", w.state.Get().Hint)
		return
	}
	var in wholeTable
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.Table == nil {
		writeError(rw, http.StatusBadRequest, "bad_request", fmt.Sprintf("no table: %v", err), "")
		return
	}
	if err := a.db.Replace(r.Context(), in.Schema, in.Table); err != nil {
		writeError(rw, http.StatusInternalServerError, "internal", err.Error(), "")
		return
	}
	writeJSON(rw, http.StatusOK, map[string]bool{"ok": true})
}
