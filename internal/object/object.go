// Package object is a small client of S3 and of stores that speak its protocol: one bucket, one prefix, and what is done with objects.
// Requests that fail for a while are tried again by the library below; what remains is an *Error that says what to do.
package object

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// retries is how often a request is sent before its failure is told; waits between them grow from 0.2 to 1 second.
const retries = 5

// partSize is the size of every part but the last of an object that is sent in parts: some stores want them equal. No object has more
// than maxParts.
const (
	partSize = 16 << 20
	maxParts = 10_000
)

// Store is the objects under one prefix of one bucket. It is safe for concurrent use and holds nothing but idle connections.
type Store struct {
	client *minio.Client
	bucket string
	prefix string // ends with a slash, or is empty
	region string
	host   string
	keys   *credentials.Credentials
	meter  *meter
	plain  atomic.Bool // the store knows no conditional writes
}

// Info is what is known of an object.
type Info struct {
	Key      string // without the store's prefix
	Size     int64
	Modified time.Time
	ETag     string // another one: another content; the same says nothing across stores
}

func (s *Store) info(o minio.ObjectInfo, key string) Info {
	return Info{Key: key, Size: o.Size, Modified: o.LastModified, ETag: o.ETag}
}

// String is the store's address without parameters.
func (s *Store) String() string { return "s3://" + s.bucket + "/" + s.prefix }

// URL is the address of an object, as other programs take it.
func (s *Store) URL(key string) string { return s.String() + key }

// Bucket is the bucket of the address.
func (s *Store) Bucket() string { return s.bucket }

// Prefix is put before every key; it is empty or ends with a slash.
func (s *Store) Prefix() string { return s.prefix }

// Region is the region that requests are signed for.
func (s *Store) Region() string { return s.region }

// Keys are credentials that are handed to another program which reads the store by itself.
type Keys struct{ ID, Secret, Token string }

// Keys returns the credentials that requests are signed with at present; those of a role end after some time.
func (s *Store) Keys() (Keys, error) {
	v, err := s.keys.GetWithContext(s.client.CredContext())
	if err != nil || v.AccessKeyID == "" {
		return Keys{}, &Error{Op: "find credentials for", Object: s.String(), Kind: Denied, Hint: keysHint, Err: firstError(err, errors.New("there are none"))}
	}
	return Keys{ID: v.AccessKeyID, Secret: v.SecretAccessKey, Token: v.SessionToken}, nil
}

// Put writes an object; size is -1 where it is not known. A reader that is an io.Seeker is sent again after a failure; one that is an
// io.ReaderAt too is sent in several parts at a time where it is large. The object is there whole or not at all.
func (s *Store) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	_, err := s.put(ctx, key, r, size, false)
	return err
}

// PutNew is Put of an object that must not be there yet: then the error is of kind Exists, and nothing is changed. A request that is
// sent again after its answer was lost may find what it wrote itself, so Exists is no proof of somebody else. Stores that know no
// conditional writes, and objects that are sent in parts, are written as by Put.
func (s *Store) PutNew(ctx context.Context, key string, r io.Reader, size int64) (Info, error) {
	if s.plain.Load() || size < 0 || size > partSize {
		return s.put(ctx, key, r, size, false)
	}
	info, err := s.put(ctx, key, r, size, true)
	if KindOf(err) != Unsupported {
		return info, err
	}
	again, ok := r.(io.Seeker)
	if !ok {
		return info, err
	}
	if _, serr := again.Seek(0, io.SeekStart); serr != nil {
		return info, errors.Join(err, serr)
	}
	s.plain.Store(true)
	return s.put(ctx, key, r, size, false)
}

// Conditional reports whether the store refuses to write over an object when it is asked to; it tries it with an object of the name.
func (s *Store) Conditional(ctx context.Context, key string) (bool, error) {
	if _, err := s.put(ctx, key, bytes.NewReader(nil), 0, false); err != nil {
		return false, err
	}
	_, err := s.put(ctx, key, bytes.NewReader(nil), 0, true)
	switch KindOf(err) {
	case Exists:
		return true, nil
	case Unsupported:
		return false, nil
	}
	return false, err // which is nil where the store took the second one
}

func (s *Store) put(ctx context.Context, key string, r io.Reader, size int64, absent bool) (Info, error) {
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", PartSize: partSizeOf(size)}
	if absent {
		o.SetMatchETagExcept("*")
	}
	up, err := s.client.PutObject(ctx, s.bucket, s.prefix+key, r, size, o)
	if err != nil {
		return Info{}, s.fail("write", key, err)
	}
	return Info{Key: key, Size: up.Size, Modified: up.LastModified, ETag: up.ETag}, nil
}

func partSizeOf(size int64) uint64 {
	n := uint64(partSize)
	for size > int64(n)*maxParts {
		n *= 2
	}
	return n
}

// Get reads an object; whoever gets it closes it. The error of a missing one is of kind NotFound.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	body, _, err := s.Read(ctx, key)
	return body, err
}

// Read is Get, with what the store says of the object. It is one request; a body that breaks off is an error of kind Unreachable.
func (s *Store) Read(ctx context.Context, key string) (io.ReadCloser, Info, error) {
	return s.read(ctx, key, minio.GetObjectOptions{})
}

// GetRange is Get for a part of an object. One that begins behind the end of the object is an error.
func (s *Store) GetRange(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if length <= 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	var o minio.GetObjectOptions
	if err := o.SetRange(offset, offset+length-1); err != nil {
		return nil, s.fail("read", key, err)
	}
	body, _, err := s.read(ctx, key, o)
	return body, err
}

func (s *Store) read(ctx context.Context, key string, o minio.GetObjectOptions) (io.ReadCloser, Info, error) {
	core := minio.Core{Client: s.client}
	body, info, _, err := core.GetObject(ctx, s.bucket, s.prefix+key, o)
	if err != nil {
		return nil, Info{}, s.fail("read", key, err)
	}
	return &reading{s, key, body}, s.info(info, key), nil
}

// reading gives the errors of a body their kind.
type reading struct {
	store *Store
	key   string
	body  io.ReadCloser
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.store.meter.received.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		err = r.store.fail("read", r.key, err)
	}
	return n, err
}

func (r *reading) Close() error { return r.body.Close() }

// Stat looks whether an object is there. The error of a missing one is of kind NotFound.
func (s *Store) Stat(ctx context.Context, key string) (Info, error) {
	o, err := s.client.StatObject(ctx, s.bucket, s.prefix+key, minio.StatObjectOptions{})
	if err != nil {
		return Info{}, s.fail("look at", key, err)
	}
	return s.info(o, key), nil
}

// Delete removes objects; one that is not there is no error. All are tried, the errors are joined.
func (s *Store) Delete(ctx context.Context, keys ...string) error {
	var failed []error
	for _, key := range keys {
		// One by one: the removal of many in one request wants another right at some stores, and there are few.
		err := s.client.RemoveObject(ctx, s.bucket, s.prefix+key, minio.RemoveObjectOptions{})
		if err := s.fail("remove", key, err); err != nil && KindOf(err) != NotFound {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
