package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"

	"firth/internal/config"
	"firth/internal/mirror"
	"firth/internal/source"
	"firth/internal/source/dial"
)

// sourceKind is what this build can do with one kind of thing that mirrors read.
type sourceKind struct {
	open func(ctx context.Context, url string, spec source.Spec, o source.Options) (mirror.Source, error)
	// check connects and diagnoses, and changes nothing; nil: there is nothing beside what a block reads.
	check func(ctx context.Context, url string, o source.Options) []source.Finding
}

// databases opens what blocks read. SSH servers are connected to once and shared. It is safe for use by several goroutines.
type databases struct {
	cfg   *config.Config
	kinds map[string]sourceKind
	log   *slog.Logger

	mu      sync.Mutex
	tunnels map[string]*dial.Tunnel
}

func newDatabases(cfg *config.Config, kinds map[string]sourceKind, log *slog.Logger) *databases {
	return &databases{cfg: cfg, kinds: kinds, log: log, tunnels: map[string]*dial.Tunnel{}}
}

// open opens what a block reads. The source is the caller's to close.
func (d *databases) open(ctx context.Context, b *config.Block, spec source.Spec, concurrency int) (mirror.Source, error) {
	k, ok := d.kinds[b.Kind]
	if !ok {
		return nil, hint(fmt.Errorf("reading %s is not in this build", b.Kind), "install a build that has it: firth version")
	}
	o, err := d.options(b.Database)
	if err != nil {
		return nil, err
	}
	o.Concurrency = concurrency
	if b.Database == "" {
		o.Name = b.Kind
	}
	return k.open(ctx, string(d.cfg.Databases[b.Database].URL), spec, o)
}

// options are those of a database; of none where a block needs none.
func (d *databases) options(name string) (source.Options, error) {
	o := source.Options{Name: name, Log: d.log}
	db, ok := d.cfg.Databases[name]
	if !ok {
		return o, nil
	}
	o.CA = db.CA
	if db.CA != "" {
		if err := dial.CheckCA(db.CA); err != nil {
			return o, err
		}
	}
	if db.SSH == nil {
		return o, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tunnels[name]
	if t == nil {
		var err error
		t, err = dial.SSH(dial.Server{
			Address: db.SSH.Host, User: db.SSH.User, KeyFile: db.SSH.Key, Password: string(db.SSH.Password), KnownHosts: db.SSH.KnownHosts,
		})
		if err != nil {
			return o, err
		}
		d.tunnels[name] = t
	}
	o.Dial = t.DialContext
	return o, nil
}

// close ends the connections to SSH servers.
func (d *databases) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all error
	for name, t := range d.tunnels {
		all = errors.Join(all, t.Close())
		delete(d.tunnels, name)
	}
	return all
}

// place is where a database is, without what logs in; empty where that cannot be told apart.
func place(address config.Secret) string {
	u, err := url.Parse(string(address))
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.Path
}
