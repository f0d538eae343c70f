package api

import (
	"net/http"
	"time"
)

// Mirror is how one mirror is, as GET /api/mirrors tells it.
type Mirror struct {
	Name      string `json:"name"`
	Warehouse string `json:"warehouse"`
	Schema    string `json:"schema"`
	Table     string `json:"table"`
	Mode      string `json:"mode"`     // replace, append, upsert, or list/get
	Source    string `json:"source"`   // the kind that is read: postgres, or mongodb/redis for a list and a get
	Schedule  string `json:"schedule"` // in words: every 15m, cron 0 * * * *, on demand; of a list and a get both
	State     string `json:"state"`    // as in /readyz
	Error     string `json:"error,omitempty"`
	Hint      string `json:"hint,omitempty"`
	// Running says whether a run goes on.
	Running bool `json:"running"`
	// Rows are those that the last run read; nil: none has ended since the start.
	Rows *int64 `json:"rows"`
	// NextRun is when the next run is due; nil where none is.
	NextRun *time.Time `json:"next_run"`
	// LastRun is the run that was recorded last; nil: none is known.
	LastRun *WarehouseRun `json:"last_run"`
}

// serveMirrors lists the mirrors whose schema the user may see.
func (h *Handler) serveMirrors(w http.ResponseWriter, r *http.Request) {
	list := []Mirror{}
	if h.Mirrors != nil {
		user := userOf(r)
		for _, m := range h.Mirrors() {
			if maySee(user, m.Schema) {
				list = append(list, m)
			}
		}
	}
	h.send(w, map[string][]Mirror{"mirrors": list})
}
