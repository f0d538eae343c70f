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
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		for o := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + prefix, Recursive: recursive}) {
			if o.Err != nil {
				yield(Info{}, s.fail("list", prefix, o.Err))
				return
			}
			if !yield(s.info(o, strings.TrimPrefix(o.Key, s.prefix)), nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Info{}, s.fail("list", prefix, err))
		}
	}
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
