package api

import (
	"encoding/json"
	"net/http"
	"time"

	"firth/internal/query"
)

// Warehouse is how one warehouse is, as GET /api/warehouses tells it.
type Warehouse struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Schedule string `json:"schedule"` // in words: continuous, every 1h, cron 0 * * * *, on demand
	State    string `json:"state"`    // as in /readyz
	Error    string `json:"error,omitempty"`
	Hint     string `json:"hint,omitempty"`
	// NextRun is when the next run is due; nil where none is.
	NextRun *time.Time `json:"next_run"`
	// LastRun is the run that was recorded last; nil: none is known.
	LastRun *WarehouseRun `json:"last_run"`
	// Freshness has a row for each source that is loaded into it.
	Freshness []WarehouseFreshness `json:"freshness"`
}

// WarehouseRun is the end of a run, or how far one is that goes on.
type WarehouseRun struct {
	ID         string     `json:"id"`
	State      string     `json:"state"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Rows       int64      `json:"rows"`
}

// WarehouseFreshness is how far a warehouse is behind the lake for one source; times are nil where nothing came yet.
type WarehouseFreshness struct {
	Source          string     `json:"source"`
	ReceivedThrough *time.Time `json:"received_through"`
	LoadedThrough   *time.Time `json:"loaded_through"`
	LoadedAt        *time.Time `json:"loaded_at"`
	LagSeconds      float64    `json:"lag_seconds"`
	PendingRows     int64      `json:"pending_rows"`
}

// serveWarehouses lists the warehouses, each with the sources that the user may see.
func (h *Handler) serveWarehouses(w http.ResponseWriter, r *http.Request) {
	list := []Warehouse{}
	if h.Warehouses != nil {
		list = append(list, h.Warehouses()...)
	}
	user := userOf(r)
	for i := range list {
		seen := []WarehouseFreshness{}
		for _, f := range list[i].Freshness {
			if maySee(user, f.Source) {
				seen = append(seen, f)
			}
		}
		list[i].Freshness = seen
	}
	h.send(w, map[string][]Warehouse{"warehouses": list})
}

// send answers with a small list.
func (h *Handler) send(w http.ResponseWriter, list any) {
	body, err := json.Marshal(list)
	if err != nil {
		h.fail(w, query.AsError(err))
		return
	}
	w.Header().Set("Content-Type", query.FormatJSON.MediaType())
	if _, err := w.Write(append(body, '\n')); err != nil {
		h.log().Debug("could not send a list", "error", err)
	}
}

func maySee(user query.User, schema string) bool {
	if user.Schemas == nil {
		return true
	}
	for _, s := range user.Schemas {
		if query.SchemaKey(s) == query.SchemaKey(schema) {
			return true
		}
	}
	return false
}
