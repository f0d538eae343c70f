package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"firth/internal/config"
	"firth/internal/object"
)

// storePatience bounds the check of an object store.
const storePatience = 30 * time.Second

// checkStore tries what Firth does with an object store: listing, writing, reading, removing, and writing under a condition.
func checkStore(ctx context.Context, cfg *config.Config, dir folders) []Finding {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	place, err := openPlace(ctx, cfg, dir)
	if err != nil {
		return []Finding{{What: "lake", Found: err.Error(), Hint: hintOf(err)}}
	}
	defer place.close() //nolint:errcheck // nothing was written there
	probe := ".firth-check-" + uuid.NewString()
	found := probeStore(ctx, place.store, probe)
	if found.OK {
		found = checkOwner(ctx, place, dir, found)
	}
	return []Finding{found, {What: "lake cache", OK: true, Found: fmt.Sprintf("%s, at most %s", place.Dir, sizeText(int64(cfg.Lake.Cache.Bytes)))}}
}

// probeStore does everything once with an object of its own, which it removes.
func probeStore(ctx context.Context, store *object.Store, key string) Finding {
	text := []byte("written by firth check, and removed again")
	steps := []struct {
		right string
		do    func() error
	}{
		{"list", func() error {
			for _, err := range store.ListFolder(ctx, "") {
				return err
			}
			return nil
		}},
		{"write", func() error { return store.Put(ctx, key, bytes.NewReader(text), int64(len(text))) }},
		{"read", func() error { return readProbe(ctx, store, key, text) }},
	}
	f := Finding{What: "lake"}
	var rights []string
	for _, s := range steps {
		if err := s.do(); err != nil {
			return failedProbe(ctx, store, key, f, err)
		}
		rights = append(rights, s.right)
	}
	conditional, err := store.Conditional(ctx, key)
	if err != nil {
		return failedProbe(ctx, store, key, f, err)
	}
	if err := store.Delete(ctx, key); err != nil {
		f.Found, f.Hint = err.Error(), hintOf(err)
		return f
	}
	f.OK, f.Found = true, fmt.Sprintf("%s: %s and remove are allowed", store, strings.Join(rights, ", "))
	if !conditional {
		f.Found += "; the store takes a second object of one name without a word, which Firth can live with"
	}
	return f
}

func readProbe(ctx context.Context, store *object.Store, key string, want []byte) (err error) {
	body, err := store.Get(ctx, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	got, err := io.ReadAll(body)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("read %s: it came back another than it was written", store.URL(key))
	}
	return err
}

func failedProbe(ctx context.Context, store *object.Store, key string, f Finding, err error) Finding {
	f.Found, f.Hint = err.Error(), hintOf(err)
	if derr := store.Delete(ctx, key); derr != nil && object.KindOf(derr) != object.KindOf(err) {
		f.Found += "\nand " + derr.Error()
	}
	return f
}

// checkOwner looks whether the prefix is another lake's.
func checkOwner(ctx context.Context, place *lakePlace, dir folders, f Finding) Finding {
	owner, err := place.remoteFS().Owner(ctx)
	if err != nil || owner == nil {
		return f // nobody's yet, or readable a moment ago
	}
	text, err := os.ReadFile(filepath.Join(dir.root, "lake.id"))
	if err == nil && strings.TrimSpace(string(text)) == owner.Lake {
		return f
	}
	f.OK = false
	taken := place.remoteFS().Taken(owner)
	f.Found, f.Hint = taken.Error(), hintOf(taken)
	return f
}
