// Package web is what a browser sees at the server's root.
package web

import (
	_ "embed" // index.html
	"html/template"
	"net/http"
)

//go:embed index.html
var index string

// New returns the handler of the page that says what runs here and what to try.
func New() (http.Handler, error) {
	page, err := template.New("index").Parse(index)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "GET this page", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_ = page.Execute(w, r.Host) // the reader may be gone
	}), nil
}
