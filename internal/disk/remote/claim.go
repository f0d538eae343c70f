package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"firth/internal/object"
)

// claimKey is the object that says whose the prefix is.
const claimKey = "firth.json"

// claimEvery is how often a process that writes makes sure that nobody else has begun to.
const claimEvery = time.Minute

// Owner is who writes below the prefix.
type Owner struct {
	Lake string    `json:"lake"` // of the data folder: another one is another lake
	Run  string    `json:"run"`  // of the process: another one of the same lake was begun from a copy of the data folder
	Host string    `json:"host"`
	At   time.Time `json:"at"`
}

// claim is what a process that writes knows about it. The zero value claims nothing.
type claim struct {
	mu    sync.Mutex
	mine  Owner
	taken error // somebody else writes there; for good
	last  time.Time
}

// Claim takes the prefix for this process before it writes. Where another lake has it, it is an *object.Error of kind Taken. After another
// error nothing is known, and whatever writes or removes claims first. Of two processes with the same lake the later one has it, and the other notices within a minute of writing, and then refuses to write
// and to remove.
func (f *FS) Claim(ctx context.Context, o Owner) error {
	f.claim.mu.Lock()
	defer f.claim.mu.Unlock()
	f.claim.mine, f.claim.last, f.claim.taken = o, time.Time{}, nil
	return f.stake(ctx)
}

// stake makes the claim; the caller holds its mutex.
func (f *FS) stake(ctx context.Context) error {
	o := f.claim.mine
	had, err := f.owner(ctx)
	if err != nil {
		return err
	}
	if had != nil && had.Lake != o.Lake {
		return f.taken(had)
	}
	o.At = f.o.Now().UTC().Truncate(time.Second)
	text, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("claim the prefix: %w", err)
	}
	if had == nil {
		_, err = f.o.Store.PutNew(ctx, claimKey, bytes.NewReader(text), int64(len(text)))
		if object.KindOf(err) == object.Exists {
			if had, err = f.owner(ctx); err == nil && (had == nil || had.Lake != o.Lake) {
				return f.taken(had)
			}
		}
	} else {
		err = f.o.Store.Put(ctx, claimKey, bytes.NewReader(text), int64(len(text)))
	}
	if err != nil {
		return err
	}
	f.claim.last = f.o.Now()
	return nil
}

// Owner tells who has the prefix; nil: nobody has.
func (f *FS) Owner(ctx context.Context) (*Owner, error) { return f.owner(ctx) }

func (f *FS) owner(ctx context.Context) (o *Owner, err error) {
	body, _, err := f.o.Store.Read(ctx, claimKey)
	if object.KindOf(err) == object.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	text, err := io.ReadAll(io.LimitReader(body, 64<<10))
	if err != nil {
		return nil, err
	}
	o = &Owner{}
	if err := json.Unmarshal(text, o); err != nil {
		return &Owner{Host: "somebody who writes no JSON"}, nil //nolint:nilerr // it is not ours, whatever it is
	}
	return o, nil
}

// Taken is the error of a prefix that somebody else has; nil: one that is not known.
func (f *FS) Taken(by *Owner) error { return f.taken(by) }

func (f *FS) taken(by *Owner) error {
	if by == nil {
		by = &Owner{}
	}
	at := f.o.Store.URL("")
	return &object.Error{
		Op: "claim", Object: at, Kind: object.Taken,
		Err:  fmt.Errorf("another Firth writes there: on %s, since %s", by.Host, by.At.Format(time.DateTime)),
		Hint: fmt.Sprintf("choose another prefix for lake.url, or end the other one. If it is gone for good and this data folder is to have its tables: aws s3 rm %s%s", at, claimKey),
	}
}

// claimed makes sure, now and then, that a prefix that was claimed is still this process's.
func (f *FS) claimed(ctx context.Context) error {
	c := &f.claim
	c.mu.Lock()
	defer c.mu.Unlock()
	now := f.o.Now()
	if c.taken == nil && c.mine.Run != "" && c.last.IsZero() {
		err := f.stake(ctx)
		if object.KindOf(err) == object.Taken {
			c.taken = err
		}
		return err
	}
	if c.taken != nil || c.mine.Run == "" || now.Sub(c.last) < claimEvery && !now.Before(c.last) {
		return c.taken
	}
	had, err := f.owner(ctx)
	if err != nil {
		return err
	}
	if had == nil || had.Lake != c.mine.Lake || had.Run != c.mine.Run {
		c.taken = f.taken(had)
		return c.taken
	}
	c.last = now
	return nil
}
