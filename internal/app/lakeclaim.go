package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"firth/internal/config"
	"firth/internal/disk"
	objects "firth/internal/disk/remote"
	"firth/internal/object"
)

// openPlaceToWrite is openPlace for the process that commits to the lake's tables: it takes the prefix at an object store for this data folder.
// A store that does not answer holds nothing up; the prefix is taken with the first file then.
func openPlaceToWrite(ctx context.Context, cfg *config.Config, dir folders, log *slog.Logger) (*lakePlace, error) {
	p, err := openPlace(ctx, cfg, dir)
	if err != nil || p.remoteFS() == nil {
		return p, err
	}
	id, err := lakeID(filepath.Join(dir.root, "lake.id"))
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed machine"
	}
	limited, cancel := context.WithTimeout(ctx, claimPatience)
	defer cancel()
	switch err := p.remoteFS().Claim(limited, objects.Owner{Lake: id, Run: uuid.NewString(), Host: host}); {
	case err == nil:
		p.abandon(limited, log)
	case transient(err) && ctx.Err() == nil:
		log.Warn("the object store of the lake does not answer; the start goes on with what the cache has", "error", err, "hint", hintOf(err))
	default:
		return nil, errors.Join(fmt.Errorf("open lake: %w", err), p.close())
	}
	return p, nil
}

// claimPatience bounds how long a start waits for the object store.
const claimPatience = 20 * time.Second

// transient reports whether a failure of a store may pass by itself.
func transient(err error) bool {
	kind := object.KindOf(err)
	return kind == object.Unreachable || kind == object.Trouble || errors.Is(err, context.DeadlineExceeded)
}

// uploadsEnd is the age from which an upload in parts that never ended is given up.
const uploadsEnd = 24 * time.Hour

// abandon gives up uploads that a process began which was killed. That may be refused: they take room, and do no other harm.
func (p *lakePlace) abandon(ctx context.Context, log *slog.Logger) {
	n, err := p.store.AbortUploads(ctx, time.Now().Add(-uploadsEnd))
	if err != nil {
		log.Info("uploads that never ended were not looked for", "error", err)
	} else if n > 0 {
		log.Info("uploads that never ended were given up", "uploads", n)
	}
}

// lakeID is what tells the lake of this data folder from any other; it is made with the first start.
func lakeID(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(text))) > 0 {
		return strings.TrimSpace(string(text)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read lake id: %w", err)
	}
	id := uuid.NewString()
	if err := disk.WriteFile(disk.OS{}, path, []byte(id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write lake id: %w", err)
	}
	return id, nil
}
