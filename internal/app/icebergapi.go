package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"firth/internal/config"
	"firth/internal/disk"
	"firth/internal/lake"
	"firth/internal/lake/catalog"
	"firth/internal/lake/rest"
	"firth/internal/object"
	"firth/internal/query"
)

// tablesDoor answers what comes for /iceberg, whether the embedded warehouse is open or not. The catalog is opened by the first request, and again
// by the next where that failed. It is safe for use by many goroutines.
type tablesDoor struct {
	cfg *config.Config
	dir folders
	log *slog.Logger

	mu    sync.Mutex
	open  http.Handler // nil until it is open
	close func() error
}

func newTablesDoor(cfg *config.Config, dir folders, log *slog.Logger) *tablesDoor {
	return &tablesDoor{cfg: cfg, dir: dir, log: log.With("component", "iceberg")}
}

// forTables says whether a path is of the Iceberg catalog.
func forTables(path string) bool { return path == rest.Root || strings.HasPrefix(path, rest.Root+"/") }

func (d *tablesDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, err := d.handler(r.Context())
	if err != nil {
		d.log.Error("the catalog cannot be opened for other engines", "error", err)
		refuseTables(w, http.StatusServiceUnavailable, "ServiceUnavailableException", "the catalog cannot be opened; the server's log says why")
		return
	}
	h.ServeHTTP(w, r)
}

// refuseTables answers a request for the Iceberg catalog in words that its clients understand.
func refuseTables(w http.ResponseWriter, status int, kind, message string) {
	rest.WriteError(w, &rest.Error{Status: status, Type: kind, Message: message})
}

func (d *tablesDoor) handler(ctx context.Context) (http.Handler, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil {
		return d.open, nil
	}
	// What is opened outlives the request.
	place, err := openPlace(context.WithoutCancel(ctx), d.cfg, d.dir)
	if err != nil {
		return nil, err
	}
	c, err := openTables(context.WithoutCancel(ctx), place)
	if err != nil {
		return nil, errors.Join(err, place.close())
	}
	key, err := tokenKey(filepath.Join(d.dir.root, "iceberg.key"))
	if err != nil {
		return nil, errors.Join(err, c.Close(), place.close())
	}
	store, err := storeOf(d.cfg)
	if err != nil {
		return nil, errors.Join(err, c.Close(), place.close())
	}
	d.open = rest.New(rest.Options{Catalog: c, Users: tableUsers(d.cfg), Store: store, Key: key, Log: d.log})
	d.close = func() error { return errors.Join(c.Close(), place.close()) }
	return d.open, nil
}

// end gives up what was opened. Nobody asks any more.
func (d *tablesDoor) end() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		return nil
	}
	d.open = nil
	return d.close()
}

// openTables opens the catalog of a lake for reading.
func openTables(ctx context.Context, place *lakePlace) (*catalog.Catalog, error) {
	fsys := place.FS
	if fsys == nil {
		fsys = disk.OS{}
	}
	files, err := catalog.NewFileIOAt(fsys, place.Dir, place.URL)
	if err != nil {
		return nil, err
	}
	return catalog.Open(ctx, catalog.Options{
		Path: place.Catalog, Server: place.Server, Name: lake.CatalogName, Namespace: lake.Namespace, IO: files, ReadOnly: true,
	})
}

// tokenKey is the key that tokens are signed with; it is made where it is missing. Without the file every token that was handed out is void.
func tokenKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) == rest.KeyLen {
		return key, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("key of the tokens: %w", err)
	}
	key = make([]byte, rest.KeyLen)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("make the key of the tokens: %w", err)
	}
	whole := path + ".tmp"
	if err := os.WriteFile(whole, key, 0o600); err != nil {
		return nil, fmt.Errorf("key of the tokens: %w", err)
	}
	return key, os.Rename(whole, path)
}

func tableUsers(cfg *config.Config) []rest.User {
	var users []rest.User
	for n, u := range cfg.Users {
		user := rest.User{Name: n, Password: string(u.Password), Token: string(u.Token)}
		if u.Schemas != nil {
			user.May = func(schema string) bool {
				return slices.ContainsFunc(u.Schemas, func(s string) bool { return query.SchemaKey(s) == query.SchemaKey(schema) })
			}
		}
		users = append(users, user)
	}
	return users
}

// storeOf is what readers must know of the object store of a lake; nothing for a lake on local disk.
func storeOf(cfg *config.Config) (rest.Store, error) {
	u, err := url.Parse(cfg.Lake.URL)
	if err != nil {
		return rest.Store{}, errors.New("lake.url is no URL")
	}
	if u.Scheme != "s3" {
		return rest.Store{}, nil
	}
	a, err := object.Parse(cfg.Lake.URL)
	if err != nil {
		return rest.Store{}, fmt.Errorf("lake.url: %w", err)
	}
	keys := cfg.Lake.Readers
	return rest.Store{
		Endpoint: u.Query().Get("endpoint"), PathStyle: a.PathStyle(), Region: a.Region,
		AccessKey: string(keys.AccessKey), SecretKey: string(keys.SecretKey), SessionToken: string(keys.SessionToken),
	}, nil
}
