package object

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// List goes through the objects whose key begins with the prefix, in the order of their keys; it ends with the first error.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return s.list(ctx, prefix, true)
}

// ListFolder is List for what lies directly below a folder, whose name ends with a slash or is empty. What lies deeper is one entry a
// folder, with a key that ends with a slash and nothing else.
func (s *Store) ListFolder(ctx context.Context, folder string) iter.Seq2[Info, error] {
	return s.list(ctx, folder, false)
}

func (s *Store) list(ctx context.Context, prefix string, recursive bool) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		l := listing{store: s, prefix: s.prefix + prefix, recursive: recursive, given: map[string]bool{}}
		for try := 1; ; try++ {
			more, err := l.pass(ctx, yield)
			if !more {
				return
			}
			if err == nil {
				err = ctx.Err()
			}
			if err == nil {
				return
			}
			if err = s.fail("list", prefix, err); try == retries || ctx.Err() != nil || !passes(err) {
				yield(Info{}, err)
				return
			}
			select { // the library sends a request again, but not for an answer that broke off
			case <-ctx.Done():
			case <-time.After(time.Duration(try) * listPause):
			}
		}
	}
}

// listPause is how long a listing that broke off waits, times the tries so far.
const listPause = 200 * time.Millisecond

// passes says whether a failure may be gone at the next try.
func passes(err error) bool { k := KindOf(err); return k == Unreachable || k == Trouble }

// listing is a listing that goes on where an answer broke off.
type listing struct {
	store     *Store
	prefix    string
	recursive bool
	last      string          // the last key that was given, where folders are not told apart: they come in order
	given     map[string]bool // what was given, where they are
}

// pass lists from where the last one ended. It reports whether more is wanted, and the error that ended it.
func (l *listing) pass(ctx context.Context, yield func(Info, error) bool) (more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := l.store
	for o := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: l.prefix, Recursive: l.recursive, StartAfter: l.last}) {
		if o.Err != nil {
			return true, o.Err
		}
		if l.recursive {
			l.last = o.Key
		} else if l.given[o.Key] {
			continue
		} else {
			l.given[o.Key] = true
		}
		if !yield(s.info(o, strings.TrimPrefix(o.Key, s.prefix)), nil) {
			return false, nil
		}
	}
	return true, nil
}

// AbortUploads gives up uploads in parts that were begun before a time and never ended, under the prefix of the store: what was sent of
// them is no object, but takes room. It returns how many there were.
func (s *Store) AbortUploads(ctx context.Context, before time.Time) (n int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	core := minio.Core{Client: s.client}
	var failed []error
	for u := range s.client.ListIncompleteUploads(ctx, s.bucket, s.prefix, true) {
		if u.Err != nil {
			return n, s.fail("list uploads of", "", u.Err)
		}
		if !u.Initiated.Before(before) {
			continue
		}
		if err := core.AbortMultipartUpload(ctx, s.bucket, u.Key, u.UploadID); err != nil {
			failed = append(failed, s.fail("give up an upload of", strings.TrimPrefix(u.Key, s.prefix), err))
			continue
		}
		n++
	}
	return n, errors.Join(failed...)
}
