package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"firth/internal/config"
	"firth/internal/state"
)

// running asks the server that has the data folder how it is.
func running(ctx context.Context, cfg *config.Config) Finding {
	f := Finding{What: "server"}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		f.Found = err.Error()
		return f
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		f.Found = err.Error()
		return f
	}
	r, err := http.DefaultClient.Do(req)
	if err != nil {
		f.Found, f.Hint = err.Error(), "the server that has the data folder does not answer at listen: it may run with another configuration"
		return f
	}
	defer r.Body.Close()
	var body struct {
		Ready      bool
		Components []state.Component
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		f.Found = fmt.Sprintf("%s answers, but not as Firth does: %v", cfg.Listen, err)
		return f
	}
	f.OK, f.Found = body.Ready, "accepts writes"
	if !body.Ready {
		f.Found = "refuses writes"
	}
	var hints []string
	for _, c := range body.Components {
		if c.State != state.OK {
			f.OK = f.OK && c.State == state.Starting
			f.Found += fmt.Sprintf("\n%s is %s: %s", c.Name, c.State, strings.Join(strings.Fields(c.Error), " "))
			if c.Hint != "" {
				hints = append(hints, c.Hint)
			}
		}
	}
	f.Hint = strings.Join(hints, "\n")
	return f
}
