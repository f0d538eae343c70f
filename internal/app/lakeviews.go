package app

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"firth/internal/disk"
	"firth/internal/load"
)

// viewsOf are the views of the lake that a loader keeps. Those of a lake at an object store name files that are held in the cache.
func viewsOf(views load.Views, place *lakePlace, deadline time.Duration, log *slog.Logger) load.Views {
	if place.remoteFS() == nil {
		return views
	}
	return &heldViews{Views: views, fs: place.FS, deadline: deadline, log: log, held: map[string]map[string]held{}, now: time.Now}
}

// heldViews brings the files that a view names here, and holds them for as long as the view names them, and those who read it may.
type heldViews struct {
	load.Views
	fs       disk.FS
	deadline time.Duration // of a statement
	log      *slog.Logger
	now      func() time.Time

	mu   sync.Mutex
	held map[string]map[string]held // by view, by path
	old  []retired
}

type held struct {
	local   string
	release func()
}

// retired is a file that no view names any more.
type retired struct {
	release func()
	until   time.Time
}

// SetLakeFiles implements load.Views.
func (v *heldViews) SetLakeFiles(ctx context.Context, name string, files []string) error {
	return v.set(ctx, "lake "+name, files, func(local []string) error { return v.Views.SetLakeFiles(ctx, name, local) })
}

// SetDeadLetterFiles implements load.Views.
func (v *heldViews) SetDeadLetterFiles(ctx context.Context, files []string) error {
	return v.set(ctx, "dead letters", files, func(local []string) error { return v.Views.SetDeadLetterFiles(ctx, local) })
}

func (v *heldViews) set(ctx context.Context, view string, files []string, show func([]string) error) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	had := v.held[view]
	if had == nil {
		had = map[string]held{}
		v.held[view] = had
	}
	var missing []string
	for _, path := range files {
		if _, ok := had[path]; !ok {
			missing = append(missing, path)
		}
	}
	if err := v.fetch(ctx, had, missing); err != nil {
		return err
	}
	local := make([]string, len(files))
	named := make(map[string]bool, len(files))
	for i, path := range files {
		local[i], named[path] = had[path].local, true
	}
	if err := show(local); err != nil {
		return err
	}
	now := v.now()
	for path, h := range had {
		if !named[path] {
			v.old = append(v.old, retired{h.release, now.Add(v.deadline)})
			delete(had, path)
		}
	}
	rest := v.old[:0]
	for _, r := range v.old {
		if now.Before(r.until) {
			rest = append(rest, r)
		} else {
			r.release()
		}
	}
	v.old = rest
	return nil
}

// fetch holds files, each by itself: they are given up one by one.
func (v *heldViews) fetch(ctx context.Context, to map[string]held, paths []string) error {
	local, release, err := disk.Fetch(ctx, v.fs, paths) // many at a time
	if err != nil {
		return err
	}
	defer release()
	for i, path := range paths {
		_, one, err := disk.Fetch(ctx, v.fs, []string{path})
		if err != nil {
			return err
		}
		to[path] = held{local[i], one}
	}
	return nil
}
