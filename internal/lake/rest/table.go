package rest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"firth/internal/lake/catalog"
)

// loadTableResult is the body that the specification gives a table.
type loadTableResult struct {
	Location string            `json:"metadata-location"`
	Metadata json.RawMessage   `json:"metadata"`
	Config   map[string]string `json:"config"`
}

func (h *Handler) serveTable(w http.ResponseWriter, r *request) error {
	namespace, name := r.parts[1], r.parts[3]
	s, err := h.space(r.Context(), r.user, namespace)
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		// Spark looks for lake.production.snapshots as a table of the namespace lake.production first, and goes on where there is no such table.
		return noTable(r.user, namespace, name)
	}
	if err != nil {
		return err
	}
	if !r.user.sees(s.Namespace(), name) {
		return noTable(r.user, namespace, name)
	}
	location, err := s.Current(r.Context(), name)
	if err != nil {
		return errNoTable(err, r.user, namespace, name)
	}
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	mode := r.URL.Query().Get("snapshots")
	if mode != "" && mode != "all" && mode != "refs" {
		return fault(http.StatusBadRequest, "BadRequestException", "snapshots is all or refs, not %q", mode)
	}
	if tag := h.etag(r.user, location, mode); matches(r.Header.Get("If-None-Match"), tag) {
		w.Header().Set("ETag", tag)
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return h.sendTable(w, r, s, mode)
}

// sendTable sends a table as it is now, which may be later than what the request was compared with.
func (h *Handler) sendTable(w http.ResponseWriter, r *request, s *catalog.Catalog, mode string) error {
	t, err := s.Load(r.Context(), r.parts[3])
	if err != nil {
		return errNoTable(err, r.user, r.parts[1], r.parts[3])
	}
	text, err := json.Marshal(t.Metadata())
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	if text, err = shown(text, mode == "refs"); err != nil {
		return fmt.Errorf("metadata for a reader: %w", err)
	}
	w.Header().Set("ETag", h.etag(r.user, t.MetadataLocation(), mode))
	return reply(w, loadTableResult{t.MetadataLocation(), text, h.config(r.user)})
}

// gcEnabled is the property by which engines ask whether they may remove a table's files. Some do that without a commit, so a catalog that
// takes none is no protection: what readers are told is no.
const gcEnabled = "gc.enabled"

// shown is metadata as readers get it. With refs it has only the snapshots that branches and tags name.
func shown(text []byte, refs bool) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	properties := map[string]string{}
	if raw, ok := fields["properties"]; ok {
		if err := json.Unmarshal(raw, &properties); err != nil {
			return nil, err
		}
	}
	if properties == nil {
		properties = map[string]string{}
	}
	properties[gcEnabled] = "false"
	var err error
	if fields["properties"], err = json.Marshal(properties); err != nil {
		return nil, err
	}
	if refs {
		if err := dropUnnamed(fields); err != nil {
			return nil, err
		}
	}
	return json.Marshal(fields)
}

func dropUnnamed(fields map[string]json.RawMessage) error {
	var named map[string]struct {
		ID int64 `json:"snapshot-id"`
	}
	var all []json.RawMessage
	for name, to := range map[string]any{"refs": &named, "snapshots": &all} {
		if raw, ok := fields[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return err
			}
		}
	}
	keep := map[int64]bool{}
	for _, ref := range named {
		keep[ref.ID] = true
	}
	some := []json.RawMessage{}
	for _, raw := range all {
		var s struct {
			ID int64 `json:"snapshot-id"`
		}
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		if keep[s.ID] {
			some = append(some, raw)
		}
	}
	if len(all) == 0 {
		return nil
	}
	var err error
	fields["snapshots"], err = json.Marshal(some)
	return err
}

// config is what a reader must know to open the files of a table. It tells keys only where keys for reading are configured, whatever the
// client asks for (X-Iceberg-Access-Delegation): those that the server writes with are not known here. The keys open the whole lake, so a user
// who may see a part of it gets none.
func (h *Handler) config(user User) map[string]string {
	out, s := map[string]string{}, h.o.Store
	if s == (Store{}) {
		return out
	}
	set := func(value string, names ...string) {
		for _, name := range names {
			if value != "" {
				out[name] = value
			}
		}
	}
	set(s.Endpoint, "s3.endpoint")
	set(s.Region, "s3.region", "client.region")
	out["s3.path-style-access"] = strconv.FormatBool(s.PathStyle)
	if s.AccessKey != "" && s.SecretKey != "" && user.May == nil {
		set(s.AccessKey, "s3.access-key-id")
		set(s.SecretKey, "s3.secret-access-key")
		set(s.SessionToken, "s3.session-token")
	}
	return out
}

// etag changes with everything that the body of a table is made of.
func (h *Handler) etag(user User, location, mode string) string {
	if mode == "" {
		mode = "all"
	}
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %q", location, mode, h.config(user))))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:18]) + `"`
}

// matches says whether a header If-None-Match names a tag (RFC 9110, 13.1.2: the comparison is the weak one).
func matches(header, tag string) bool {
	for part := range strings.SplitSeq(header, ",") {
		if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
			return true
		}
	}
	return false
}
